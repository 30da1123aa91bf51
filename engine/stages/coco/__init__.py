"""COCO json of what a root keeps."""
