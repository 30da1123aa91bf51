"""Native Florence-2 of a model hub: captions, boxes, grounding, masks and read text, by a list of tasks."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import ClassVar, Self

from pydantic import Field, model_validator

from fld_engine.annotators.checkpoints.generation import GenerationParams, generate
from fld_engine.annotators.checkpoints.loading import Loaded, load
from fld_engine.annotators.checkpoints.passes import Inputs
from fld_engine.annotators.common.crops import pixels_of
from fld_engine.annotators.common.libraries import CHECKPOINTS
from fld_engine.annotators.hub.florence2_answers import spelled
from fld_engine.annotators.hub.florence2_questions import PRODUCES, REQUIRES, Question, questions
from fld_engine.engine.plan.protocols import Resources, Sample
from fld_engine.schemas.annotations import Annotations
from fld_engine.schemas.kinds import Kind
from fld_engine.schemas.tasks import Task

CHARS_PER_BUCKET = 256
"""Prompts share a pass, and are padded, only where they are of one task and their lengths this close (ours)."""


class HubFlorence2:
    """Asks one question per image and task, or per region, phrase or text where the task is about these.

    Every score is a geometric mean of token probabilities: a box has that of its location tokens, a label or a text
    that of its words. Work set: regions as the engine cuts them (`work_set`), one question each.
    """

    class Params(GenerationParams):
        """Which checkpoint, and what it is asked. `items_per_pass` counts questions."""

        tasks: tuple[Task, ...] = Field(min_length=1, description="prompts as Florence-2's processor spells them")
        vocabulary: tuple[str, ...] = Field(default=(), description="what <OPEN_VOCABULARY_DETECTION> looks for")
        max_phrases: int = Field(default=20, gt=0, description="phrases to segment per image at most, in order; ours")

        @model_validator(mode="after")
        def _can_be_asked(self) -> Self:
            if unknown := [task for task in self.tasks if task not in PRODUCES]:
                raise ValueError(f"tasks {unknown} write no annotation; those that do: {', '.join(PRODUCES)}")
            if own := _required(self.tasks) & _produced(self.tasks):
                raise ValueError(f"tasks {list(self.tasks)} read the {sorted(own)} they write: use two annotators")
            if ("<OPEN_VOCABULARY_DETECTION>" in self.tasks) != bool(self.vocabulary):
                raise ValueError("<OPEN_VOCABULARY_DETECTION> and a vocabulary need each other")
            return self

    version = 1
    resources = Resources(cpus=1, memory_mb=4000)
    batch_size = 16
    libraries: ClassVar[tuple[str, ...]] = CHECKPOINTS

    def __init__(self, params: Params) -> None:
        self.params = params
        self.model = params.identity
        self.requires: frozenset[Kind] = _required(params.tasks) | {"pixels"}
        self.produces: frozenset[Kind] = _produced(params.tasks)
        self.optional: frozenset[Kind] = frozenset({"detailed_texts"} if "brief_texts" in self.requires else ())
        self._loaded: Loaded | None = None

    def load(self) -> None:
        self._loaded = load(
            self.params, role="the tasks of Florence-2", auto_model="AutoModelForImageTextToText", kinds=("florence2",)
        )

    @property
    def reduced(self) -> bool:
        """Whether passes are smaller than asked for, for want of memory."""
        return self._loaded is not None and self._loaded.passes.reduced

    def annotate(self, batch: Sequence[Sample]) -> Sequence[Annotations]:
        """Annotations of each image task by task, in the order of `tasks`, then as the answers have them."""
        loaded, params = self._loaded, self.params
        assert loaded is not None, "load() comes before annotate()"
        asked = [
            question
            for index, sample in enumerate(batch)
            for task in params.tasks
            for question in questions(index, sample, task, params.vocabulary, params.max_phrases)
        ]
        given = loaded.passes.run(asked, self._prepare, partial(generate, loaded, params=params), _bucket)
        found = [Annotations() for _ in batch]
        for question, answer in zip(asked, given, strict=True):
            found[question.index] = _joined(found[question.index], question.read(spelled(answer, loaded.tokenizer)))
        return found

    def _prepare(self, asked: Sequence[Question]) -> Inputs:
        assert self._loaded is not None
        return dict(
            self._loaded.processor(
                images=[pixels_of(question.sample) for question in asked],
                text=[question.prompt for question in asked],
                padding=True,
                input_data_format="channels_last",
                return_tensors="pt",
            )
        )


def _required(tasks: Sequence[Task]) -> frozenset[Kind]:
    return frozenset(kind for task in tasks for kind in REQUIRES.get(task, ()))


def _produced(tasks: Sequence[Task]) -> frozenset[Kind]:
    return frozenset(kind for task in tasks for kind in PRODUCES[task])


def _bucket(question: Question) -> tuple[Task, int]:
    return question.task, len(question.prompt) // CHARS_PER_BUCKET


def _joined(first: Annotations, second: Annotations) -> Annotations:
    """Both, kind by kind."""
    return Annotations(**{name: getattr(first, name) + getattr(second, name) for name in Annotations.model_fields})
