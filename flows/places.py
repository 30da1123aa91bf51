"""Addresses and folders as they are seen from here."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path


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


def existing(folder: Path) -> Path:
    """The folder, or the nearest place above it that exists."""
    return next(place for place in (folder, *folder.absolute().parents) if place.exists())


def is_writable(folder: Path) -> bool:
    """Whether a folder can be made there, or a file in it, which rights alone do not tell: nobody may write where a
    disk is read-only.
    """
    try:
        with tempfile.TemporaryFile(dir=existing(folder)):
            return True
    except OSError:
        return False
