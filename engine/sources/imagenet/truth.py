"""What ImageNet's files say of images by name: the class and the boxes of validation images, boxes of others.

Kaggle's `LOC_val_solution.csv` and `LOC_train_solution.csv` have `ImageId,PredictionString`, the latter groups of
`wnid x1 y1 x2 y2`. The devkit's `ILSVRC2012_validation_ground_truth.txt` has a number a line, for images in order;
which class a number is stands in its `meta.mat` alone, so a file with the WordNet ids in that order has to be given.
"""

from __future__ import annotations

import csv
import io
import posixpath
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from fld_engine.engine.sources.regions.marks import Mark
from fld_engine.engine.sources.regions.place import xywh_of
from fld_engine.engine.sources.values import finite
from fld_engine.engine.sources.wordnet import class_name, is_wnid
from fld_engine.schemas.annotations import Source

SOLUTIONS = ("LOC_val_solution.csv", "LOC_train_solution.csv")
GROUND_TRUTH = "ILSVRC2012_validation_ground_truth.txt"
VALIDATION_NAME = "ILSVRC2012_val_{:08d}"
GROUP = 5
"""A WordNet id and four corners."""

_WNID = re.compile(r"(?:^|[/!])(n\d{8})(?=[/_.])")


@dataclass(frozen=True, slots=True)
class Truth:
    """What a file says of one image; `wnid` is its class, `groups` are of (WordNet id, corners as written)."""

    wnid: str
    groups: tuple[tuple[str, tuple[str, ...]], ...] = ()


def wnid_of(path: str) -> str:
    """The WordNet id in a path: of its folder or its tar, or the beginning of its name; else empty."""
    found = _WNID.findall(path)
    return str(found[-1]) if found else ""


def stem_of(path: str) -> str:
    """An image by what files of truth call it."""
    return posixpath.splitext(re.split("[/!]", path)[-1])[0]


def parse_solution(text: str) -> Iterator[tuple[str, Truth | str]]:
    """(image, what is said of it, or why that cannot be read)."""
    for row in csv.reader(io.StringIO(text)):
        if len(row) != 2 or row[0] == "ImageId":
            continue
        values = row[1].split()
        wnids = values[::GROUP]
        if not values or len(values) % GROUP or not all(map(is_wnid, wnids)):
            yield row[0], f"{row[1][:80]!r}: expected groups of a WordNet id and four numbers"
            continue
        groups = [(values[at], tuple(values[at + 1 : at + GROUP])) for at in range(0, len(values), GROUP)]
        yield row[0], Truth(wnids[0], tuple(groups))


def parse_ground_truth(text: str, wnids: Sequence[str]) -> Iterator[tuple[str, Truth | str]]:
    """(image, its class, or why that cannot be read); `wnids` in the order of the numbers, which begin at 1."""
    for index, line in enumerate(text.split(), 1):
        at = int(line) if line.isdigit() else 0
        name = VALIDATION_NAME.format(index)
        yield name, Truth(wnids[at - 1]) if 0 < at <= len(wnids) else f"{line!r} is none of {len(wnids)} classes"


def marks_of(truth: Truth, uri: str, source: Source) -> Iterator[Mark]:
    """The boxes of an image. Raises `ValueError` for corners that are no numbers."""
    for index, (wnid, corners) in enumerate(truth.groups):
        yield Mark(f"{uri}/{index}", class_name(wnid), {"bbox": xywh_of([finite(side) for side in corners])}, source)
