"""Detailed texts by a model behind an endpoint, from what is known of an image, with the image or without it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from pydantic import Field

from fld_engine.annotators.common import prompts
from fld_engine.annotators.common.confidence import confidence
from fld_engine.annotators.endpoint.client import Ask, Client
from fld_engine.annotators.endpoint.params import EndpointParams
from fld_engine.engine.plan.protocols import Resources, Sample
from fld_engine.schemas.annotations import Annotations, Text
from fld_engine.schemas.kinds import Kind


class EndpointCaptioner:
    """Writes what `HubChatCaptioner` writes, by a multimodal model, or by one that reads only (`with_image: false`).

    A text's score is the geometric mean of its tokens' probabilities; 0 from an endpoint that does not tell them. An
    answer that was cut off keeps its whole sentences; an answer without any gives no text.
    """

    class Params(EndpointParams, prompts.FactParams):
        """Which model writes, which texts, and what it is told."""

        with_image: bool = Field(default=True, description="show the image, too; false for a model that reads only")
        max_answer_tokens: int = Field(default=256, gt=0, description="longest answer; ours: over twice FLD-5B's")

    version = prompts.VERSION
    optional: frozenset[Kind] = frozenset({"scene_text", "region_briefs"})
    produces: frozenset[Kind] = frozenset({"detailed_texts"})
    resources = Resources(cpus=1, memory_mb=500)
    batch_size = 32
    libraries: ClassVar[tuple[str, ...]] = ()
    needs: ClassVar[tuple[str, ...]] = ("openai",)

    def __init__(self, params: Params) -> None:
        self.params = params
        self.model = params.identity
        seen: frozenset[Kind] = frozenset({"pixels"} if params.with_image else ())
        self.requires: frozenset[Kind] = seen | {"brief_texts", "objects"}
        self._client = Client(params)

    def remember_at(self, url: str) -> None:
        self._client.remember_at(url)

    def load(self) -> None:
        self._client.open()

    @property
    def num_requests(self) -> int:
        return self._client.num_requests

    def annotate(self, batch: Sequence[Sample]) -> Sequence[Annotations]:
        """At most one text per granularity and image, in the order of `granularities`."""
        params = self.params
        options = {"max_tokens": params.max_answer_tokens, "logprobs": True}
        asked = [
            (i, name, Ask(sample, prompt, options))
            for i, sample in enumerate(batch)
            for name, prompt in prompts.descriptions(sample, params, with_image=params.with_image)
        ]
        texts: list[list[Text]] = [[] for _ in batch]
        for (i, name, _), answer in zip(asked, self._client.ask([ask for *_, ask in asked]), strict=True):
            said = prompts.described(answer.text, whole=answer.whole)
            if said:
                texts[i].append(Text(granularity=name, text=said, score=confidence(answer.probabilities)))
        return [Annotations(texts=tuple(of_image)) for of_image in texts]
