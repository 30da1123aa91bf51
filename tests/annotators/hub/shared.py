"""What the tests of all hub adapters share: samples, pinned parameters, and a model that runs out of memory."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from fld_engine.annotators.checkpoints.params import HubParams
from fld_engine.engine.plan.protocols import Sample

P = TypeVar("P", bound=HubParams)


def image_samples(sizes_hw: Sequence[tuple[int, int]], seed: int = 0) -> list[Sample]:
    """Samples of smooth coloured noise, one for each (height, width)."""
    random = np.random.default_rng(seed)
    samples = []
    for number, (height, width) in enumerate(sizes_hw):
        coarse = random.integers(0, 256, (max(1, height // 8), max(1, width // 8), 3), dtype=np.uint8)
        rows = np.arange(height) * len(coarse) // height
        columns = np.arange(width) * coarse.shape[1] // width
        pixels = np.ascontiguousarray(coarse[rows][:, columns])
        samples.append(Sample(id=f"{number:032x}", width=width, height=height, pixels=pixels))
    return samples


def pinned(params: type[P], folder: Path, **given: Any) -> P:
    """Parameters for a checkpoint in a folder, its hash filled in."""
    return params(checkpoint=str(folder), **given).pinned(models_root="", strict=True)


class Limited:
    """A loaded model whose device has room for `at_most` images a pass; otherwise the model itself."""

    def __init__(self, model: Any, at_most: int) -> None:
        self._model, self._at_most = model, at_most

    def __call__(self, *args: Any, **inputs: Any) -> Any:
        self._check(inputs)
        return self._model(*args, **inputs)

    def generate(self, **inputs: Any) -> Any:
        self._check(inputs)
        return self._model.generate(**inputs)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._model, name)

    def _check(self, inputs: dict[str, Any]) -> None:
        import torch

        if len(inputs["pixel_values"]) > self._at_most:
            raise torch.OutOfMemoryError("no room for more")
