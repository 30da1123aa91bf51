"""Texts of the whole image composed by rule from detections, classes and read text, and marked as composed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from fld_engine.annotators.composed.composition import Wording, compose
from fld_engine.annotators.composed.scene import SceneParams, scene_of
from fld_engine.engine.data.records import ModelIdentity
from fld_engine.engine.plan.protocols import Resources, Sample
from fld_engine.schemas.annotations import Annotations, Text
from fld_engine.schemas.kinds import Kind


class ComposedCaptioner:
    """Brief, detailed and more detailed texts that say what is known and nothing else.

    A text's score is the mean score of the facts it states. An image of which nothing is known gets no text. Classes
    are those of a classifier, of people, and of folders; what people say is not on an image is not stated.
    """

    class Params(SceneParams):
        """Which facts are sure enough to be stated."""

    version = 1
    requires: frozenset[Kind] = frozenset({"objects"})
    optional: frozenset[Kind] = frozenset({"labels", "absences", "scene_text"})
    produces: frozenset[Kind] = frozenset({"brief_texts", "detailed_texts"})
    resources = Resources(cpus=1, memory_mb=100)
    batch_size = 64
    libraries: ClassVar[tuple[str, ...]] = ()
    model = ModelIdentity(id="composed-captioner", revision="1", licence="Apache-2.0")

    def __init__(self, params: Params | None = None) -> None:
        self.params = params or self.Params()

    def load(self) -> None:
        """Nothing to load: rules alone."""

    def annotate(self, batch: Sequence[Sample]) -> Sequence[Annotations]:
        """Texts, brief ones first; the wording is a function of the image's id and the run's seed."""
        return [Annotations(texts=self._compose(sample)) for sample in batch]

    def _compose(self, sample: Sample) -> tuple[Text, ...]:
        scene = scene_of(sample.known, (sample.width, sample.height), self.params)
        return compose(scene, Wording(f"{sample.seed}/{sample.id}"))
