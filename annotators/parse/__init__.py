"""The English parse, and the noun chunks and places that are read off it."""
