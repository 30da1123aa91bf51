"""A model hub on this machine: the routes that looking up a revision and fetching its files need, and its refusals."""

from __future__ import annotations

import hashlib
import json
import re
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

ROUTE = re.compile(
    r"/api/models/(?P<asked>[^?]+?)/(?P<what>revision|tree)/(?P<of>[^/?]+)"
    r"|/(?P<repo>[^?]+?)/resolve/(?P<commit>[^/]+)/(?P<path>[^?]+)"
)


@dataclass
class Repo:
    """Files by commit; `branches` names commits; `gated` ones show their listing, never their files."""

    commits: Mapping[str, Mapping[str, bytes]]
    branches: dict[str, str]
    gated: bool = False


@dataclass
class Hub:
    repos: dict[str, Repo] = field(default_factory=dict)
    url: str = ""
    requests: list[str] = field(default_factory=list)
    truncates: bool = False
    """Whether connections break in the middle of a file."""

    def add(self, repo: str, folder: Path, commit: str, *, branch: str = "main", gated: bool = False) -> None:
        files = {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}
        files[".gitattributes"] = b"*.safetensors filter=lfs\n"  # every repository of the hub has it
        self.repos[repo] = Repo({commit: files}, {branch: commit}, gated)

    @property
    def downloads(self) -> list[str]:
        return [line.rpartition("/")[2] for line in self.requests if line.startswith("GET") and "/resolve/" in line]


@contextmanager
def serving_hub() -> Iterator[Hub]:
    hub = Hub()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_HEAD(self) -> None:
            self._answer()

        def do_GET(self) -> None:
            self._answer()

        def _answer(self) -> None:
            hub.requests.append(f"{self.command} {self.path}")
            match = ROUTE.match(self.path)
            repo = hub.repos.get(match["asked"] or match["repo"]) if match else None
            if match is None or repo is None:
                return self._send(404, b"", {"X-Error-Code": "RepoNotFound"})
            revision = match["of"] or match["commit"]
            commit = repo.branches.get(revision, revision)
            files = repo.commits.get(commit)
            if files is None:
                return self._send(404, b"", {"X-Error-Code": "RevisionNotFound"})
            if match["what"] == "revision":
                return self._send_json({"id": match["asked"], "sha": commit})
            if match["what"] == "tree":
                return self._send_json([_entry(path, data) for path, data in files.items()])
            if repo.gated:
                return self._send(401, b"", {"X-Error-Code": "GatedRepo"})
            data = files[match["path"]]
            return self._send(200, data, {"X-Repo-Commit": commit, "ETag": f'"{_sha(data)}"'}, cut=hub.truncates)

        def _send_json(self, answer: object) -> None:
            self._send(200, json.dumps(answer).encode(), {"Content-Type": "application/json"})

        def _send(self, status: int, body: bytes, headers: Mapping[str, str], cut: bool = False) -> None:
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(body[: len(body) // 2] if cut else body)
            self.close_connection = cut

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    hub.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _entry(path: str, data: bytes) -> dict[str, object]:
    return {"type": "file", "path": path, "size": len(data), "oid": hashlib.sha1(data).hexdigest()}


def _sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
