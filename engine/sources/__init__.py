"""Readers of image sources: a package for each layout of label files, a module for each kind that holds images itself.

`folder`, `zips`, `tars`, `parquet` read images with what lies beside them (`said`); `coco`, `open_images`, `voc` and
the other packages read label files over a folder of images (`labelled`); `addresses` are lists, which `fetched` has the
images of. Shared by all: `item` (what a source is), `listing` and `files`, `names` (which file a name means), `regions`
(what is where), `authors` (who said it), `values` and `texts` (how it is written).
"""
