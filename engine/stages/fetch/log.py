"""Answers as they come, so that whoever is killed has lost nothing but what was under way.

A record is a header of fixed length, what is known of the answer as JSON, and the bytes. On a disk a log grows with
each answer, and may break off anywhere; on an object store it is written in parts of some megabytes.
"""

from __future__ import annotations

import json
import os
import struct
import time
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any

from fld_engine.engine.data.store import Store
from fld_engine.engine.sources.fetched import REMOVED
from fld_engine.engine.stages.fetch.answer import Answer

_HEADER = struct.Struct(">4sIQ")
_MARK = b"FLDa"
PART_BYTES = 8 * 2**20
PART_S = 5.0
COPIED_BYTES = 2**20
ID_CHARS = 32
"""Of a sha256, the id of an image."""


@dataclass(frozen=True, slots=True)
class Noted:
    """An answer in a log: of which row of which shard, and where its bytes are."""

    shard: int
    index: int
    fields: dict[str, Any]
    log: str
    offset: int

    @property
    def num_bytes(self) -> int:
        return int(self.fields["num_bytes"])


FIELDS = ("reason", "detail", "http_status", "address", "extension", "num_bytes", "sha256", "md5")


class AnswerLog:
    """Appends answers; a context. `stem` is the path of the log without its ending."""

    def __init__(self, store: Store, stem: str) -> None:
        self._store, self._stem, self._parts = store, stem, 0
        self._held: list[bytes] = []
        self._held_bytes, self._held_since = 0, time.monotonic()
        self._file: int | None = None
        self._end = 0

    def __enter__(self) -> AnswerLog:
        if self._store.local:
            path = self._store.path(self._name)
            os.makedirs(os.path.dirname(path), exist_ok=True)
            self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
        return self

    def __exit__(self, *raised: object) -> None:
        if self._file is not None:
            if raised[0] is None:
                os.fsync(self._file)  # a table is about to say that these are there
            os.close(self._file)
        elif raised[0] is None:
            self._flush()

    @property
    def _name(self) -> str:
        return f"{self._stem}-{self._parts:05d}.log"

    def append(self, shard: int, index: int, answer: Answer) -> Noted:
        """Write an answer with its bytes, and close these."""
        fields = {name: getattr(answer, name) for name in FIELDS}
        said = json.dumps({"shard": shard, "index": index, **fields}).encode()
        self._write(_HEADER.pack(_MARK, len(said), answer.num_bytes) + said)
        noted = Noted(shard, index, fields, self._name, self._end)
        if answer.body is not None:
            answer.body.seek(0)
            while data := answer.body.read(COPIED_BYTES):
                self._write(data)
            answer.body.close()
        if self._file is None and (self._held_bytes > PART_BYTES or time.monotonic() - self._held_since > PART_S):
            self._flush()
        return noted

    def _write(self, data: bytes) -> None:
        self._end += len(data)
        if self._file is None:
            self._held.append(data)
            self._held_bytes += len(data)
            return
        left = memoryview(data)
        while left:
            left = left[os.write(self._file, left) :]

    def _flush(self) -> None:
        if self._held:
            self._store.write_bytes(self._name, b"".join(self._held))
            self._parts += 1
        self._held, self._held_bytes, self._held_since, self._end = [], 0, time.monotonic(), 0


def read_log(store: Store, name: str) -> Iterator[Noted]:
    """The answers of a log up to where it breaks off; bytes are passed over."""
    with store.open_read(name) as stream:
        size = stream.seek(0, os.SEEK_END)
        at = 0
        while at + _HEADER.size <= size:
            stream.seek(at)
            mark, num_said, num_bytes = _HEADER.unpack(stream.read(_HEADER.size))
            body = at + _HEADER.size + num_said
            if mark != _MARK or body + num_bytes > size:
                return
            fields = json.loads(stream.read(num_said))
            yield Noted(fields.pop("shard"), fields.pop("index"), fields, name, body)
            at = body + num_bytes


def is_of(noted: Noted, images: Collection[str]) -> bool:
    """Whether an answer is one of these images, by their ids."""
    return noted.fields["sha256"][:ID_CHARS] in images


def rewrite_log(store: Store, name: str, images: Collection[str]) -> None:
    """A log whose answers that are one of these images say that it was removed, and nothing else of it."""
    removed = {"reason": REMOVED, "detail": "", "address": "", "extension": "", "num_bytes": 0, "sha256": "", "md5": ""}
    noted = list(read_log(store, name))
    with store.open_read(name) as old, store.open_commit(name) as new:
        for one in noted:
            fields = {**one.fields, **removed} if is_of(one, images) else one.fields
            said = json.dumps({"shard": one.shard, "index": one.index, **fields}).encode()
            new.write(_HEADER.pack(_MARK, len(said), fields["num_bytes"]) + said)
            old.seek(one.offset)
            new.write(old.read(fields["num_bytes"]))
