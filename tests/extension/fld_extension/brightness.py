"""Labels images as bright or dark by their mean value."""

from __future__ import annotations

from collections.abc import Sequence

from fld_engine.engine.data.records import ModelIdentity
from fld_engine.engine.plan.protocols import Resources, Sample
from fld_engine.schemas.annotations import Annotations, Frozen, Label
from fld_engine.schemas.kinds import Kind


class Brightness:
    """One object region over the whole of a bright image would be silly; a text says it."""

    class Params(Frozen):
        """`threshold` is a mean value in [0, 255]."""

        threshold: float = 128.0

    version = 1
    requires: frozenset[Kind] = frozenset({"pixels"})
    optional: frozenset[Kind] = frozenset()
    produces: frozenset[Kind] = frozenset({"labels"})
    resources = Resources(memory_mb=100)
    batch_size = 4
    model = ModelIdentity(id="brightness", revision="1")

    def __init__(self, params: Params | None = None) -> None:
        self.params = params or self.Params()

    def load(self) -> None: ...

    def annotate(self, batch: Sequence[Sample]) -> Sequence[Annotations]:
        return [self._label(sample) for sample in batch]

    def _label(self, sample: Sample) -> Annotations:
        assert sample.pixels is not None, "this annotator requires pixels"
        mean = float(sample.pixels.mean())
        name = "bright" if mean > self.params.threshold else "dark"
        return Annotations(labels=(Label(label=name, score=mean / 255),))
