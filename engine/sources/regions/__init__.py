"""What is where on an image: boxes, outlines and masks of label files, as regions of the upright picture."""
