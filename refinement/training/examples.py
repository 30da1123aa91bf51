"""What a student is trained on: images with their targets.

The targets are those of the export (`engine.stages.export.targets`), so a student learns the language that the shards
speak. Order is a pure function of seed and step: nothing needs to be stored to continue it but the number of steps
done.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from fld_engine.engine.data.images import RGB
from fld_engine.schemas.sample import Sample, TargetEntry
from fld_engine.schemas.tasks import Task

_TOKEN = re.compile(r"<[^<>]*>")


@dataclass(frozen=True, slots=True)
class TrainingImage:
    """One image with all its targets. `num_regions` is what the curriculum goes by."""

    id: str
    num_regions: int
    targets: tuple[TargetEntry, ...]


@dataclass(frozen=True, slots=True)
class Example:
    """One training pair: the `image`-th of the batch, asked `prompt`, answers `target`."""

    image: int
    task: Task
    prompt: str
    target: str


class TrainingSet(Protocol):
    """Images with targets, the same in every worker."""

    @property
    def images(self) -> Sequence[TrainingImage]: ...

    def pixels(self, index: int) -> RGB:
        """The decoded image at a place of `images`."""
        ...


@dataclass(frozen=True, slots=True)
class HeldImages:
    """A training set that is held in memory: for small ones, and for tests."""

    images: Sequence[TrainingImage]
    arrays: Sequence[RGB]

    def pixels(self, index: int) -> RGB:
        return self.arrays[index]


def from_sample(sample: Sample) -> TrainingImage:
    return TrainingImage(sample.id, len(sample.regions), sample.targets)


def corpus(images: Iterable[TrainingImage]) -> list[str]:
    """Every run of words that a student has to write, once each, sorted: what its tokenizer is trained on."""
    runs = {words for image in images for target in image.targets for words in _TOKEN.split(target.target)}
    return sorted(words for words in runs if words.strip())
