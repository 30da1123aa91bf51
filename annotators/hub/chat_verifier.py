"""A second look by a chat model: does this label hold, is anything of this phrase missed?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from fld_engine.annotators.checkpoints.params import HubParams
from fld_engine.annotators.common import prompts
from fld_engine.annotators.common.crops import pixels_of
from fld_engine.annotators.common.libraries import CHECKPOINTS
from fld_engine.annotators.hub.chat_model import ChatModel, Turn
from fld_engine.engine.plan.protocols import Resources, Sample
from fld_engine.schemas.annotations import Annotations, Check
from fld_engine.schemas.kinds import Kind


class HubChatVerifier:
    """Asks about every region of the work set and every phrase with its boxes, as the data engine of SAM 3 does.

    A check's score is P(yes) / (P(yes) + P(no)) of the answer's first token: for `holds`, that the label of the region
    holds; for `complete`, that nothing the phrase means is outside of its boxes.
    """

    class Params(HubParams, prompts.CheckParams):
        """Which model looks, at what, and at how much of it."""

    version = prompts.VERSION
    produces: frozenset[Kind] = frozenset({"checks"})
    resources = Resources(cpus=1, memory_mb=6000)
    batch_size = 8
    libraries: ClassVar[tuple[str, ...]] = CHECKPOINTS

    def __init__(self, params: Params) -> None:
        self.params = params
        self.model = params.identity
        self.requires, self.optional = prompts.reads(params)
        self._chat: ChatModel | None = None

    def load(self) -> None:
        self._chat = ChatModel(self.params)

    @property
    def reduced(self) -> bool:
        """Whether passes are smaller than asked for, for want of memory."""
        return self._chat is not None and self._chat.loaded.passes.reduced

    def annotate(self, batch: Sequence[Sample]) -> Sequence[Annotations]:
        """Checks of regions, the surest first, then of phrases; equal questions about an image are asked once."""
        assert self._chat is not None, "load() runs before annotate()"
        asked = [(i, doubt) for i, sample in enumerate(batch) for doubt in prompts.doubts(sample, self.params)]
        unique = list(dict.fromkeys((index, doubt.prompt) for index, doubt in asked))
        turns = [Turn(pixels_of(batch[index]), prompt) for index, prompt in unique]
        score = dict(zip(unique, self._chat.agree(turns), strict=True))
        checks: list[list[Check]] = [[] for _ in batch]
        for index, doubt in asked:
            checks[index].append(
                Check(subject_id=doubt.subject_id, question=doubt.question, score=score[index, doubt.prompt])
            )
        return [Annotations(checks=tuple(of_image)) for of_image in checks]
