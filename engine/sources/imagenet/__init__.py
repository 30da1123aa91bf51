"""ImageNet: its folders, its tars, and the source made of both."""
