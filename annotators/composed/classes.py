"""Classes of an image that a text may state, whoever says them."""

from __future__ import annotations

from collections.abc import Iterator

from fld_engine.annotators.composed.english import common_name
from fld_engine.engine.data.things import known_thing
from fld_engine.schemas.annotations import Absence, Annotations, Label, Region
from fld_engine.schemas.names import name_key
from fld_engine.schemas.origins import Origin

OF_STORAGE = frozenset(
    {
        *(
            "data",
            "dataset",
            "download",
            "file",
            "folder",
            "gallery",
            "image",
            "img",
            "jpeg",
            "jpg",
            "original",
            "other",
        ),
        *("photo", "photograph", "pic", "picture", "png", "query", "resized", "sample", "test", "testing", "thumbnail"),
        *("train", "training", "unknown", "val", "valid", "validation"),
    }
)
"""What folders are called that hold images of any class: names of splits and of files (ours)."""


def classes_of(known: Annotations) -> tuple[Label, ...]:
    """Classes in the order in which they are believed: those by people, by folders, then by models as they came.

    Those of one model come best first. The name of a folder counts where it names a thing (`dogs`, `tabby cat`; not
    `2024`, `holiday` or `train`), in the singular. What people say is absent is left out, unless people say it.
    """
    absent = absent_names(known)
    ranked: dict[tuple[int, str], list[Label]] = {}
    for label in _nameable(known.labels):
        if by_people(label) or name_key(common_name(label.label)) not in absent:
            annotator = label.source.annotator if label.source else ""
            ranked.setdefault((_RANK.get(annotator, len(_RANK)), annotator), []).append(label)
    order = sorted(ranked, key=lambda key: key[0])  # models stay in the order of their first label
    return tuple(label for key in order for label in sorted(ranked[key], key=lambda label: -label.score))


def absent_names(known: Annotations) -> frozenset[str]:
    """Keys of the names of classes that people looked for and did not find."""
    return frozenset(name_key(common_name(one.label)) for one in known.absences if by_people(one))


def by_people(said: Label | Absence | Region) -> bool:
    """Whether a person says it."""
    return said.source is not None and said.source.annotator == Origin.HUMAN


_RANK: dict[str, int] = {Origin.HUMAN: 0, Origin.CLASS_FOLDER: 1}


def _nameable(labels: tuple[Label, ...]) -> Iterator[Label]:
    for label in labels:
        if label.source is None or label.source.annotator != Origin.CLASS_FOLDER:
            yield label
        elif (name := known_thing(common_name(label.label))) and name_key(name) not in OF_STORAGE:
            yield label.model_copy(update={"label": name})
