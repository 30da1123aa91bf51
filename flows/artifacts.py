"""What Prefect's pages show of a run: how far each stage is, what came of it, and where the report is."""

from __future__ import annotations

import hashlib
import logging
import os
import re
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.actions import ArtifactCreate, ArtifactUpdate
from prefect.context import FlowRunContext

from fld_engine.engine.data.store import Store
from fld_engine.flows.board import Board, Now
from fld_engine.flows.progress import Ticker, told
from fld_engine.schemas.masking import masked

log = logging.getLogger(__name__)

UPDATE_S = 5.0
"""Between two looks at what has moved: each step costs a request where it did."""
END_LIMIT_S = 10.0
"""As long a run waits at its end for a server that does not answer."""
LONGEST_NAME = 40


def key_of(store: Store, *what: str) -> str:
    """A key of an artifact: what it is, the root's name, and eight digits of its address, in `a-z`, `0-9` and `-`.

    Roots of one server have histories of their own, though they bear the same name.
    """
    address = masked(store.base if store.local else store.url)
    name = _slug(address.rstrip("/").rpartition("/")[2])[:LONGEST_NAME].strip("-")
    parts = ["fld", *map(_slug, what), name, hashlib.sha256(address.encode()).hexdigest()[:8]]
    return "-".join(part for part in parts if part)


@contextmanager
def progress_artifacts(store: Store, board: Board) -> Iterator[None]:
    """Within a flow: a progress artifact for each stage and each of its steps, which moves every `UPDATE_S`."""
    context = FlowRunContext.get()
    if context is None or context.flow_run is None:
        yield
        return
    with get_client(sync_client=True) as client:
        shown = _Shown(store, client, context.flow_run.id)
        board.listeners.append(lambda event, now: shown.note(event, now))
        with Ticker(UPDATE_S, lambda: shown.show(board.now()), end_limit_s=END_LIMIT_S):
            yield


class _Shown:
    """The artifacts of a run. Requests are made by the ticking thread alone: a run does not wait for them."""

    def __init__(self, store: Store, client: SyncPrefectClient, flow_run_id: UUID) -> None:
        self._store, self._client, self._flow_run_id = store, client, flow_run_id
        self._ids: dict[str, UUID] = {}
        self._said: dict[str, tuple[float, str]] = {}
        self._ended: list[Now] = []
        self._over: set[str] = set()
        self._warned = False

    def note(self, event: str, now: Now) -> None:
        """Keep the last state of a stage, which may be over before anybody looks, or while somebody tells of it."""
        if event == "ended":
            self._over.add(now.stage)
            self._ended.append(now)
        elif event == "began":
            self._over.discard(now.stage)

    def show(self, now: Now) -> None:
        """Tell the server what has moved. Where it cannot be told, the run goes on, and says so once."""
        try:
            while self._ended:
                for what, _, text in _bars(self._ended[0]):
                    self._put((self._ended[0].stage, *what), 100.0, text)
                self._ended.pop(0)
            for what, percent, text in _bars(now):
                if now.stage not in self._over:
                    self._put((now.stage, *what), percent, text)
        except httpx.HTTPError as error:
            level = logging.DEBUG if self._warned else logging.WARNING
            log.log(level, "Prefect could not be told of the progress of this run: %s", error)
            self._warned = True

    def _put(self, what: Sequence[str], percent: float, text: str) -> None:
        key = key_of(self._store, "progress", *what)
        if self._said.get(key) == (percent, text):
            return
        description = f"{text} ({masked(self._store.url)})"
        if key in self._ids:
            self._client.update_artifact(self._ids[key], ArtifactUpdate(data=percent, description=description))
        else:
            made = ArtifactCreate(
                key=key, type="progress", data=percent, description=description, flow_run_id=self._flow_run_id
            )
            self._ids[key] = self._client.create_artifact(made).id
        self._said[key] = (percent, text)


def _bars(now: Now) -> Iterator[tuple[tuple[str, ...], float, str]]:
    """What there is to show of a stage: itself, then its steps where there are several; percent and a line of each."""
    if not now.stage:
        return
    yield (), round(now.percent or 0.0, 1), told(now)
    for step in now.steps if len(now.steps) > 1 else ():
        percent = min(100.0, 100 * step.done / step.total) if step.total else 0.0
        alone = Now(step.name, "", now.elapsed_s, (step,), now.crew)
        yield (step.name,), round(percent, 1), told(alone)


def where_to_look(store: Store, path: str) -> str:
    """How to open a page of a root from a browser, in Markdown; a page of Prefect cannot follow links to files."""
    folder = path.rpartition("/")[0]
    if store.local:
        page = Path(store.path(path)).absolute()
        return (
            f"On `{socket.gethostname()}`, open `{page.as_uri()}` in a browser. From elsewhere, fetch its folder "
            f"first: `scp -r {socket.gethostname()}:{page.parent} report`, then open `report/{page.name}`."
        )
    url, protocol = masked(store.url), store.url.partition("://")[0]
    bucket, _, key = masked(store.path(path)).partition("/")
    if protocol in ("http", "https"):
        return f"[Open the report]({url}/{path})"
    if protocol in ("gs", "gcs"):
        link, fetch = f"https://storage.cloud.google.com/{bucket}/{key}", "gcloud storage cp -r"
    elif protocol in ("s3", "s3a") and not _own_endpoint(store):
        link, fetch = f"https://console.aws.amazon.com/s3/object/{bucket}?prefix={key}", "aws s3 cp --recursive"
    else:
        return f"It is `{url}/{path}`: fetch folder `{url}/{folder}` and open `{Path(path).name}` in a browser."
    return (
        f"[The page in the console of its store]({link}) (for whoever may read the bucket). With all of its pictures: "
        f"`{fetch} {url}/{folder} report`, then open `report/{Path(path).name}`."
    )


def _own_endpoint(store: Store) -> bool:
    """Whether an S3 that is not Amazon's is meant: their console does not know it."""

    kwargs: Any = getattr(store.fs, "client_kwargs", None) or {}
    asked = (getattr(store.fs, "endpoint_url", None), kwargs.get("endpoint_url"))
    return any(asked) or any(os.environ.get(name) for name in ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3"))


def _slug(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
