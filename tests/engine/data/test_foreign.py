"""Errors of the system and of libraries, really raised, become sentences that name the place and the cure."""

from __future__ import annotations

import errno
import importlib
import json
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from fld_engine.engine.data.foreign import cure_of, fault, said, translated
from fld_engine.engine.data.store import Store
from fld_engine.schemas.errors import ConfigError


def write_to_a_full_disk() -> None:
    with open("/dev/full", "wb", buffering=0) as full:
        full.write(b"x")


def commit_to_a_full_disk() -> None:
    store = Store("/dev")
    with store.open_commit("never-made") as stream:
        stream.write(b"x")
        raise OSError(errno.ENOSPC, "No space left on device")  # as a write within it would


def listen_twice() -> None:
    with socket.socket() as first, socket.socket() as second:
        first.bind(("127.0.0.1", 0))
        first.listen()
        second.bind(first.getsockname())


def connect_to_nobody() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = free.getsockname()
    socket.create_connection(address, timeout=5).close()


def wrap(cause: Callable[[], None]) -> None:
    try:
        cause()
    except OSError as error:
        raise RuntimeError("something of a library") from error


@pytest.mark.parametrize(
    ("fail", "holds"),
    [
        (write_to_a_full_disk, ("no space is left", "the disk is full", "TMPDIR")),
        (commit_to_a_full_disk, ("no space is left for /dev/never-made", "the same command goes on")),
        (lambda: wrap(write_to_a_full_disk), ("no space is left",)),
        (lambda: Path("/nowhere/at/all").read_bytes(), ("/nowhere/at/all: no such file", "check that this")),
        (listen_twice, ("a port is in use already", "end what listens there")),
        (connect_to_nobody, ("a connection could not be made", "can be reached from here")),
        (lambda: importlib.import_module("gcsfs_is_not_here"), ("library gcsfs_is_not_here is not installed", "pip")),
        (lambda: [b"x"] * (1 << 60), ("no memory left", "--workers")),
    ],
)  # fmt: skip
def test_what_people_can_mend_says_how(fail: Callable[[], object], holds: tuple[str, ...]) -> None:
    with pytest.raises(Exception) as raised:
        fail()
    known = translated(raised.value)
    assert known is not None, raised.value
    assert [part for part in holds if part not in str(known)] == [], str(known)


def test_an_extra_is_named_by_what_it_brings() -> None:
    assert "pip install 'fld-engine[s3]'" in cure_of("s3fs")
    assert "pip install 'fld-engine[gcs]'" in cure_of("gcsfs")
    assert cure_of("their_library").endswith("pip install their-library")


def test_a_file_of_a_root_that_is_cut_off_is_named(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    store.write_bytes("ingest/000001.json", b'{"num')
    store.write_bytes("a.parquet", b"PAR1")
    for name, read in (
        ("ingest/000001.json", lambda: store.read_model("ingest/000001.json", dict[str, int])),
        ("a.parquet", lambda: store.read_table("a.parquet")),
    ):
        with pytest.raises(Exception) as raised:
            read()
        assert str(translated(raised.value)).startswith(f"{tmp_path}/{name} is damaged")


def test_what_nobody_foresaw_is_a_fault_with_its_place_and_no_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match="Expecting") as raised:
        json.loads("{")
    assert translated(raised.value) is None
    told = fault(raised.value)
    assert "this is a fault of fld: JSONDecodeError: Expecting property name" in told
    assert ", in " in told
    assert "--debug" in told
    monkeypatch.setenv("FLD_DEBUG", "0")
    assert "Traceback" not in said(raised.value)
    monkeypatch.setenv("FLD_DEBUG", "1")
    assert "Traceback" in said(raised.value)


def test_credentials_in_what_a_library_says_are_shown_to_nobody() -> None:
    told = str(translated(ConnectionRefusedError("https://me:secret@host/x refused")))
    assert "secret" not in told


def test_errors_of_ours_are_what_they_are() -> None:
    ours = ConfigError("wrong")
    assert translated(ours) is ours
