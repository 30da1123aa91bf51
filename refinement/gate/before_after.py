"""Gold images on trial: their labels before and after a round, with what hangs on these, beside gold."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from fld_engine.refinement.labels.dependents import NOTHING, Attached
from fld_engine.refinement.labels.gold import Gold
from fld_engine.refinement.labels.image import LabelledImage


@dataclass(frozen=True, slots=True)
class Said:
    """Labels of one image with what hangs on them, beside gold."""

    image: LabelledImage
    attached: Attached
    gold: Gold

    @property
    def briefs(self) -> list[str]:
        return [text.text for text in self.image.texts if text.granularity == "brief"]


@dataclass(frozen=True, slots=True)
class Trial:
    """The same images before and after a round."""

    before: Sequence[Said]
    after: Sequence[Said]

    def __iter__(self) -> Iterator[Sequence[Said]]:
        return iter((self.before, self.after))

    def __len__(self) -> int:
        return len(self.before)

    def where(self, speaks: Callable[[Said], object]) -> Trial:
        """The images on which gold, and the labels of both sides where they are asked, have something to say."""
        rows = [i for i, (a, b) in enumerate(zip(self.before, self.after, strict=True)) if speaks(a) and speaks(b)]
        return Trial([self.before[i] for i in rows], [self.after[i] for i in rows])


def on_trial(
    before: Sequence[LabelledImage],
    after: Sequence[LabelledImage],
    gold: Mapping[str, Gold],
    attached: tuple[Mapping[str, Attached], Mapping[str, Attached]] | None = None,
) -> Trial:
    """Images side by side; what `attached` (before, after) does not name has nothing that hangs on it.

    Where it is not known what hangs on labels, what gold says of that judges nothing.
    """
    truth = gold if attached else {identity: said.without_attached() for identity, said in gold.items()}
    sides = (
        [Said(image, hanging.get(image.id, NOTHING), truth[image.id]) for image in images]
        for images, hanging in zip((before, after), attached or ({}, {}), strict=True)
    )
    return Trial(*sides)


# What gold must hold for a figure to be measured at all.


def has_regions(said: Said) -> bool:
    return bool(said.gold.regions.labels)


def has_masks(said: Said) -> bool:
    return any(said.gold.masks)


def has_read(said: Said) -> bool:
    return any(said.gold.read.labels)


def has_briefs(said: Said) -> bool:
    """An image without a text has no CIDEr: 0 would let anything that is written pass as better."""
    return bool(said.gold.texts and said.briefs)


def has_phrases(said: Said) -> bool:
    return bool(said.gold.phrases)
