"""What the student of a fold may learn from: the standing labels of a root, without gold and without its own fold."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from engine.export.assemble import assemble
from engine.images import ImageLimits
from engine.partition import PartitionImages, load_view
from engine.protocols import RGB
from engine.store import Store
from engine.tasks import CoverStep, PartitionRecord
from refinement.examples import TrainingImage, from_sample
from refinement.folds import EVERY_FOLD, fold_of, trains_on

KEPT_IMAGES = 256
"""Decoded images that a worker remembers."""


@dataclass(frozen=True, slots=True)
class Lessons:
    """Where to find labels and images; any worker can open it. `fold` is of `num_folds`, or `EVERY_FOLD`."""

    root: str
    partitions: tuple[PartitionRecord, ...]
    covers: tuple[CoverStep, ...]
    limits: ImageLimits
    max_target_tokens: int
    fold: int
    num_folds: int
    seed: int

    def open(self) -> LessonImages:
        """Read all labels, in the order of the partitions; images are decoded when they are asked for."""
        store = Store(self.root)
        images: list[TrainingImage] = []
        places: list[tuple[PartitionImages, int]] = []
        for record, cover in zip(self.partitions, self.covers, strict=True):
            view = load_view(store, record, cover)
            pixels = PartitionImages(store, record, self.limits)
            rows = {pixels.identity(row)[0]: row for row in range(len(pixels))}
            for sample in assemble(view, lambda group: "train", self.max_target_tokens):
                row = rows[sample.id]
                if sample.targets and self._taught(pixels.twin_group(row)):
                    images.append(from_sample(sample))
                    places.append((pixels, row))
        return LessonImages(images, places)

    def _taught(self, twin_group: str) -> bool:
        return self.fold == EVERY_FOLD or trains_on(self.fold, fold_of(twin_group, self.seed, self.num_folds))


class LessonImages:
    """Training images of a root, decoded when they are asked for."""

    def __init__(self, images: Sequence[TrainingImage], places: Sequence[tuple[PartitionImages, int]]) -> None:
        self.images = images
        self._places = places
        self._decode = lru_cache(maxsize=KEPT_IMAGES)(self._read)

    def pixels(self, index: int) -> RGB:
        return self._decode(index)

    def _read(self, index: int) -> RGB:
        images, row = self._places[index]
        return images.pixels(row)
