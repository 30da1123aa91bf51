"""Questions to an endpoint: many at once, each paid for once, every failure that of one image."""

from __future__ import annotations

import base64
import io
import logging
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from typing import Any

from pydantic import JsonValue

from fld_engine.annotators.common.prompts import Prompt
from fld_engine.annotators.endpoint.answers import Answer, Answers, Json, decode, num_tokens, read
from fld_engine.annotators.endpoint.budget import Budget, Spent
from fld_engine.annotators.endpoint.params import EndpointParams
from fld_engine.annotators.endpoint.service import Service
from fld_engine.engine.data.hashing import canonical_json
from fld_engine.engine.data.images import RGB
from fld_engine.engine.plan.protocols import Sample
from fld_engine.schemas.errors import ModelError

log = logging.getLogger(__name__)

JPEG_QUALITY = 92
"""Artefacts invisible at the sizes that models see (ours)."""


@dataclass(frozen=True, slots=True)
class Ask:
    """A prompt about a sample. `options` are fields of the request such as `max_tokens`."""

    sample: Sample
    prompt: Prompt
    options: Mapping[str, JsonValue]


class Client:
    """Asks one model. `open` before use; answers and tallies are kept under `url`, or nowhere."""

    def __init__(self, params: EndpointParams) -> None:
        self._params = params
        self._url: str | None = None
        self._failures: dict[str, Exception] = {}
        self._refusal: ModelError | None = None

    def remember_at(self, url: str) -> None:
        self._url = url

    @property
    def num_requests(self) -> int:
        """Requests sent since `open`, those that were made again included."""
        return self._budget.num_requests

    def open(self) -> None:
        """Connect. Raises `ModelError` where the endpoint cannot be used.

        Where it was asked before that is a warning only, as the answers that are kept may be all that is needed.
        """
        params = self._params
        self._answers = Answers(self._url)
        self._budget = budget = Budget(self._url, params.max_requests, params.max_tokens)
        self._service = Service(params, lambda: budget.count(Spent(requests=1)))
        try:
            self._service.check()
        except ModelError as error:
            if self._budget.is_untouched:
                raise
            log.warning("%s; going on with the answers that are kept", error)

    def ask(self, asks: Sequence[Ask]) -> list[Answer]:
        """An answer to each, in order; equal requests are sent once.

        All are tried before the first failure is raised. The failures of a batch are remembered until each of its
        images is asked about alone, so that looking for the guilty image costs nothing.
        """
        if not asks:
            return []
        requests = [self._request(ask) for ask in asks]
        keys = [f"{ask.sample.id} {canonical_json(request)}" for ask, request in zip(asks, requests, strict=True)]
        unique = {key: (ask, request) for key, ask, request in zip(keys, asks, requests, strict=True)}
        with self._budget.batch(), ThreadPoolExecutor(self._params.concurrency, "endpoint") as pool:
            futures = {key: pool.submit(self._answer, key, *one) for key, one in unique.items()}
        failures = {key: error for key, future in futures.items() if isinstance(error := future.exception(), Exception)}
        alone = len({ask.sample.id for ask in asks}) == 1
        for key, error in failures.items():
            if alone:
                self._failures.pop(key, None)
            else:
                self._failures[key] = error
        if failures:
            raise next(iter(failures.values()))
        return [futures[key].result() for key in keys]

    def _answer(self, key: str, ask: Ask, request: Json) -> Answer:
        """From the kept answers, else from the endpoint."""
        if kept := self._answers.find(ask.sample.id, request):
            return kept
        if failure := self._failures.get(key) or self._refusal:
            raise failure
        self._budget.take()
        raw = decode(self._send(_body(ask, request["request"], self._params.max_side)))
        cost = num_tokens(raw)
        self._budget.count(Spent(tokens=cost or 0))
        answer = read(raw)
        self._answers.keep(ask.sample.id, request, raw)
        if cost is None and self._params.max_tokens is not None:
            self._refusal = ModelError(
                f"endpoint {self._params.base_url} does not say how many tokens an answer took, which "
                "max_tokens needs: set max_requests instead"
            )
            raise self._refusal
        return answer

    def _send(self, body: Mapping[str, Any]) -> str:
        try:
            return self._service.send(body)
        except ModelError as refusal:
            self._refusal = refusal
            raise

    def _request(self, ask: Ask) -> Json:
        """What is asked, with the image named rather than shown: what an answer is kept under."""
        view = ask.prompt.view
        shown = None if view is None else {"image": ask.sample.id, "max_side": self._params.max_side, **asdict(view)}
        request: dict[str, JsonValue] = {
            "model": self._params.model,
            "messages": [{"role": "user", "content": ask.prompt.text}],
            "temperature": 0,
            "seed": self._params.seed,
            **ask.options,
            **self._params.extra,
        }
        request = {name: value for name, value in request.items() if value is not None}
        return {"request": request, "image": shown, "revision": self._params.identity.revision}


def _body(ask: Ask, request: JsonValue, max_side: int) -> dict[str, Any]:
    """The request as it is sent, with the image in it."""
    assert isinstance(request, dict)
    if ask.prompt.view is None:
        return dict(request)
    pixels = ask.sample.pixels
    assert pixels is not None, "a view needs pixels"
    url = f"data:image/jpeg;base64,{base64.b64encode(_jpeg(ask.prompt.view.of(pixels), max_side)).decode()}"
    content = [{"type": "image_url", "image_url": {"url": url}}, {"type": "text", "text": ask.prompt.text}]
    return {**request, "messages": [{"role": "user", "content": content}]}


def _jpeg(pixels: RGB, max_side: int) -> bytes:
    from PIL import Image

    image = Image.fromarray(pixels)
    image.thumbnail((max_side, max_side), Image.Resampling.LANCZOS)
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=JPEG_QUALITY, subsampling=0)  # colours as sharp as shapes, as outlines are red
    return stream.getvalue()
