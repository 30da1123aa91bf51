"""Addresses as they are seen from here."""

from __future__ import annotations

import os


def same_place(one: str, other: str) -> bool:
    """Whether two addresses lead to the same files, seen from here."""
    return absolute(one) == absolute(other)


def absolute(url: str) -> str:
    """A local path from the root of the file system; any other address as it is."""
    chain, inside, outer = url.rpartition("::")
    if inside and "://" in chain:  # what is in an archive
        return f"{chain}::{absolute(outer)}"
    if "://" in url or "::" in url or url.startswith("${"):
        return url
    return os.path.abspath(os.path.expanduser(url))
