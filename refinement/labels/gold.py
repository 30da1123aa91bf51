"""Gold: labels of people that judge all others, and which split of the gold images it belongs to."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Literal

from fld_engine.refinement.labels.boxes import NO_BOXES, Boxes, Grounded
from fld_engine.schemas.annotations import Polygon

GoldSplit = Literal["", "calibrate", "gate", "final"]
GOLD_SPLITS: tuple[GoldSplit, ...] = ("calibrate", "gate", "final")


@dataclass(frozen=True, slots=True)
class Gold:
    """Labels of people for one image: the reference, never trained on, merged or filtered.

    Of what people left empty beside other labels nothing is known: a gold image with captions alone does not mean that
    it shows no object. Gold without anything says just that: somebody looked, and there is nothing to be labelled.
    `more` says that people gave more than is here. `masks` stand in the order of `regions`, empty for those without, or
    there are none at all; `read` is scene text with its boxes; `phrases` are those of texts.
    """

    regions: Boxes
    texts: tuple[str, ...] = ()
    masks: tuple[tuple[Polygon, ...], ...] = ()
    read: Boxes = NO_BOXES
    phrases: tuple[Grounded, ...] = ()
    more: bool = False

    @property
    def judges_regions(self) -> bool:
        """Whether it is known which objects there are: people drew some, or said that there are none."""
        return bool(self.regions.labels) or not (self.texts or self.has_dependents or self.more)

    @property
    def has_dependents(self) -> bool:
        """Whether people gave masks, read text or groundings: what depends on the labels that a round edits."""
        return bool(any(self.masks) or self.read.labels or self.phrases)

    def without_dependents(self) -> Gold:
        return Gold(self.regions, self.texts, more=self.more or self.has_dependents)


def gold_split_of(twin_group: str, seed: int) -> GoldSplit:
    """The split of a gold image, a third each, by twin group: near-twins never judge on both sides."""
    digest = hashlib.sha256(f"gold:{seed}:{twin_group}".encode()).digest()
    return GOLD_SPLITS[int.from_bytes(digest[:8]) % len(GOLD_SPLITS)]
