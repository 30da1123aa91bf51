"""Pascal VOC: XML files, lists of images by class, and the source made of both."""
