"""Detailed texts by a chat model that sees the image and is told what is known of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from pydantic import Field

from fld_engine.annotators.checkpoints.generation import GenerationParams
from fld_engine.annotators.common import prompts
from fld_engine.annotators.common.crops import pixels_of
from fld_engine.annotators.common.libraries import CHECKPOINTS
from fld_engine.annotators.hub.chat_model import ChatModel, Turn
from fld_engine.engine.plan.protocols import Resources, Sample
from fld_engine.schemas.annotations import Annotations, Text
from fld_engine.schemas.kinds import Kind


class HubChatCaptioner:
    """Writes detailed and more detailed texts from the image, its brief texts, its regions and its read text.

    A text's score is the geometric mean of its tokens' probabilities. An answer that was cut off at `max_new_tokens`
    keeps its whole sentences; an answer without any gives no text.
    """

    class Params(GenerationParams, prompts.FactParams):
        """Which model writes, which texts, and what it is told."""

        max_new_tokens: int = Field(default=256, gt=0, description="longest answer; ours: over twice FLD-5B's longest")

    version = prompts.VERSION
    requires: frozenset[Kind] = frozenset({"pixels", "brief_texts", "objects"})
    optional: frozenset[Kind] = frozenset({"scene_text", "region_briefs"})
    produces: frozenset[Kind] = frozenset({"detailed_texts"})
    resources = Resources(cpus=1, memory_mb=6000)
    batch_size = 16
    libraries: ClassVar[tuple[str, ...]] = CHECKPOINTS

    def __init__(self, params: Params) -> None:
        self.params = params
        self.model = params.identity
        self._chat: ChatModel | None = None

    def load(self) -> None:
        self._chat = ChatModel(self.params)

    @property
    def reduced(self) -> bool:
        """Whether passes are smaller than asked for, for want of memory."""
        return self._chat is not None and self._chat.loaded.passes.reduced

    def annotate(self, batch: Sequence[Sample]) -> Sequence[Annotations]:
        """At most one text per granularity and image, in the order of `granularities`."""
        assert self._chat is not None, "load() runs before annotate()"
        asked = [(i, p) for i, s in enumerate(batch) for p in prompts.descriptions(s, self.params, with_image=True)]
        turns = [Turn(pixels_of(batch[index]), prompt) for index, (_, prompt) in asked]
        texts: list[list[Text]] = [[] for _ in batch]
        for (index, (name, _)), (words, answer) in zip(asked, self._chat.write(turns, self.params), strict=True):
            said = prompts.described(words, whole=len(answer.ids) < self.params.max_new_tokens)
            if said:
                texts[index].append(Text(granularity=name, text=said, score=answer.score))
        return [Annotations(texts=tuple(of_image)) for of_image in texts]
