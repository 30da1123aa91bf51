"""Classes of whole images that sources tell, by whose word they are: how many, on how many images, and which."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

import pyarrow as pa
from pydantic import Field

from fld_engine.engine.data.columns import Column
from fld_engine.engine.data.kept_rows import where
from fld_engine.engine.data.view import PartitionView
from fld_engine.schemas.annotations import Frozen
from fld_engine.schemas.names import name_key
from fld_engine.schemas.sample import CLASS_KEYS

CLASSES = pa.schema(
    [
        ("said", pa.string()),  # labels, or absences
        ("by", pa.string()),  # human, class_folder, or the name of a model
        ("class", pa.string()),  # in its most frequent spelling
        ("images", pa.int64()),
    ]
)

Spellings = Mapping[str, Mapping[str, int]]
"""Whose word → class as it is spelled → images."""


class ClassCounts(Frozen):
    """Classes that are said to be on images (`labels`), and not to be (`absences`); empty where no source tells any.

    `images` maps table → whose word → images with any. `contradicted` are pairs of an image and a class that somebody
    says is on it, and somebody that it is not; both stay.
    """

    labels: Spellings = Field(default_factory=dict)
    absences: Spellings = Field(default_factory=dict)
    images: Mapping[str, Mapping[str, int]] = Field(default_factory=dict)
    contradicted: int = 0


class ClassFigure(Frozen):
    """One line of the report: how many `classes` are said by one, on how many images, and how often."""

    said: str
    by: str
    classes: int
    images: int
    annotations: int


def count_classes(view: PartitionView, images: Column) -> ClassCounts:
    """Counts over some images, a class of an image once however it is spelled."""
    spelled: dict[str, dict[str, Counter[str]]] = {name: {} for name in CLASS_KEYS}
    owners: dict[str, dict[str, set[str]]] = {name: {} for name in CLASS_KEYS}
    pairs: dict[str, set[tuple[str, str]]] = {name: set() for name in CLASS_KEYS}
    for name in CLASS_KEYS:
        seen: set[tuple[str, str, str]] = set()
        for row in where(view.of_sources[name], "image_id", images).to_pylist():
            image, by, key = row["image_id"], row["annotator"], name_key(row["label"])
            if (image, by, key) not in seen:
                seen.add((image, by, key))
                spelled[name].setdefault(by, Counter())[row["label"]] += 1
                owners[name].setdefault(by, set()).add(image)
                pairs[name].add((image, key))
    return ClassCounts(
        **spelled,
        images={name: {by: len(ids) for by, ids in mine.items()} for name, mine in owners.items() if mine},
        contradicted=len(pairs["labels"] & pairs["absences"]),
    )


def figures(counts: ClassCounts) -> tuple[ClassFigure, ...]:
    """A line for each table and whose word it is."""
    return tuple(
        ClassFigure(
            said=name,
            by=by,
            classes=len(_by_name(spelled)),
            images=counts.images[name][by],
            annotations=sum(spelled.values()),
        )
        for name in CLASS_KEYS
        for by, spelled in sorted(getattr(counts, name).items())
    )


def classes_table(counts: ClassCounts) -> pa.Table:
    """Every class with schema `CLASSES`, the most frequent first."""
    rows = [
        {"said": name, "by": by, "class": spelling, "images": number}
        for name in CLASS_KEYS
        for by, spelled in sorted(getattr(counts, name).items())
        for spelling, number in sorted(_by_name(spelled), key=lambda one: (-one[1], one[0]))
    ]
    return pa.Table.from_pylist(rows, schema=CLASSES)


def _by_name(spelled: Mapping[str, int]) -> list[tuple[str, int]]:
    """(most frequent spelling, images) of each class."""
    names: dict[str, list[tuple[str, int]]] = {}
    for spelling, number in spelled.items():
        names.setdefault(name_key(spelling), []).append((spelling, number))
    return [(_usual(found), sum(number for _, number in found)) for found in names.values()]


def _usual(found: Iterable[tuple[str, int]]) -> str:
    return min(found, key=lambda one: (-one[1], one[0]))[0]
