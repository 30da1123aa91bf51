"""Flickr30k Entities."""
