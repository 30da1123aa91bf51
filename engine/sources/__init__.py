"""Readers of image sources: folders, WebDataset tars, Parquet and COCO json."""
