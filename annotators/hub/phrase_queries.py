"""How zero-shot detectors are asked for phrases, and which of their logits answer which phrase."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import torch

Columns = Sequence[Sequence[int]]
"""For each phrase, the columns of its image's (queries, columns) logits that answer it."""


class PhraseQueries(Protocol):
    """One way to put phrases to a model."""

    def chunks(self, phrases: Sequence[str]) -> list[list[str]]:
        """The phrases in order, cut into as many questions as they need."""
        ...

    def encode(self, questions: Sequence[Sequence[str]]) -> tuple[Mapping[str, Any], list[Columns]]:
        """Model inputs for one question per image, and each question's columns."""
        ...


@dataclass(frozen=True, slots=True)
class Sentences:
    """Grounding DINO and kin: phrases are sentences of one text of at most `max_tokens`, columns are its tokens."""

    tokenizer: Any
    max_tokens: int

    def chunks(self, phrases: Sequence[str]) -> list[list[str]]:
        """A phrase is followed by a full stop, and the text begins and ends with a mark; one too long is cut."""
        found: list[list[str]] = []
        room = 0
        for phrase in phrases:
            size = len(self.tokenizer(phrase, add_special_tokens=False)["input_ids"]) + 1
            if size > room:
                found.append([])
                room = self.max_tokens - 2
            found[-1].append(phrase)
            room -= size
        return found

    def encode(self, questions: Sequence[Sequence[str]]) -> tuple[Mapping[str, Any], list[Columns]]:
        """Texts are padded to the longest; the model masks what is padded."""
        encoded = self.tokenizer(
            ["".join(f"{phrase}. " for phrase in phrases).rstrip() for phrases in questions],
            padding=True,
            truncation=True,
            max_length=self.max_tokens,
            return_offsets_mapping=True,
            return_tensors="pt",
        )
        offsets = encoded.pop("offset_mapping").tolist()
        return encoded, [_tokens_of(phrases, of_text) for phrases, of_text in zip(questions, offsets, strict=True)]


@dataclass(frozen=True, slots=True)
class Queries:
    """OWL-ViT and OWLv2: every phrase is a query of its own, of at most `max_tokens`; longer ones are cut."""

    tokenizer: Any
    max_tokens: int

    def chunks(self, phrases: Sequence[str]) -> list[list[str]]:
        """All phrases in one question."""
        return [list(phrases)] if phrases else []

    def encode(self, questions: Sequence[Sequence[str]]) -> tuple[Mapping[str, Any], list[Columns]]:
        """Every image has as many queries as the one with most: what fills up is asked, and never read."""
        most = max(map(len, questions))
        texts = [text for phrases in questions for text in [*phrases, *[""] * (most - len(phrases))]]
        encoded = self.tokenizer(
            texts, padding="max_length", truncation=True, max_length=self.max_tokens, return_tensors="pt"
        )
        return encoded, [[(i,) for i in range(len(phrases))] for phrases in questions]


def phrase_queries(model: Any, processor: Any) -> PhraseQueries:
    """The way to ask a loaded model of `transformers`."""
    if model.config.model_type in ("owlvit", "owlv2"):
        return Queries(processor.tokenizer, model.config.text_config.max_position_embeddings)
    return Sentences(processor.tokenizer, model.config.max_text_len)


def spoken(phrase: str) -> str:
    """A phrase as zero-shot detectors were trained to read it: lower case, one line, without their delimiters.

    Empty where nothing is left of it.
    """
    return " ".join(phrase.lower().replace(".", " ").replace("?", " ").split())


def answers_of(logits: torch.Tensor, columns: Columns) -> torch.Tensor:
    """(queries, phrases) the best logit of each phrase's columns; minus infinity where a phrase has none."""
    import torch

    nothing = logits.new_full((len(logits),), -torch.inf)
    best = [logits[:, list(of_phrase)].amax(1) if of_phrase else nothing for of_phrase in columns]
    return torch.stack(best, dim=1)


def _tokens_of(phrases: Sequence[str], offsets: Sequence[tuple[int, int]]) -> Columns:
    """Tokens [start, end) of a text that lie within each of its phrases; padding and marks are empty."""
    spans = list(_spans(phrases))
    return [[i for i, (start, end) in enumerate(offsets) if first <= start < end <= last] for first, last in spans]


def _spans(phrases: Sequence[str]) -> Iterator[tuple[int, int]]:
    start = 0
    for phrase in phrases:
        yield start, start + len(phrase)
        start += len(phrase) + len(". ")
