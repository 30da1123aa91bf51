"""What a YOLO folder says, by image: its label files, and the file that names the classes."""

from __future__ import annotations

import posixpath
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from fld_engine.engine.sources.authors import source_of
from fld_engine.engine.sources.item import IMAGE_EXTENSIONS, Rejected, SourceSpec
from fld_engine.engine.sources.label_files import after, digests_of, read_label_files, stems_of
from fld_engine.engine.sources.label_folder import images_listing
from fld_engine.engine.sources.labelled import Problem, Said, joint_revision
from fld_engine.engine.sources.listing import Listing, list_files
from fld_engine.engine.sources.names import Names
from fld_engine.engine.sources.regions.frames import Exif
from fld_engine.engine.sources.regions.marks import Mark, regions_of
from fld_engine.engine.sources.values import finite
from fld_engine.engine.sources.yolo.lines import (
    NAME_FILES,
    DataFile,
    Lines,
    Task,
    how_written,
    parse_data_file,
    parse_lines,
    parse_names,
)
from fld_engine.schemas.annotations import Frozen, Source
from fld_engine.schemas.errors import SourceError

LABELS, IMAGES = "labels", "images"
DATA_FILES = frozenset({"yaml", "yml"})


class YoloParams(Frozen):
    """How label files are read.

    `task` says what lines are, where that is not certain from how many numbers they have: boxes (`detect`), polygons
    (`segment`), corners of turned boxes (`obb`), or boxes with keypoints (`pose`). `names` are the classes in the order
    of their numbers, where no file beside the labels has them.
    """

    task: Task | Literal[""] = ""
    names: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class YoloIndex:
    """`texts` are (label file, lines) by image; an image without any has nothing on it. `used` are all label files."""

    revision: str
    names: Collection[str]
    texts: Mapping[str, tuple[str, str]]
    classes: Mapping[int, str]
    lines: Lines
    problems: tuple[Problem, ...]
    used: frozenset[str]
    exif: Exif
    source: Source

    def said(self, name: str, upright_wh: tuple[int, int], orientation: int) -> Iterator[Said]:
        """Regions of the lines of an image, in order."""
        if name not in self.texts:
            return
        path, text = self.texts[name]
        stored_wh = upright_wh[::-1] if orientation >= 5 else upright_wh
        wh = stored_wh if self.exif == "raw" else upright_wh  # fractions are of the picture as trainers show it
        marks = []
        for one in parse_lines(text, f"#annotation/{path}", self.lines, self.classes, wh, self.source):
            if isinstance(one, Mark):
                marks.append(one)
            else:
                yield one
        exif: Exif = self.exif or "applied"
        yield from regions_of(marks, None, upright_wh, orientation if exif == "raw" else 1, exif)

    def count(self, name: str) -> int:
        return len(_lines_of(self.texts[name][1])) if name in self.texts else 0


@lru_cache(maxsize=1)
def load_index(spec_json: str, params: YoloParams) -> YoloIndex:
    """The index of a source, made once in a process."""
    spec = SourceSpec.model_validate_json(spec_json)
    listing = list_files(spec.url, spec.name, allow_outside=spec.allow_outside)
    return read_index(spec, params, listing, images_listing(spec, listing))


def read_index(spec: SourceSpec, params: YoloParams, listing: Listing, images: Listing) -> YoloIndex:
    """Everything that the label files say. Raises `SourceError` where it cannot be told what they say."""
    files = label_files(listing, images)
    contents: dict[str, bytes] = {}
    problems: list[Problem] = []
    about = name_files(listing)
    for path, found in read_label_files(spec, listing, [*files.values(), *about]):
        if isinstance(found, Rejected):
            problems.append((f"#annotation/{path}", found.reason, found.detail))
        else:
            contents[path] = found
    data = _classes(spec, params, {path: contents[path] for path, _ in about if path in contents})
    texts = {
        image: (path, contents[path].decode("utf-8-sig", "replace"))
        for image, (path, _) in files.items()
        if path in contents
    }
    widths = {len(line) for _, text in texts.values() for line in _lines_of(text) if _are_numbers(line)}
    try:
        lines = how_written(widths, params.task, data.keypoints, scored=bool(spec.made_by))
    except ValueError as error:
        raise SourceError(f"source {spec.url} cannot be read as YOLO: {error}") from error
    revision = joint_revision(digests_of(contents))
    return YoloIndex(
        revision=revision,
        names=dict.fromkeys([path for path, _ in images.ending(IMAGE_EXTENSIONS)] + list(texts)).keys(),
        texts=texts,
        classes=data.names,
        lines=lines,
        problems=tuple(problems),
        used=frozenset(contents) | frozenset(_lists(listing)),
        exif=spec.exif,
        source=source_of(revision, made_by=spec.made_by),
    )


def label_files(listing: Listing, images: Listing) -> dict[str, tuple[str, int]]:
    """Image → its label file: in `labels` for the last `images` of its path, or beside it.

    Else it is of the image that its own path in `labels` means (`names`). A file in `labels` without an image stands
    under the path that its image should have.
    """
    stems = stems_of(images)
    found: dict[str, tuple[str, int]] = {}
    others: dict[str, tuple[str, tuple[str, int]]] = {}  # by a name of the image: its path, and the label file
    for path, size in listing.ending({"txt"}):
        if posixpath.basename(path) in NAME_FILES:
            continue
        stem = posixpath.splitext(path)[0]
        there = after(stem, LABELS)
        places = [f"{there[0]}{IMAGES}/{there[1]}", f"{there[0]}{there[1]}", there[1]] if there else [stem]
        image = next((stems[place] for place in places if place in stems), "")
        if image:
            found[image] = (path, size)
        elif there:
            others[f"{there[1]}.jpg"] = (places[0], (path, size))
    unclaimed = Names(path for path in stems.values() if path not in found)
    for name, match in unclaimed.find_all(others).items():
        place, file = others[name]
        found[match.path or place] = file
    return found


def name_files(listing: Listing) -> list[tuple[str, int]]:
    """Files that may name the classes."""
    files = [file for file in listing.files if posixpath.basename(file[0]) in NAME_FILES]
    return [*listing.ending(DATA_FILES), *files]


def _lists(listing: Listing) -> list[str]:
    """Lists of images by split, and Darknet's own settings, which say nothing of an image."""
    texts = {"train.txt", "val.txt", "valid.txt", "test.txt", "obj.data", "notes.json"}
    return [path for path, _ in listing.files if posixpath.basename(path) in texts]


def _classes(spec: SourceSpec, params: YoloParams, files: Mapping[str, bytes]) -> DataFile:
    """Class names by number. Raises `SourceError` where there are none, or files contradict each other."""
    found: dict[str, DataFile] = {}
    for path, data in files.items():
        text = data.decode("utf-8-sig", "replace")
        if posixpath.basename(path) in NAME_FILES:
            found[path] = DataFile(parse_names(text))
            continue
        try:
            found[path] = parse_data_file(text)
        except ValueError:
            continue
    shape = next((one.keypoints for one in found.values() if one.keypoints), None)
    if params.names:
        return DataFile(dict(enumerate(params.names)), shape)
    if not found:
        raise SourceError(
            f"source {spec.url} has no data.yaml with names and no {' or '.join(NAME_FILES)}: set params.names to the "
            "classes in the order of their numbers"
        )
    first = next(iter(found))
    for path, one in found.items():
        if one.names != found[first].names:
            raise SourceError(
                f"source {spec.url}: {first} and {path} name different classes; give a narrower URL or params.names"
            )
    return DataFile(found[first].names, shape)


def _lines_of(text: str) -> list[list[str]]:
    return [values for line in text.splitlines() if (values := line.split())]


def _are_numbers(values: list[str]) -> bool:
    try:
        return bool([finite(value) for value in values])
    except ValueError:
        return False
