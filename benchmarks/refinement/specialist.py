"""The specialist of the benchmark: says about each image what a file says, errors included."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fld_engine.engine.data.records import ModelIdentity
from fld_engine.engine.plan.protocols import Resources, Sample
from fld_engine.schemas.annotations import Annotations, Frozen, Region, RegionText, Text
from fld_engine.schemas.kinds import Kind

SCORE = 0.9
"""Of every label: how sure the specialist is tells nothing about whether it is right."""


class NoisySpecialist:
    """Reads a json file: image id → `{"caption": str, "regions": [{"box": [x1, y1, x2, y2], "label": str}]}`."""

    class Params(Frozen):
        """Where the labels are, and their sha256, so that other labels are another specialist."""

        labels: str
        sha256: str

    version = 1
    requires: frozenset[Kind] = frozenset()
    optional: frozenset[Kind] = frozenset()
    produces: frozenset[Kind] = frozenset({"objects", "brief_texts"})
    resources = Resources(cpus=1, memory_mb=100)
    batch_size = 64

    def __init__(self, params: Params) -> None:
        self.params = params
        self.model = ModelIdentity(id="noisy-specialist", revision=params.sha256[:12], sha256=params.sha256)
        self._labels: dict[str, Any] = {}

    def load(self) -> None:
        self._labels = json.loads(Path(self.params.labels).read_text())

    def annotate(self, batch: Sequence[Sample]) -> Sequence[Annotations]:
        """Regions in the order of the file. Raises `KeyError` for an image that the file does not know."""
        return [_annotations(self._labels[sample.id]) for sample in batch]


def _annotations(labels: dict[str, Any]) -> Annotations:
    regions = [
        Region(
            kind="object",
            box_xyxy=tuple(region["box"]),
            score=SCORE,
            texts=(RegionText(kind="phrase", text=region["label"], score=SCORE),),
        )
        for region in labels["regions"]
    ]
    texts = [Text(granularity="brief", text=labels["caption"], score=SCORE)] if labels["caption"] else []
    return Annotations(texts=tuple(texts), regions=tuple(regions))
