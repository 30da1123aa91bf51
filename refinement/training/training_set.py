"""What a student may learn from: the standing labels of a root, without gold and without its own fold."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import pyarrow as pa
import pyarrow.compute as pc

from fld_engine.engine.data.images import RGB, ImageLimits
from fld_engine.engine.data.partition import PartitionImages, load_view
from fld_engine.engine.data.records import PartitionOutputs, PartitionRecord
from fld_engine.engine.data.store import Store
from fld_engine.engine.stages.export.assemble import assemble
from fld_engine.refinement.labels.folds import EVERY_FOLD, fold_of, trains_on
from fld_engine.refinement.training.examples import TrainingImage, from_sample
from fld_engine.schemas.annotations import Granularity
from fld_engine.schemas.tokens import TokenCount, most_tokens

KEPT_IMAGES = 256
"""Decoded images that a worker remembers."""


@dataclass(frozen=True, slots=True)
class RootTrainingSet:
    """Where to find labels and images; any worker can open it. `fold` is of `num_folds`, or `EVERY_FOLD`.

    `count` has the tokens of a target. With `granularities`, the texts of these alone, without those that were composed
    by rule.
    """

    root: str
    partitions: tuple[PartitionRecord, ...]
    covers: tuple[PartitionOutputs, ...]
    limits: ImageLimits
    max_target_tokens: int
    fold: int
    num_folds: int
    seed: int
    granularities: tuple[Granularity, ...] = ()
    count: TokenCount = most_tokens

    def open(self) -> RootTrainingImages:
        """Read all labels, in the order of the partitions; images are decoded when they are asked for."""
        store = Store(self.root)
        images: list[TrainingImage] = []
        places: list[tuple[PartitionImages, int]] = []
        for record, cover in zip(self.partitions, self.covers, strict=True):
            view = load_view(store, record, cover)
            pixels = PartitionImages(store, record, self.limits)
            rows = {pixels.identity(row)[0]: row for row in range(len(pixels))}
            written = set(written_texts(view.annotations["texts"], self.granularities)["id"].to_pylist())
            for sample in assemble(view, lambda group: "train", self.max_target_tokens, count=self.count):
                row, image = rows[sample.id], from_sample(sample)
                if self.granularities:
                    image = replace(image, targets=tuple(t for t in image.targets if written >= {*t.annotation_ids}))
                if image.targets and self._taught(pixels.twin_group(row)):
                    images.append(image)
                    places.append((pixels, row))
        return RootTrainingImages(images, places)

    def _taught(self, twin_group: str) -> bool:
        return self.fold == EVERY_FOLD or trains_on(self.fold, fold_of(twin_group, self.seed, self.num_folds))


def written_texts(texts: pa.Table, granularities: Sequence[Granularity]) -> pa.Table:
    """The rows of some granularities that people or models wrote: nothing that was composed by rule."""
    asked = pc.is_in(texts["granularity"], pa.array(granularities, pa.string()))
    return texts.filter(pc.and_(asked, pc.invert(texts["composed"])))


class RootTrainingImages:
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
