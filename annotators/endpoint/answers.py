"""What an endpoint answered: read strictly, and kept in the root, so that nothing is paid for twice."""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, Field, JsonValue, ValidationError

from fld_engine.engine.data.hashing import canonical_json, sha256_hex
from fld_engine.engine.data.store import Store

log = logging.getLogger(__name__)

Json = Mapping[str, JsonValue]


class GarbledAnswer(ValueError):
    """An answer that does not follow the protocol, or says nothing."""


@dataclass(frozen=True, slots=True)
class Answer:
    """The text of an answer; `whole` unless it was cut off.

    `probabilities` are of its tokens, and `first` of the candidates for its first token; both are empty where the
    endpoint does not tell.
    """

    text: str
    whole: bool
    probabilities: tuple[float, ...]
    first: Mapping[str, float]


class _Candidate(BaseModel):
    token: str
    logprob: float = Field(le=0.01)  # 0 but for rounding


class _Token(_Candidate):
    top_logprobs: list[_Candidate] = []


class _Logprobs(BaseModel):
    content: list[_Token] | None = None


class _Message(BaseModel):
    content: str | None = None
    refusal: str | None = None


class _Choice(BaseModel):
    message: _Message
    finish_reason: str | None = None
    logprobs: _Logprobs | None = None


class _Usage(BaseModel):
    total_tokens: int = Field(ge=0)


class _Completion(BaseModel):
    choices: list[_Choice] = Field(min_length=1)


def decode(body: str) -> Json:
    """The body of a response as JSON. Raises `GarbledAnswer`."""
    try:
        raw = json.loads(body, parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        raise GarbledAnswer(f"not JSON ({error}): {body[:80]!r}") from error
    if not isinstance(raw, dict):
        raise GarbledAnswer(f"not a chat completion: {body[:80]!r}")
    return raw


def num_tokens(raw: Json) -> int | None:
    """What request and answer cost, whatever else the answer is worth; None where the endpoint does not tell."""
    try:
        return _Usage.model_validate(raw.get("usage")).total_tokens
    except ValidationError:
        return None


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no JSON number")


def read(raw: Json) -> Answer:
    """The answer in a chat completion. Raises `GarbledAnswer` for anything else, and for an empty one."""
    try:
        completion = _Completion.model_validate(raw)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"])) or "answer"
        raise GarbledAnswer(f"not a chat completion: {where}: {first['msg']}") from error
    choice = completion.choices[0]
    text = choice.message.content or ""
    if not text.strip():
        why = choice.message.refusal or f"finish_reason {choice.finish_reason!r}"
        raise GarbledAnswer(f"empty answer ({why[:120]})")
    tokens = (choice.logprobs.content if choice.logprobs else None) or []
    return Answer(
        text=text,
        whole=choice.finish_reason != "length",
        probabilities=tuple(min(1.0, math.exp(token.logprob)) for token in tokens),
        first=_summed([tokens[0], *_others(tokens[0])]) if tokens else {},
    )


def _others(token: _Token) -> list[_Candidate]:
    return [candidate for candidate in token.top_logprobs if candidate.token != token.token]


def _summed(candidates: list[Any]) -> dict[str, float]:
    """Probabilities by word: a token without its spaces, in lower case; such as `yes` for `Yes` and ` yes`."""
    found: dict[str, float] = {}
    for candidate in candidates:
        word = candidate.token.strip(" ▁Ġ\n").lower()
        found[word] = found.get(word, 0.0) + math.exp(candidate.logprob)
    return found


class Answers:
    """Answers kept under `url/<image id>/<sha256 of the request>.json`; without a url, nothing is kept.

    A request is kept with the image replaced by its id, which is the beginning of the sha256 of its bytes, and the view
    of it; a key is no part of it. Removing an image's folder removes what was said about it.
    """

    def __init__(self, url: str | None) -> None:
        self._store = Store(url) if url else None

    def find(self, image_id: str, request: Json) -> Answer | None:
        """What was answered to the same request, if it was asked before."""
        if self._store is None:
            return None
        path = _path(image_id, request)
        try:
            kept = self._store.read_bytes(path)
        except FileNotFoundError:
            return None
        try:
            return read(json.loads(kept)["answer"])
        except (ValueError, KeyError, TypeError) as error:
            log.warning("the kept answer %s cannot be read (%s): asking again", path, error)
            return None

    def keep(self, image_id: str, request: Json, answer: Json) -> None:
        """Write an answer as it came, whole or not at all."""
        if self._store is not None:
            kept = {"request": request, "answer": answer, "usage": answer.get("usage")}
            self._store.write_bytes(_path(image_id, request), canonical_json(kept).encode())


def _path(image_id: str, request: Json) -> str:
    return f"{image_id}/{sha256_hex(canonical_json(request).encode())}.json"
