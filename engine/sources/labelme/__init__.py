"""labelme: a json for each image, and the source made of them."""
