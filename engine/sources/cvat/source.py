"""CVAT for images 1.1 as a source: `annotations.xml`, and the images that it names."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar

from fld_engine.engine.sources.archives import path_below
from fld_engine.engine.sources.authors import source_of
from fld_engine.engine.sources.cvat.pictures import MACHINE, Picture, parse_pictures, parse_shapes
from fld_engine.engine.sources.files import open_streamed
from fld_engine.engine.sources.heads import cvat_files
from fld_engine.engine.sources.item import ReadItem, SourceChunk, SourceSpec
from fld_engine.engine.sources.label_folder import NOT_LABELLED
from fld_engine.engine.sources.labelled import Problem, Said, chunks_of, read_labelled, revision_of, unchanged
from fld_engine.engine.sources.listing import Listing, list_files
from fld_engine.engine.sources.reader import NoParams
from fld_engine.engine.sources.regions.frames import Exif
from fld_engine.engine.sources.regions.marks import Mark, regions_of
from fld_engine.schemas.errors import SourceError
from fld_engine.schemas.kinds import Kind

FILE_NAME = "annotations.xml"


@dataclass(frozen=True, slots=True)
class CvatIndex:
    """`pictures` by image: (place of the file, its `<image>`), of each file that has one."""

    revision: str
    pictures: Mapping[str, tuple[tuple[str, Picture], ...]]
    exif: Exif
    problems: tuple[Problem, ...] = ()

    @property
    def names(self) -> Collection[str]:
        return self.pictures.keys()

    def said(self, name: str, upright_wh: tuple[int, int], orientation: int) -> Iterator[Said]:
        """Shapes and tags of an image, in order."""
        human, machine = source_of(self.revision), source_of(self.revision, made_by=MACHINE)
        for place, picture in self.pictures[name]:
            marks = []
            for one in parse_shapes(picture, place, human, machine):
                if isinstance(one, Mark):
                    marks.append(one)
                else:
                    yield one
            yield from regions_of(marks, picture.stated_wh, upright_wh, orientation, self.exif)

    def count(self, name: str) -> int:
        return sum(len(picture.shapes) for _, picture in self.pictures[name])


def read_index(urls: Sequence[str], exif: Exif) -> CvatIndex:
    """Everything that files say. Raises `SourceError` for one that is no CVAT XML, `TransportError`."""
    pictures: dict[str, list[tuple[str, Picture]]] = defaultdict(list)
    for url in urls:
        place = "#annotation" if len(urls) == 1 else f"#annotation/{url.rpartition('/')[2]}"
        try:
            with open_streamed(url) as stream:
                for picture in parse_pictures(stream):
                    pictures[picture.name].append((place, picture))
        except ValueError as error:
            raise SourceError(f"{url} is not CVAT for images 1.1: {error}") from error
    return CvatIndex(revision_of(urls), {name: tuple(found) for name, found in pictures.items()}, exif)


@lru_cache(maxsize=1)
def load_index(urls: tuple[str, ...], exif: Exif) -> CvatIndex:
    """The index of a source, made once in a process."""
    return read_index(urls, exif)


class CvatSource:
    """Images of a task or a project of CVAT; what automatic annotation drew is the machine's."""

    Params = NoParams
    brings: ClassVar[frozenset[Kind]] = frozenset({"objects", "masks", "labels"})
    uses: ClassVar[frozenset[str]] = frozenset({"images_url", "exif"})
    claims: ClassVar[frozenset[str]] = frozenset({"folder", "voc"})
    expects = f"CVAT for images ({FILE_NAME})"

    def __init__(self, params: NoParams) -> None: ...

    @staticmethod
    def recognises(listing: Listing) -> int:
        return len(_files(listing))

    def chunks(self, spec: SourceSpec) -> Sequence[SourceChunk]:
        """Runs of about a thousand images by path."""
        listing = list_files(spec.url, spec.name, allow_outside=spec.allow_outside)
        files = _files(listing)
        if not files:
            raise SourceError(
                f"source {spec.url} holds no {self.expects} among its {len(listing.files)} files{listing.outside()}"
            )
        index = read_index(_urls(listing, files), spec.exif)
        where = spec.images_url or (spec.url.rpartition("/")[0] or "." if files == [""] else spec.url)
        images = list_files(where, spec.name, allow_outside=spec.allow_outside)
        return chunks_of(spec, "cvat", index, images, labels=_inside(images, listing, files), unnamed=NOT_LABELLED)

    def read(self, chunk: SourceChunk, max_bytes: int) -> Iterator[ReadItem]:
        """Images in order of their paths, each with its shapes and tags."""
        spec = chunk.spec
        listing = list_files(spec.url, spec.name, allow_outside=spec.allow_outside)
        files = _files(listing)
        index = load_index(_urls(listing, files), spec.exif)
        yield from read_labelled(chunk, unchanged(index, chunk.revision, spec.url), max_bytes)


def _files(listing: Listing) -> list[str]:
    """Files that are named as CVAT names them, else those that begin so; the empty path of a source's only file."""
    named = [path for path, _ in listing.files if listing.name(path).rpartition("/")[2] == FILE_NAME]
    return named or cvat_files(listing)


def _urls(listing: Listing, files: Sequence[str]) -> tuple[str, ...]:
    return tuple(listing.url(path) for path in files)


def _inside(images: Listing, listing: Listing, files: Sequence[str]) -> set[str]:
    """Label files by their paths in the folder of images, where they lie there."""
    return {path_below(images.base, url) for url in _urls(listing, files)}
