"""A second look by a model behind an endpoint: does this label hold, is anything of this phrase missed?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from fld_engine.annotators.common import prompts
from fld_engine.annotators.endpoint.answers import Answer, GarbledAnswer
from fld_engine.annotators.endpoint.client import Ask, Client
from fld_engine.annotators.endpoint.params import EndpointParams
from fld_engine.engine.plan.protocols import Resources, Sample
from fld_engine.schemas.annotations import Annotations, Check
from fld_engine.schemas.kinds import Kind

OPTIONS = {"max_tokens": 1, "logprobs": True, "top_logprobs": 20}
"""The first token alone, with as many candidates as OpenAI and vLLM (by default) tell."""


class EndpointVerifier:
    """Asks what `HubChatVerifier` asks, of a multimodal model.

    A check's score is P(yes) / (P(yes) + P(no)) of the answer's first token; from an endpoint that does not tell
    probabilities it is 1 for yes and 0 for no. An answer that is neither is the image's failure.
    """

    class Params(EndpointParams, prompts.CheckParams):
        """Which model looks, at what, and at how much of it."""

    version = prompts.VERSION
    produces: frozenset[Kind] = frozenset({"checks"})
    resources = Resources(cpus=1, memory_mb=500)
    batch_size = 8
    libraries: ClassVar[tuple[str, ...]] = ()
    needs: ClassVar[tuple[str, ...]] = ("openai",)

    def __init__(self, params: Params) -> None:
        self.params = params
        self.model = params.identity
        self.requires, self.optional = prompts.reads(params)
        self._client = Client(params)

    def remember_at(self, url: str) -> None:
        self._client.remember_at(url)

    def load(self) -> None:
        self._client.open()

    @property
    def num_requests(self) -> int:
        return self._client.num_requests

    def annotate(self, batch: Sequence[Sample]) -> Sequence[Annotations]:
        """Checks of regions, the surest first, then of phrases; equal questions about an image are asked once."""
        asked = [(i, doubt) for i, sample in enumerate(batch) for doubt in prompts.doubts(sample, self.params)]
        answers = self._client.ask([Ask(batch[i], doubt.prompt, OPTIONS) for i, doubt in asked])
        checks: list[list[Check]] = [[] for _ in batch]
        for (i, doubt), answer in zip(asked, answers, strict=True):
            checks[i].append(Check(subject_id=doubt.subject_id, question=doubt.question, score=yes_share(answer)))
        return [Annotations(checks=tuple(of_image)) for of_image in checks]


def yes_share(answer: Answer) -> float:
    """Share of yes in the probability of yes and no together. Raises `GarbledAnswer` where neither is likely."""
    first = answer.first or {answer.text.strip(" .,!\n").lower(): 1.0}
    yes, no = first.get("yes", 0.0), first.get("no", 0.0)
    if yes + no == 0.0:
        likeliest = max(first, key=lambda word: first[word])
        raise GarbledAnswer(f"expected yes or no as the first word of the answer, got {likeliest!r}")
    return yes / (yes + no)
