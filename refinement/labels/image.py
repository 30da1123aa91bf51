"""One image with its labels, as a round works on it: regions and texts, with what speaks for each."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from fld_engine.engine.data.images import RGB
from fld_engine.refinement.labels.boxes import Boxes
from fld_engine.refinement.labels.gold import GoldSplit
from fld_engine.schemas.annotations import Granularity
from fld_engine.schemas.names import name_key

_WORD = re.compile(r"[\w'-]+")

Box = tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class RegionLabel:
    """A region before and after a merge. `protected` labels were made by a person, and are never changed.

    `p` is the calibrated probability that there is such a thing at this place, `p_label` that it bears this name;
    for an old label they come from the student's teacher-forced scores. `runner_up` is the name that the student finds
    most likely for this place when asked, and `p_runner_up` its probability; empty where it was not asked.
    `place_asked` is False where no student could score the place, as in an answer that is too long: `p` then means
    nothing. So it is with `name_asked`, the name and `p_label`, as of a name that the target language cannot say.
    """

    id: str
    box_xyxy: Box
    label: str
    p: float
    p_label: float
    protected: bool = False
    runner_up: str = ""
    p_runner_up: float = 0.0
    place_asked: bool = True
    name_asked: bool = True


@dataclass(frozen=True, slots=True)
class TextLabel:
    """A description with what speaks for it.

    `named` are the things that it names (the heads of its noun chunks, as parsed). `p` is the probability
    of its words to a student, which is not calibrated, `similarity` the image-text cosine of a ranker, None where there
    is no ranker. `asked` is False where no student could score the text, as one that is too long: `p` means nothing
    then.
    """

    id: str
    granularity: Granularity
    text: str
    named: tuple[str, ...]
    p: float
    similarity: float | None = None
    protected: bool = False
    asked: bool = True


@dataclass(frozen=True, slots=True)
class LabelledImage:
    """One image with its labels. `gold_split` is empty where no person has labelled it as reference."""

    id: str
    twin_group: str
    image_wh: tuple[int, int]
    regions: tuple[RegionLabel, ...] = ()
    texts: tuple[TextLabel, ...] = ()
    gold_split: GoldSplit = ""


class Images(Protocol):
    """Pixels by image id."""

    def __call__(self, image_id: str) -> RGB: ...


def boxes_of(regions: Sequence[RegionLabel]) -> Boxes:
    """Labels as the metrics take them."""
    xyxy = np.array([region.box_xyxy for region in regions], dtype=np.float64).reshape(-1, 4)
    return Boxes(xyxy, [region.label for region in regions], np.array([region.p for region in regions]))


def named_things(text: str, names: Sequence[str]) -> tuple[str, ...]:
    """Words of a text that are the head noun of a known label, in order: what the text claims to be on the image."""
    heads = {head_of(name) for name in names} - {""}
    return tuple(word for word in _WORD.findall(text.lower()) if head_of(word) in heads)


def head_of(name: str) -> str:
    """The last word of a name, as names are compared; empty for none."""
    return (name_key(name).split() or [""])[-1]
