"""YOLO: label files of lines, and the source made of them."""
