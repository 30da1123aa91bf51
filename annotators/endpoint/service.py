"""The endpoint itself: connected to, looked at, asked; what it says when it refuses."""

from __future__ import annotations

import os
import weakref
from collections.abc import Callable, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from fld_engine.annotators.endpoint.params import EndpointParams
from fld_engine.engine.data.secrets import resolved
from fld_engine.schemas.errors import FldError, ModelError

if TYPE_CHECKING:
    import openai

CHAT, MODELS = "/chat/completions", "/models"
LOOK_UP: openai.RequestOptions = {"max_retries": 1, "timeout": 10.0}


class NoAnswer(FldError):
    """The endpoint refused one request, or gave no answer to it in time, retries included."""


class Service:
    """One model behind an endpoint. Safe to use from several threads; `on_retry` is called before each retry.

    Retries, with their backoff and jitter and their respect for `Retry-After` up to two minutes, are the `openai`
    client's own. The key is read from the environment, and is in no message.
    """

    def __init__(self, params: EndpointParams, on_retry: Callable[[], None]) -> None:
        """Raises `ModelError` where the package that speaks the protocol is not installed."""
        try:
            import openai
        except ImportError as error:
            raise ModelError("asking an endpoint needs the package openai: pip install 'fld-engine[hub]'") from error
        from fld_engine.annotators.endpoint.wire import http_client

        self._params = params
        self._accepted = False
        self._key = os.environ.get(params.key_variable, "") if params.key_variable else ""
        http = http_client(params.timeout_s, params.concurrency, on_retry)
        weakref.finalize(self, http.close)  # annotators are not closed, but connections are to be
        self._client = openai.OpenAI(
            api_key=self._key or "none",
            base_url=resolved(params.base_url),
            max_retries=params.max_retries,
            http_client=http,
        )
        # these come from the environment and belong to another endpoint
        self._client.organization = self._client.project = self._client.admin_api_key = None

    def send(self, body: Mapping[str, Any]) -> str:
        """The body of the response to a chat request.

        Raises `NoAnswer` where this request failed, `ModelError` where every other would, too.
        """
        import httpx2
        import openai

        try:
            said = self._client.post(CHAT, cast_to=httpx2.Response, body=body).text
        except (openai.AuthenticationError, openai.PermissionDeniedError, openai.NotFoundError) as error:
            if self._accepted and error.status_code == 403:  # what some endpoints say of contents they moderate
                raise NoAnswer(self._told(error)) from error
            raise self._refused(error) from error
        except openai.APIError as error:
            raise NoAnswer(self._told(error)) from error
        self._accepted = True
        return said

    def check(self) -> None:
        """Raise `ModelError` unless the endpoint lets us in and serves the model, as far as it tells."""
        import openai

        if self._params.key_variable and not self._key:
            raise ModelError(
                f"environment variable {self._params.key_variable}, which key_variable names, is not set: "
                f"put the key of {self._params.base_url} into it"
            )
        try:
            served = self._served()
        except (openai.AuthenticationError, openai.PermissionDeniedError) as error:
            raise self._refused(error) from error
        except openai.APIError as error:
            raise ModelError(f"endpoint {self._params.base_url} cannot be used: {self._told(error)}") from error
        if served and not any(fnmatchcase(self._params.model, name) for name in served):
            raise ModelError(self._not_served(served))

    def _served(self) -> list[str]:
        """Names of the models that the endpoint lists; none where it has no such list."""
        import httpx2
        import openai

        try:
            listed = self._client.get(MODELS, cast_to=httpx2.Response, options=LOOK_UP).json()
            return sorted(str(model["id"]) for model in listed["data"])
        except (openai.NotFoundError, ValueError, KeyError, TypeError):
            return []

    def _not_served(self, served: Sequence[str]) -> str:
        return (
            f"endpoint {self._params.base_url} does not serve model {self._params.model!r}; "
            f"it serves: {', '.join(served) or 'it does not say which'}"
        )

    def _refused(self, error: openai.APIStatusError) -> ModelError:
        import openai

        if error.status_code == 404:
            try:
                served = self._served()
            except openai.APIError:
                served = []
            hint = "" if served else "; is base_url right, up to and with /v1?"
            return ModelError(f"{self._not_served(served)}{hint}")
        name = self._params.key_variable
        cure = f"check the key in environment variable {name}" if name else "name a variable with a key as key_variable"
        return ModelError(f"endpoint {self._params.base_url} refuses us: {self._told(error)}; {cure}")

    def _told(self, error: openai.APIError) -> str:
        """What the client says of a failure, on one line and without the key, which some endpoints repeat."""
        said = " ".join(f"{type(error).__name__}: {error.message} {error.__cause__ or ''}".split())
        return (said.replace(self._key, "***") if self._key else said)[:200]
