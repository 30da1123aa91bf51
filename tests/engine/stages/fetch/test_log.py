"""What was answered is not lost where a process is killed, nor kept where an image is removed."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from tempfile import SpooledTemporaryFile

import fsspec
import pytest

from fld_engine.engine.data.hashing import sha256_hex
from fld_engine.engine.data.store import Store
from fld_engine.engine.stages.fetch.answer import Answer
from fld_engine.engine.stages.fetch.log import AnswerLog, read_log, rewrite_log


@pytest.fixture(params=["disk", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    yield Store(str(tmp_path) if request.param == "disk" else "memory://answers")
    fsspec.filesystem("memory").store.clear()


def answer(data: bytes) -> Answer:
    body = SpooledTemporaryFile[bytes]()
    body.write(data)
    return Answer(http_status=200, extension="jpg", num_bytes=len(data), sha256=sha256_hex(data), body=body)


def written(store: Store) -> list[str]:
    with AnswerLog(store, "w/000.a") as log:
        for index, data in enumerate((b"first" * 100, b"second" * 100)):
            log.append(7, index, answer(data))
        log.append(7, 2, Answer(reason="status_404", http_status=404))
    return [f"w/{name}" for name in sorted(store.list_names("w"))]


def test_answers_are_read_as_they_were_written(store: Store) -> None:
    noted = [one for name in written(store) for one in read_log(store, name)]
    assert [(one.shard, one.index, one.fields["reason"]) for one in noted] == [
        (7, 0, ""),
        (7, 1, ""),
        (7, 2, "status_404"),
    ]
    with store.open_read(noted[1].log) as stream:
        stream.seek(noted[1].offset)
        assert stream.read(noted[1].num_bytes) == b"second" * 100


def test_a_log_that_breaks_off_anywhere_has_all_answers_before(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    (name,) = written(store)
    whole, path = list(read_log(store, name)), store.path(name)
    ends = [one.offset + one.num_bytes for one in whole]
    for size in range(os.path.getsize(path), -1, -37):
        os.truncate(path, size)
        assert len(list(read_log(store, name))) == sum(end <= size for end in ends)


def test_a_removed_image_leaves_no_byte_in_a_log_and_the_others_stay(store: Store) -> None:
    (name,) = written(store)
    rewrite_log(store, name, [sha256_hex(b"first" * 100)[:32]])
    assert b"first" not in store.read_bytes(name)
    noted = list(read_log(store, name))
    assert [one.fields["reason"] for one in noted] == ["removed", "", "status_404"]
    with store.open_read(name) as stream:
        stream.seek(noted[1].offset)
        assert stream.read(noted[1].num_bytes) == b"second" * 100
