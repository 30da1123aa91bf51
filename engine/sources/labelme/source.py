"""labelme as a source: images, and a json beside each of them."""

from __future__ import annotations

import posixpath
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar

from fld_engine.engine.sources.authors import source_of
from fld_engine.engine.sources.heads import labelme_files
from fld_engine.engine.sources.item import ReadItem, Rejected, SourceChunk, SourceSpec
from fld_engine.engine.sources.label_files import digests_of, image_of, read_label_files, stems_of
from fld_engine.engine.sources.label_folder import images_listing, label_chunks
from fld_engine.engine.sources.labelled import Problem, Said, joint_revision, read_labelled, unchanged
from fld_engine.engine.sources.labelme.shapes import parse_json, parse_shapes, stated_wh
from fld_engine.engine.sources.listing import Listing, list_files
from fld_engine.engine.sources.reader import NoParams
from fld_engine.engine.sources.regions.frames import Exif
from fld_engine.engine.sources.regions.marks import Mark, regions_of
from fld_engine.schemas.errors import SourceError
from fld_engine.schemas.kinds import Kind


@dataclass(frozen=True, slots=True)
class LabelmeIndex:
    """`files` by image: (path, content), each of them labelme's; `used` are all of their paths."""

    revision: str
    files: Mapping[str, tuple[tuple[str, bytes], ...]]
    problems: tuple[Problem, ...]
    used: frozenset[str]
    exif: Exif

    @property
    def names(self) -> Collection[str]:
        return self.files.keys()

    def said(self, name: str, upright_wh: tuple[int, int], orientation: int) -> Iterator[Said]:
        """Flags of an image as classes, then its shapes."""
        for path, data in self.files[name]:
            tree, marks = parse_json(data), []
            for one in parse_shapes(tree, f"#annotation/{path}", source_of(self.revision)):
                if isinstance(one, Mark):
                    marks.append(one)
                else:
                    yield one
            yield from regions_of(marks, stated_wh(tree), upright_wh, orientation, self.exif)

    def count(self, name: str) -> int:
        return sum(len(parse_json(data)["shapes"]) for _, data in self.files[name])


@lru_cache(maxsize=1)
def load_index(spec_json: str) -> LabelmeIndex:
    """The index of a source, made once in a process."""
    spec = SourceSpec.model_validate_json(spec_json)
    listing = list_files(spec.url, spec.name, allow_outside=spec.allow_outside)
    return read_index(spec, listing, images_listing(spec, listing))


def read_index(spec: SourceSpec, listing: Listing, images: Listing) -> LabelmeIndex:
    """Everything that the json files of a listing say. Raises `TransportError`."""
    stems = stems_of(images)
    contents: dict[str, bytes] = {}
    problems: list[Problem] = []
    files: dict[str, list[tuple[str, bytes]]] = defaultdict(list)
    for path, found in read_label_files(spec, listing, listing.ending({"json"})):
        if isinstance(found, Rejected):
            problems.append((f"#annotation/{path}", found.reason, found.detail))
            continue
        try:
            tree = parse_json(found)
        except ValueError as error:
            problems.append((f"#annotation/{path}", "bad_record", str(error)))
            continue
        contents[path] = found
        stem = posixpath.splitext(path)[0]
        written = tree.get("imagePath")
        named = written if isinstance(written, str) and written else posixpath.basename(stem)
        files[image_of(stems, [stem, posixpath.basename(stem)], named)].append((path, found))
    return LabelmeIndex(
        revision=joint_revision(digests_of(contents)),
        files={name: tuple(found) for name, found in files.items()},
        problems=tuple(problems),
        used=frozenset(path for path, _ in listing.ending({"json"})),
        exif=spec.exif,
    )


class LabelmeSource:
    """Images with boxes and outlines that people drew; told by how its json files begin."""

    Params = NoParams
    brings: ClassVar[frozenset[Kind]] = frozenset({"objects", "masks", "labels"})
    uses: ClassVar[frozenset[str]] = frozenset({"images_url", "exif"})
    claims: ClassVar[frozenset[str]] = frozenset({"folder"})
    expects = "labelme (.json with shapes beside an image)"

    def __init__(self, params: NoParams) -> None: ...

    @staticmethod
    def recognises(listing: Listing) -> int:
        return len(labelme_files(listing))

    def chunks(self, spec: SourceSpec) -> Sequence[SourceChunk]:
        """Runs of about a thousand images by path."""
        listing = list_files(spec.url, spec.name, allow_outside=spec.allow_outside)
        if not listing.ending({"json"}):
            raise SourceError(
                f"source {spec.url} holds no {self.expects} among its {len(listing.files)} files{listing.outside()}"
            )
        images = images_listing(spec, listing)
        index = read_index(spec, listing, images)
        return label_chunks(spec, "labelme", index, listing, images, used=index.used)

    def read(self, chunk: SourceChunk, max_bytes: int) -> Iterator[ReadItem]:
        """Images in order of their paths, each with its flags and shapes."""
        index = load_index(chunk.spec.model_dump_json())
        yield from read_labelled(chunk, unchanged(index, chunk.revision, chunk.spec.url), max_bytes)
