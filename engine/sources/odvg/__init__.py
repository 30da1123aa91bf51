"""ODVG: lines of json, and the source made of them."""
