"""What lies beside the pictures of a folder and tells of them: files of their names, metadata of whole folders."""

from __future__ import annotations

import posixpath
import unicodedata
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from fld_engine.engine.sources.captions import TEXT_EXTENSIONS
from fld_engine.engine.sources.class_labels import is_description
from fld_engine.engine.sources.img2dataset import tables_of
from fld_engine.engine.sources.item import IMAGE_EXTENSIONS, extension
from fld_engine.engine.sources.listing import Files, Listing
from fld_engine.engine.sources.metadata import is_metadata

BESIDE_EXTENSIONS = (*TEXT_EXTENSIONS, "json")
"""Files that tell of a picture of the same name, in the order they are read in."""


@dataclass(frozen=True, slots=True)
class Beside:
    """Files of a listing that tell of its pictures, by path.

    `own` are those of single pictures, `metadata` those of folders, `described` name classes of the whole set, and
    `tables` are img2dataset's, by the folder of pictures.
    """

    own: Mapping[str, Sequence[str]] = field(default_factory=dict)
    metadata: Mapping[str, str] = field(default_factory=dict)
    described: Sequence[str] = ()
    tables: Mapping[str, str] = field(default_factory=dict)

    def used(self) -> set[str]:
        own = {path for paths in self.own.values() for path in paths}
        return {*own, *self.metadata.values(), *self.described, *self.tables.values()}

    def of_run(self, run: Files, first: Mapping[str, str]) -> list[str]:
        """What must be read with a run of pictures; a table with the first picture of its folder, as `first` has it."""
        found: dict[str, None] = {}
        for path, _ in run:
            if (folder := folder_of(path, self.metadata)) is not None:
                found |= dict.fromkeys((self.metadata[folder], *self.described))
            table = self.tables.get(posixpath.dirname(path))
            if table and first[posixpath.dirname(path)] == path:
                found[table] = None
        shared = sorted(found)
        return [*shared, *sorted({one for path, _ in run for one in self.own.get(path, ())})]


def beside(listing: Listing, pictures: Files) -> Beside:
    """What tells of the pictures of a listing."""
    paths = [path for path, _ in pictures if path]
    texts = [path for path, _ in listing.files if extension(path) in BESIDE_EXTENSIONS and not is_metadata(path)]
    metadata = {posixpath.dirname(path): path for path, _ in reversed(listing.files) if is_metadata(path)}
    metadata = {folder: path for folder, path in sorted(metadata.items()) if any(_under(one, folder) for one in paths)}
    described = [path for path, _ in listing.files if is_description(path)] if metadata else []
    folders = {posixpath.dirname(path) for path in paths}
    tables = {folder: table for folder, ((table, _),) in tables_of(listing).items() if folder in folders}
    return Beside(own_texts(paths, texts), metadata, described, tables)


def own_texts(pictures: Collection[str], texts: Collection[str]) -> dict[str, list[str]]:
    """Picture → files that bear its name with another extension, or behind its own: `a.jpg` → `a.txt`, `a.jpg.json`.

    Where none is spelt like the picture, one that differs in letter case or Unicode form alone is.
    """
    exact: dict[str, list[str]] = defaultdict(list)
    loose: dict[str, list[str]] = defaultdict(list)
    for path in texts:
        stem = posixpath.splitext(path)[0]
        exact[stem].append(path)
        loose[_loose(stem)].append(path)
    found = {}
    for picture in pictures:
        stem = posixpath.splitext(picture)[0]
        own = [*exact.get(stem, ()), *exact.get(picture, ())]
        if not own:
            own = [*loose.get(_loose(stem), ()), *loose.get(_loose(picture), ())]
        if own:
            found[picture] = sorted(own, key=lambda path: (BESIDE_EXTENSIONS.index(extension(path)), path))
    return found


def folder_of(path: str, folders: Mapping[str, object]) -> str | None:
    """The nearest of some folders that a file lies in or below; `None` where it lies in none."""
    here = posixpath.dirname(path)
    while here not in folders:
        if not here:
            return None
        here = posixpath.dirname(here)
    return here


def is_picture(path: str) -> bool:
    """Whether a file of a chunk is one of its pictures; the only file of a source has no path."""
    return not path or extension(path) in IMAGE_EXTENSIONS


def _under(path: str, folder: str) -> bool:
    return not folder or path.startswith(f"{folder}/")


def _loose(stem: str) -> str:
    return unicodedata.normalize("NFC", stem).casefold()
