"""A folder with COCO jsons as one index: each is of a part of a data set, as Roboflow, CVAT and COCO have them.

`train/_annotations.coco.json` beside its images (Roboflow), `annotations/instances_train2017.json` beside `train2017`
(COCO) or `images/train2017` (Ultralytics), `annotations/instances_default.json` beside `images` (CVAT). Names of a json
start from the folder in which most of its images are; the other names are for the resolver of names.
"""

from __future__ import annotations

import posixpath
import re
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from fld_engine.engine.sources.coco.index import read_index
from fld_engine.engine.sources.coco.labels import CocoLabels
from fld_engine.engine.sources.heads import coco_files
from fld_engine.engine.sources.item import PassedOver, Rejected, SourceChunk, SourceSpec
from fld_engine.engine.sources.label_folder import image_files
from fld_engine.engine.sources.labelled import Problem, Said, joint_revision
from fld_engine.engine.sources.listing import Listing, list_files

_ROBOFLOW = re.compile(r".*\.coco\.json", re.IGNORECASE)
_OF_PARTS = re.compile(r"(?:instances|captions)_(.+)\.json", re.IGNORECASE)
_KEYPOINTS = re.compile(r"person_keypoints_(.+)\.json", re.IGNORECASE)
"""Of people alone, whom COCO's `instances` have, too: looked at where there are none."""


@dataclass(frozen=True, slots=True)
class CocoPart:
    """A json of a folder at `path`; names in it start from `start`, which is empty or ends in a slash."""

    path: str
    start: str
    labels: CocoLabels


@dataclass(frozen=True, slots=True)
class CocoFolder:
    """What several jsons say, by image. `named` has (part, the name that it has for the image) by name."""

    parts: Sequence[CocoPart]
    named: Mapping[str, Sequence[tuple[CocoPart, str]]]

    @property
    def revision(self) -> str:
        return joint_revision([f"{part.path}:{part.labels.revision}" for part in self.parts])

    @property
    def names(self) -> Collection[str]:
        return self.named.keys()

    @property
    def problems(self) -> Sequence[Problem]:
        """Places say in which json they are."""
        every = [(part, one) for part in self.parts for one in part.labels.problems]
        return [(f"{place} in {part.path}", reason, detail) for part, (place, reason, detail) in every]

    def licence(self, name: str) -> str:
        return next(filter(None, (part.labels.licence(own) for part, own in self.named[name])), "")

    def count(self, name: str) -> int:
        return sum(part.labels.count(own) for part, own in self.named.get(name, ()))

    def said(self, name: str, upright_wh: tuple[int, int], orientation: int) -> Iterator[Said]:
        for part, own in self.named[name]:
            for one in part.labels.said(own, upright_wh, orientation):
                if isinstance(one, Rejected | PassedOver):
                    one = one.model_copy(update={"uri": f"{one.uri} in {part.path}"})
                yield one


def jsons_of(listing: Listing) -> list[str]:
    """The COCO jsons of a folder, by their names alone."""
    found: dict[re.Pattern[str], list[str]] = defaultdict(list)
    for path, _ in listing.ending({"json"}):
        for pattern in (_ROBOFLOW, _OF_PARTS, _KEYPOINTS):
            if path and pattern.fullmatch(posixpath.basename(path)):
                found[pattern].append(path)
                break
    return sorted([*found[_ROBOFLOW], *found[_OF_PARTS]]) or found[_KEYPOINTS]


def read_folder(spec: SourceSpec, listing: Listing, images: Listing) -> CocoFolder:
    """Every COCO json of a folder: those that are named like one; where none is, those that begin like one; else all.

    Raises `SourceError` where one of them is no COCO json.
    """
    chunk = SourceChunk(spec=spec, kind="coco", base=listing.base, files=())
    there = {path for path, _ in images.files}
    below = f"{images.base}/".removeprefix(f"{listing.base}/") if images.base != listing.base else ""
    parts: list[CocoPart] = []
    for path in jsons_of(listing) or coco_files(listing) or [path for path, _ in listing.ending({"json"})]:
        index = read_index(chunk.url(path), spec.crowd)
        starts = [start.removeprefix(below) for start in _starts(path)]
        start = max(starts, key=lambda one: sum(f"{one}{name}" in there for name in index.images))
        if not any(f"{start}{name}" in there for name in index.images):
            start = ""
        parts.append(CocoPart(path, start, CocoLabels(index, spec.exif, spec.made_by)))
    named: dict[str, list[tuple[CocoPart, str]]] = defaultdict(list)
    for part in parts:
        for name in part.labels.names:
            named[f"{part.start}{name}"].append((part, name))
    return CocoFolder(parts, dict(named))


@lru_cache(maxsize=1)
def load_folder(spec_json: str) -> CocoFolder:
    """The index of a folder, read once in a process of a worker."""
    spec = SourceSpec.model_validate_json(spec_json)
    listing = list_files(spec.url, spec.name, allow_outside=spec.allow_outside)
    return read_folder(spec, listing, image_files(spec.images_url, spec) if spec.images_url else listing)


@lru_cache(maxsize=8)
def is_folder(url: str) -> bool:
    """Whether a source is more than one file."""
    return not url.lower().endswith(".json") and [path for path, _ in list_files(url, "").files] != [""]


def _starts(path: str) -> list[str]:
    """Folders that names in a json may start from, likeliest first."""
    here = posixpath.dirname(path)
    above = posixpath.dirname(here)
    told = _OF_PARTS.fullmatch(posixpath.basename(path)) or _KEYPOINTS.fullmatch(posixpath.basename(path))
    inside = ["", "images", "data"]
    if told:
        inside = [told[1], f"images/{told[1]}", *inside]
    places = [posixpath.join(folder, one) for folder in dict.fromkeys((here, above)) for one in inside]
    return [f"{place.rstrip('/')}/" if place.rstrip("/") else "" for place in dict.fromkeys(places)]
