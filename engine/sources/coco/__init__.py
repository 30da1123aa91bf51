"""COCO json: its index, its annotations as our types, and the source made of both."""
