"""A detector without a model, for tests and benchmarks: predictable regions, and misbehaviour on demand."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

import numpy as np
from pydantic import Field

from fld_engine.annotators.common.coco_classes import COCO_CLASSES
from fld_engine.engine.data.records import ModelIdentity
from fld_engine.engine.plan.protocols import Resources, Sample
from fld_engine.schemas.annotations import Annotations, Frozen, Region, RegionText
from fld_engine.schemas.kinds import Kind

_BLOCK = bytes(1 << 16)


class FakeAnnotator:
    """Writes `regions` object regions per image; boxes, classes and scores are a function of the image's id alone."""

    class Params(Frozen):
        """What it pretends to be; `raise_on`, `crash_on` and `hang_on` are ids of the images it misbehaves on."""

        regions: int = Field(default=2, ge=0, description="regions per image")
        seconds: float = Field(default=0.0, ge=0, description="time spent on each image, computing")
        load_seconds: float = Field(default=0.0, ge=0, description="time that load() takes, waiting")
        raise_on: tuple[str, ...] = Field(default=(), description="annotate() raises ValueError")
        raise_while: str = Field(default="", description="a file; raise_on holds only while it is there")
        crash_on: tuple[str, ...] = Field(default=(), description="the process exits at once, status 1")
        hang_on: tuple[str, ...] = Field(default=(), description="annotate() never returns")
        batch_size: int = Field(default=8, gt=0)
        cpus: float = Field(default=1.0, gt=0)
        gpus: float = Field(default=0.0, ge=0)
        memory_mb: int = Field(default=100, gt=0)

    version = 1
    requires: frozenset[Kind] = frozenset({"pixels"})
    optional: frozenset[Kind] = frozenset()
    produces: frozenset[Kind] = frozenset({"objects"})
    resources = Resources(cpus=1, memory_mb=100)
    batch_size = 8
    libraries: ClassVar[tuple[str, ...]] = ()
    model = ModelIdentity(id="fake", revision="1", licence="Apache-2.0")

    def __init__(self, params: Params | None = None) -> None:
        self.params = params or self.Params()
        self.batch_size = self.params.batch_size
        self.resources = Resources(cpus=self.params.cpus, gpus=self.params.gpus, memory_mb=self.params.memory_mb)

    def load(self) -> None:
        time.sleep(self.params.load_seconds)

    def annotate(self, batch: Sequence[Sample]) -> Sequence[Annotations]:
        """Regions by falling score. Raises `ValueError`, exits or hangs on the images that the parameters name."""
        return [self._annotate_one(sample) for sample in batch]

    def _annotate_one(self, sample: Sample) -> Annotations:
        if sample.pixels is None:
            raise ValueError(f"image {sample.id} came without pixels, which this annotator requires")
        if sample.id in self.params.raise_on and (
            not self.params.raise_while or Path(self.params.raise_while).exists()
        ):
            raise ValueError(f"image {sample.id} is in raise_on")
        if sample.id in self.params.crash_on:
            os._exit(1)
        while sample.id in self.params.hang_on:
            time.sleep(3600)
        _compute_for(self.params.seconds)
        return Annotations(regions=fake_regions(sample.id, (sample.width, sample.height), self.params.regions))


def fake_regions(image_id: str, image_wh: tuple[int, int], num_regions: int) -> tuple[Region, ...]:
    """What `FakeAnnotator` writes for an image: scores in [0.2, 1), sides from a tenth to half of the image's."""
    random = np.random.default_rng(int.from_bytes(hashlib.sha256(image_id.encode()).digest()[:8]))
    rows = random.random((num_regions, 6))
    rows = rows[np.argsort(-rows[:, 4], kind="stable")]
    return tuple(_region(row.tolist(), image_wh) for row in rows)


def _region(row: Sequence[float], image_wh: tuple[int, int]) -> Region:
    """A region of six numbers in [0, 1): left, top, width, height, score, class."""
    width, height = image_wh
    x1, y1 = row[0] * width / 2, row[1] * height / 2
    x2, y2 = x1 + (0.1 + 0.4 * row[2]) * width, y1 + (0.1 + 0.4 * row[3]) * height
    score = 0.2 + 0.8 * row[4]
    text = RegionText(kind="phrase", text=COCO_CLASSES[int(row[5] * len(COCO_CLASSES))], score=score)
    return Region(kind="object", box_xyxy=(x1, y1, x2, y2), score=score, texts=(text,))


def _compute_for(seconds: float) -> None:
    """Keep a core busy without holding the interpreter's lock, as a model does."""
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        hashlib.sha256(_BLOCK)
