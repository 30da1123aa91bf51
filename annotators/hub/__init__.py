"""Adapters over `transformers`: any checkpoint of a kind, by its hub id or from a local folder."""
