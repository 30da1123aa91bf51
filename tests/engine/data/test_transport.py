"""What fails on the way to bytes, told apart from what the bytes are."""

from __future__ import annotations

import errno
import io
import ssl
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import aiohttp
import fsspec
import pytest
from botocore.exceptions import ClientError, EndpointConnectionError, NoCredentialsError
from s3fs.errors import translate_boto_error

from fld_engine.engine.data import transport
from fld_engine.engine.data.store import Store
from fld_engine.engine.data.transport import StoredFile, asked, failed, streamed
from fld_engine.schemas.errors import SourceError, TransportError
from tests.known_faults.far import Traffic, far_traffic


def s3(code: str) -> OSError:
    """What s3fs raises where S3 answers with an error code."""
    answer: Any = {"Error": {"Code": code, "Message": "as S3 says it"}, "ResponseMetadata": {}}
    error: OSError = translate_boto_error(ClientError(answer, "GetObject"))
    return error


def http(status: int) -> Exception:
    """What fsspec's http lets through where a server answers with a status."""
    request: Any = SimpleNamespace(real_url="http://host/a.jpg")
    return aiohttp.ClientResponseError(request, (), status=status)


ERRORS = [
    (s3("NoSuchKey"), "gone"),
    (FileNotFoundError(errno.ENOENT, "no such file"), "gone"),
    (http(404), "gone"),
    (http(410), "gone"),
    (s3("AccessDenied"), "forbidden"),
    (s3("InvalidObjectState"), "forbidden"),  # archived: it must be restored first
    (http(403), "forbidden"),
    (PermissionError(errno.EACCES, "permission denied"), "forbidden"),  # a file of this machine
    (s3("ExpiredToken"), "credentials"),
    (s3("InvalidAccessKeyId"), "credentials"),
    (s3("RequestTimeTooSkewed"), "credentials"),  # the clock of this machine signs wrongly
    (PermissionError("token expired"), "credentials"),
    (http(401), "credentials"),
    (NoCredentialsError(), "credentials"),
    (s3("SlowDown"), "unavailable"),
    (s3("InternalError"), "unavailable"),
    (s3("503"), "unavailable"),
    (http(429), "unavailable"),
    (http(502), "unavailable"),
    (OSError(errno.EBUSY, "please reduce your request rate"), "unavailable"),
    (ConnectionResetError(errno.ECONNRESET, "reset"), "interrupted"),
    (TimeoutError(), "interrupted"),
    (ssl.SSLError("bad record"), "interrupted"),
    (aiohttp.ClientPayloadError("not completed"), "interrupted"),
    (EndpointConnectionError(endpoint_url="http://nowhere"), "interrupted"),
    (OSError(errno.EIO, "input/output error"), "interrupted"),
]


@pytest.mark.parametrize(("error", "kind"), ERRORS, ids=[f"{kind} {error!r}"[:60] for error, kind in ERRORS])
def test_every_failure_has_the_name_that_leads_to_its_cure(error: Exception, kind: str) -> None:
    found = failed("s3://bucket/a.jpg", error)
    assert found.kind == kind
    assert str(found).startswith("s3://bucket/a.jpg: ")
    assert "run again" in str(found) or "next run" in str(found)


class Failing:
    """A request that fails some times before it is answered."""

    def __init__(self, error: Exception, times: int) -> None:
        self.error, self.left, self.num = error, times, 0

    def __call__(self) -> str:
        self.num += 1
        if self.left:
            self.left -= 1
            raise self.error
        return "answer"


def test_a_request_is_made_again_and_again_not_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    waited: list[float] = []
    monkeypatch.setattr(transport, "WAITS_S", (1.0, 2.0, 4.0))
    monkeypatch.setattr(transport.time, "sleep", waited.append)
    assert asked("u", Failing(s3("SlowDown"), times=3)) == "answer"
    assert waited == [1.0, 2.0, 4.0]
    request = Failing(s3("SlowDown"), times=99)
    with pytest.raises(TransportError, match="could not answer"):
        asked("u", request)
    assert request.num == 4


@pytest.mark.parametrize("error", [s3("NoSuchKey"), s3("AccessDenied"), MemoryError(), SourceError("changed")])
def test_an_answer_that_will_be_the_same_is_not_asked_for_again(error: Exception) -> None:
    request = Failing(error, times=99)
    with pytest.raises((TransportError, MemoryError, SourceError)):
        asked("u", request)
    assert request.num == 1


# ------------------------------------------------------------------------------------------------ a file of a store

CONTENT = bytes(range(256)) * 40


@pytest.fixture
def traffic(tmp_path: Path) -> Traffic:
    (tmp_path / "a.bin").write_bytes(CONTENT)
    return far_traffic()


@pytest.mark.parametrize("kind", [StoredFile, streamed])
def test_a_stored_file_reads_as_any_file_does(tmp_path: Path, traffic: Traffic, kind: Any) -> None:
    """Parsers seek from both ends and read past the end; each must get what a file in memory gives."""
    file, known = kind(fsspec.filesystem("far"), f"{tmp_path}/a.bin", "u"), io.BytesIO(CONTENT)
    for offset, whence, size in [
        (0, 0, 10),
        (-8, 2, 8),
        (0, 2, 5),
        (300, 0, 0),
        (5, 1, 1000),
        (-20, 2, 99),
        (7, 0, -1),
    ]:
        assert file.seek(offset, whence) == known.seek(offset, whence)
        assert file.read(size) == known.read(size)
        assert file.tell() == known.tell()
    buffer = bytearray(6)
    file.seek(250)
    assert file.readinto(buffer) == 6
    assert bytes(buffer) == CONTENT[250:256]


@pytest.mark.parametrize("kind", [StoredFile, streamed])
def test_fewer_bytes_than_are_listed_are_no_end_of_the_file(tmp_path: Path, traffic: Traffic, kind: Any) -> None:
    """A parser that is handed an end where there is none calls a good file truncated."""
    file = kind(fsspec.filesystem("far"), f"{tmp_path}/a.bin", "u", num_bytes=len(CONTENT) + 1)
    with pytest.raises(TransportError, match="did not arrive") as raised:
        file.read()
    assert raised.value.kind == "interrupted"


# ------------------------------------------------------------------------------------------------ a root


def always(error: Exception) -> Any:
    def trouble(path: str, start: int, stop: int) -> None:
        raise error

    return trouble


def test_a_root_whose_store_fails_is_not_taken_for_an_empty_one(
    tmp_path: Path, traffic: Traffic, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`False` for a file that is there would lose a run's history, and the ids of removed images with it."""
    store = Store(f"far://{tmp_path}")
    assert store.exists("a.bin")
    assert not store.exists("b.bin")
    with pytest.raises(FileNotFoundError):
        store.read_bytes("b.bin")
    assert store.list_names("nowhere") == set()
    monkeypatch.setattr(store.fs, "info", Failing(s3("SlowDown"), times=99))
    monkeypatch.setattr(store.fs, "ls", Failing(s3("SlowDown"), times=99))
    traffic.trouble = always(s3("SlowDown"))
    for ask in (store.exists, store.read_bytes, store.list_names):
        with pytest.raises(TransportError):
            ask("a.bin")


def test_a_write_that_failed_is_made_again_whole(tmp_path: Path, traffic: Traffic, monkeypatch: Any) -> None:
    store = Store(f"far://{tmp_path}/root")
    opened, left = store.fs._open, [s3("SlowDown"), s3("InternalError")]

    def flaky(path: str, mode: str = "rb", *more: Any, **named: Any) -> Any:
        if mode == "wb" and left:
            raise left.pop()
        return opened(path, mode, *more, **named)

    monkeypatch.setattr(store.fs, "_open", flaky)
    with store.open_commit("x.tar") as stream:
        stream.write(CONTENT)
    left.append(s3("SlowDown"))
    store.write_bytes("x.json", b"{}")
    assert (store.read_bytes("x.tar"), store.read_bytes("x.json")) == (CONTENT, b"{}")
