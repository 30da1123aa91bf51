"""CVAT for images: its XML, and the source made of it."""
