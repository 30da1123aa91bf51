"""A bucket of its own on a real S3 protocol, spoken by moto's server, which fails on demand."""

from __future__ import annotations

import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, Literal

import fsspec
import pytest
from moto.moto_server.threaded_moto_server import MotoRequestHandler
from moto.server import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import make_server

Kind = Literal[
    "500", "503", "AccessDenied", "ExpiredToken", "expired with 403", "truncated", "broken", "unheard", "slow"
]
"""`broken` connections break before a request is done, `unheard` is done and its answer lost."""
Weather = Callable[[dict[str, Any]], Kind | None]
"""What befalls a request, given as WSGI's environment."""
Application = Callable[[dict[str, Any], Any], Iterable[bytes]]

_ANSWERS = {
    "500": ("500 Internal Server Error", "InternalError"),
    "503": ("503 Slow Down", "SlowDown"),
    "AccessDenied": ("403 Forbidden", "AccessDenied"),
    "ExpiredToken": ("400 Bad Request", "ExpiredToken"),
    "expired with 403": ("403 Forbidden", "ExpiredToken"),  # as STS and other stores answer
}
SLOW_S = 0.3


@dataclass
class Trouble:
    """What befalls the next `times` requests of a method whose path has `place` in it; `seen` counts them."""

    kind: Kind
    place: str
    times: int
    method: str = "GET"
    seen: int = 0

    def __call__(self, environ: dict[str, Any]) -> Kind | None:
        hit = environ["REQUEST_METHOD"] == self.method and self.place in environ["PATH_INFO"]
        hit = hit and self.seen < self.times
        self.seen += hit
        return self.kind if hit else None


@dataclass
class FirstTimes:
    """Every request fails the first time that it is made, in one way after the other; `seen` are those."""

    seen: set[tuple[str, ...]] = field(default_factory=set)

    def __call__(self, environ: dict[str, Any]) -> Kind | None:
        method = environ["REQUEST_METHOD"]
        request = (method, *(str(environ.get(key)) for key in ("PATH_INFO", "QUERY_STRING", "HTTP_RANGE")))
        if request in self.seen:
            return None
        self.seen.add(request)
        kinds: tuple[Kind, ...] = ("500", "503", "broken", "truncated" if method == "GET" else "unheard")
        return kinds[len(self.seen) % len(kinds)]


@dataclass
class Denied:
    """Access is taken away after so many requests, for good; `num` counts those that were refused."""

    after: int
    num: int = 0

    def __call__(self, environ: dict[str, Any]) -> Kind | None:
        self.after -= 1
        self.num += self.after < 0
        return "AccessDenied" if self.after < 0 else None


@dataclass
class Bucket:
    """`url` of an empty bucket; requests meet the `troubles` that are in the list."""

    url: str
    troubles: list[Weather] = field(default_factory=list)


@contextmanager
def served_bucket() -> Iterator[str]:
    """URL of an empty bucket, which this process and those it starts reach through their environment."""
    with troubled_bucket() as bucket:
        yield bucket.url


@contextmanager
def troubled_bucket() -> Iterator[Bucket]:
    """An empty bucket, which this process and those it starts reach through their environment.

    What a server holds outlives it within a process, and s3fs remembers the address that it found first: hence a name
    that is never used again, and a cache that is emptied on both sides.
    """
    troubles: list[Weather] = []
    app = _failing(DomainDispatcherApplication(create_backend_app), troubles)
    server = make_server("127.0.0.1", 0, app, threaded=True, request_handler=MotoRequestHandler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    s3 = fsspec.get_filesystem_class("s3")
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{server.server_port}")
        environment.setenv("AWS_ACCESS_KEY_ID", "test")
        environment.setenv("AWS_SECRET_ACCESS_KEY", "test")
        environment.setenv("AWS_DEFAULT_REGION", "us-east-1")
        environment.setenv("AWS_MAX_ATTEMPTS", "1")  # what botocore hides by asking again would only take its time
        s3.clear_instance_cache()
        bucket = f"dataset-{uuid.uuid4().hex}"
        fsspec.filesystem("s3").mkdir(bucket)
        yield Bucket(f"s3://{bucket}", troubles)
        s3.clear_instance_cache()
    server.shutdown()
    thread.join()
    server.server_close()


def _failing(app: Application, troubles: list[Weather]) -> Application:
    def answer(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        kind = next((found for one in troubles if (found := one(environ)) is not None), None)
        if kind is None:
            return app(environ, start_response)
        if kind == "slow":
            time.sleep(SLOW_S)
            return app(environ, start_response)
        if kind in ("broken", "unheard"):
            if kind == "unheard":
                b"".join(app(environ, lambda *_: None))
            start_response("200 OK", [])
            with suppress(OSError):
                environ["werkzeug.socket"].shutdown(socket.SHUT_RDWR)
            return [b""]
        if kind == "truncated":
            whole = b"".join(app(environ, start_response))
            return [whole[: len(whole) // 2]]  # beneath the length that the headers promise
        environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))  # or the client takes it for a broken line
        status, code = _ANSWERS[kind]
        body = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>as S3 says it</Message></Error>".encode()
        start_response(status, [("Content-Type", "application/xml"), ("Content-Length", str(len(body)))])
        return [body] if environ["REQUEST_METHOD"] != "HEAD" else []

    return answer
