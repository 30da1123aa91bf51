"""The wire under the `openai` client: limits on everything it waits for, and retries counted."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import httpx2

CONNECT_LIMIT_S = 10.0
RETRY_COUNT = "x-stainless-retry-count"
"""Header that the client puts on every request: how often it was sent before."""
DEADLINE = "fld_deadline"


def http_client(timeout_s: float, concurrency: int, on_retry: Callable[[], None]) -> httpx2.Client:
    """An HTTP client of at most `concurrency` connections that calls `on_retry` before it sends a request again.

    A response that is not whole `timeout_s` after its request, however it drips, raises `ReadTimeout`, which counts as
    every other timeout. Proxies of the environment are used.
    """

    def before(request: httpx2.Request) -> None:
        if request.headers.get(RETRY_COUNT, "0") != "0":
            on_retry()
        request.extensions = {**request.extensions, DEADLINE: time.monotonic() + timeout_s}

    def after(response: httpx2.Response) -> None:
        assert isinstance(response.stream, httpx2.SyncByteStream), "a client of blocking calls gives such a stream"
        response.stream = _Timed(response.stream, response.request)

    return httpx2.Client(
        limits=httpx2.Limits(max_connections=concurrency, max_keepalive_connections=concurrency),
        timeout=httpx2.Timeout(timeout_s, connect=min(timeout_s, CONNECT_LIMIT_S), pool=None),
        event_hooks={"request": [before], "response": [after]},
        follow_redirects=True,
    )


class _Timed(httpx2.SyncByteStream):
    """A response's bytes, until its deadline."""

    def __init__(self, inner: httpx2.SyncByteStream, request: httpx2.Request) -> None:
        self._inner, self._request = inner, request

    def __iter__(self) -> Iterator[bytes]:
        for chunk in self._inner:
            if time.monotonic() > self._request.extensions[DEADLINE]:
                raise httpx2.ReadTimeout("the response was not whole in time", request=self._request)
            yield chunk

    def close(self) -> None:
        self._inner.close()
