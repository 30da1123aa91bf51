"""An OpenAI-compatible server on this machine that answers as told, badly too, and counts what it is asked."""

from __future__ import annotations

import json
import math
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

MODEL = "org/chat"


@dataclass
class Reply:
    """What is sent back. `close` breaks the connection instead; `drip_s` waits before each byte of the body."""

    status: int = 200
    body: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    wait_s: float = 0.0
    drip_s: float = 0.0
    close: bool = False


def said(text: str, *tokens: tuple[str, float], finish: str = "stop", num_tokens: int | None = 100) -> Reply:
    """A chat completion with the probabilities of its tokens, or without; the first token gets all as candidates."""
    logprobs = [{"token": token, "logprob": math.log(chance)} for token, chance in tokens]
    content = [{**token, "top_logprobs": logprobs if i == 0 else []} for i, token in enumerate(logprobs)]
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": finish}
    completion: dict[str, Any] = {"id": "x", "object": "chat.completion", "created": time.time_ns()}
    completion["choices"] = [{**choice, "logprobs": {"content": content} if tokens else None}]
    if num_tokens is not None:
        completion["usage"] = {"prompt_tokens": num_tokens - 10, "completion_tokens": 10, "total_tokens": num_tokens}
    return Reply(body=json.dumps(completion))


def failed(status: int, message: str = "no", **headers: str) -> Reply:
    body = json.dumps({"error": {"message": message, "code": status}})
    return Reply(status, body, {name.replace("_", "-"): value for name, value in headers.items()})


class Server:
    """`answer` makes a reply of a request's JSON and of how often the same was asked before; it may be replaced."""

    def __init__(self, answer: Callable[[dict[str, Any], int], Reply]) -> None:
        self.answer = answer
        self.key = ""
        self.requests: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.under_way = self.most_at_once = 0
        self._asked: Counter[str] = Counter()
        self._lock = threading.Lock()
        self.url = ""

    def reply(self, request: dict[str, Any], headers: dict[str, str]) -> Reply:
        with self._lock:
            self.requests.append(request)
            self.headers.append(headers)
            before = self._asked[json.dumps(request)]
            self._asked[json.dumps(request)] += 1
            self.under_way += 1
            self.most_at_once = max(self.most_at_once, self.under_way)
        try:
            if not self.lets_in(headers):
                return failed(401, f"wrong key {headers.get('authorization', '')}")
            if request["model"] != MODEL:
                return failed(404, "no such model")
            reply = self.answer(request, before)
            time.sleep(reply.wait_s)
            return reply
        finally:
            with self._lock:
                self.under_way -= 1

    def lets_in(self, headers: dict[str, str]) -> bool:
        return not self.key or headers.get("authorization") == f"Bearer {self.key}"


@contextmanager
def serving(answer: Callable[[dict[str, Any], int], Reply]) -> Iterator[Server]:
    server = Server(answer)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            headers = {name.lower(): value for name, value in self.headers.items()}
            if self.path != "/v1/models":
                self._send(failed(404))
            elif not server.lets_in(headers):
                self._send(failed(401, f"wrong key {headers.get('authorization', '')}"))
            else:
                self._send(Reply(body=json.dumps({"object": "list", "data": [{"id": MODEL}, {"id": "org/other"}]})))

        def do_POST(self) -> None:
            request = json.loads(self.rfile.read(int(self.headers["content-length"])))
            if self.path != "/v1/chat/completions":
                self._send(failed(404))
                return
            self._send(server.reply(request, {name.lower(): value for name, value in self.headers.items()}))

        def _send(self, reply: Reply) -> None:
            body = reply.body.encode()
            try:
                if not reply.close:
                    self.send_response(reply.status)
                    for name, value in {"content-type": "application/json", **reply.headers}.items():
                        self.send_header(name, value)
                    self.send_header("content-length", str(len(body)))
                    self.end_headers()
                    pieces = [body[i : i + 1] for i in range(len(body))] if reply.drip_s else [body]
                    for piece in pieces:
                        time.sleep(reply.drip_s)
                        self.wfile.write(piece)
                        self.wfile.flush()
            except (BrokenPipeError, ConnectionResetError):
                pass  # the client has had enough
            self.close_connection = reply.close or self.close_connection

        def log_message(self, format: str, *args: Any) -> None:
            """Quiet."""

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    http.daemon_threads = True
    thread = threading.Thread(target=http.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    server.url = f"http://127.0.0.1:{http.server_port}/v1"
    try:
        yield server
    finally:
        http.shutdown()
        http.server_close()
        thread.join()
