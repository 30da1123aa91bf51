"""Gold images before and after a round: their labels, what depends on these, and the gold of both."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from fld_engine.refinement.labels.dependents import NO_DEPENDENTS, Dependents
from fld_engine.refinement.labels.gold import Gold
from fld_engine.refinement.labels.image import LabelledImage


@dataclass(frozen=True, slots=True)
class ComparedImage:
    """Labels of one image, what depends on them, and the gold that both are compared with."""

    image: LabelledImage
    dependents: Dependents
    gold: Gold

    @property
    def briefs(self) -> list[str]:
        return [text.text for text in self.image.texts if text.granularity == "brief"]


@dataclass(frozen=True, slots=True)
class BeforeAfter:
    """The same images before and after a round."""

    before: Sequence[ComparedImage]
    after: Sequence[ComparedImage]

    def __iter__(self) -> Iterator[Sequence[ComparedImage]]:
        return iter((self.before, self.after))

    def __len__(self) -> int:
        return len(self.before)

    @property
    def twin_groups(self) -> list[str]:
        """The group of near-twins of each image; one without a group is like no other."""
        return [compared.image.twin_group or f"image {row}" for row, compared in enumerate(self.before)]

    def where(self, holds: Callable[[ComparedImage], object]) -> BeforeAfter:
        """The images for which `holds` is true both before and after."""
        rows = [i for i, (a, b) in enumerate(zip(self.before, self.after, strict=True)) if holds(a) and holds(b)]
        return BeforeAfter([self.before[i] for i in rows], [self.after[i] for i in rows])


def before_after(
    before: Sequence[LabelledImage],
    after: Sequence[LabelledImage],
    gold: Mapping[str, Gold],
    dependents: tuple[Mapping[str, Dependents], Mapping[str, Dependents]] | None = None,
) -> BeforeAfter:
    """Pair images with themselves after a round; those that `dependents` (before, after) do not name have none.

    Without `dependents`, the gold of these is left out, so that nothing is measured by it.
    """
    truth = gold if dependents else {identity: found.without_dependents() for identity, found in gold.items()}
    sides = (
        [ComparedImage(image, known.get(image.id, NO_DEPENDENTS), truth[image.id]) for image in images]
        for images, known in zip((before, after), dependents or ({}, {}), strict=True)
    )
    return BeforeAfter(*sides)


# What gold must hold for a figure to be measured at all.


def has_regions(compared: ComparedImage) -> bool:
    """An image on which people found no object counts: whatever is said to be on it is wrong."""
    return compared.gold.judges_regions


def has_masks(compared: ComparedImage) -> bool:
    return any(compared.gold.masks)


def has_read(compared: ComparedImage) -> bool:
    return any(compared.gold.read.labels)


def has_briefs(compared: ComparedImage) -> bool:
    """An image without a text has no CIDEr: 0 would let anything that is written pass as better."""
    return bool(compared.gold.texts and compared.briefs)


def has_phrases(compared: ComparedImage) -> bool:
    return bool(compared.gold.phrases)
