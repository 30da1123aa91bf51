"""Files that are created or replaced only where nobody else did so in between.

Locally, all of it happens under one lock of the root. S3 compares on its side (`If-None-Match`, `If-Match`). Other
stores create conditionally where their file system in fsspec does; they cannot compare before they replace, so there
two drivers that write within the same moment may both believe that they came first.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

from filelock import FileLock, Timeout

from fld_engine.engine.data.hashing import sha256_hex
from fld_engine.engine.data.store import Store
from fld_engine.schemas.errors import RootError

log = logging.getLogger(__name__)

LOCK_FILE = "lease.lock"
"""An empty file that is never deleted: who unlinks a lock lets two in."""
LOCK_LIMIT_S = 30.0
"""How long to wait for the lock, which is held for the time of one small write."""

LOST_RACE = (409, 412)
"""What S3 answers where the precondition of a write failed, or another conditional write is under way."""


class Overtaken(Exception):
    """Somebody else wrote the file first; it is as they left it."""


class Version(str):
    """What a store calls the content of a file that was read: an entity tag, or a hash of the bytes."""


def read_version(store: Store, relative: str) -> tuple[bytes, Version] | None:
    """A file and its version; `None` where there is none.

    A file that changes meanwhile may come with the version before, which `replace` then finds overtaken.
    """
    try:
        tag = None
        if _has_tags(store):
            tag = Version(store.asked(relative, lambda: store.fs.info(store.path(relative))["ETag"]))
        data = store.read_bytes(relative)
    except FileNotFoundError:
        return None
    return data, tag or Version(sha256_hex(data))


def create(store: Store, relative: str, data: bytes) -> None:
    """Write a file that is not there. Raises `Overtaken` where it is, with other bytes."""
    try:
        if store.local:
            with root_lock(store):
                if store.exists(relative):
                    raise FileExistsError(relative)
                store.write_bytes(relative, data)
        else:
            store.asked(relative, lambda: store.fs.pipe_file(store.path(relative), data, mode="create"))
    except OSError as error:
        _settle(store, relative, data, error)


def replace(store: Store, relative: str, data: bytes, version: Version) -> None:
    """Write a file over the version of it that was read. Raises `Overtaken` where it is another one by now, or gone."""
    try:
        if _has_tags(store):
            store.asked(relative, lambda: store.fs.pipe_file(store.path(relative), data, IfMatch=str(version)))
            return
        with root_lock(store):
            found = read_version(store, relative)
            if found is None or found[1] != version:
                raise FileExistsError(relative)
            store.write_bytes(relative, data)
    except OSError as error:
        _settle(store, relative, data, error)


def _settle(store: Store, relative: str, data: bytes, error: OSError) -> None:
    """Tell a lost race from other errors, and from a write that was done and whose answer was lost."""
    answer = getattr(error.__cause__, "response", {}).get("ResponseMetadata", {}).get("HTTPStatusCode")
    if not (isinstance(error, FileExistsError | FileNotFoundError) or answer in LOST_RACE):
        raise error
    found = read_version(store, relative)
    if found is None or found[0] != data:
        raise Overtaken(relative) from error


@contextmanager
def root_lock(store: Store) -> Iterator[None]:
    """Exclude all other processes that use this root through the same file system; nothing on an object store.

    Raises `RootError` where the lock is not to be had, or the root cannot be written.
    """
    if not store.local:
        _warn_of_races(store.url)
        yield
        return
    try:
        os.makedirs(store.base, exist_ok=True)
        lock = FileLock(store.path(LOCK_FILE), timeout=LOCK_LIMIT_S, is_singleton=False)
        lock.acquire(poll_interval=0.005)
    except Timeout as error:
        raise RootError(
            f"{store.url}/{LOCK_FILE} has been locked for {LOCK_LIMIT_S:.0f} s, which one small write does not take: "
            "look for a driver of this root that is stopped or hangs, and end it"
        ) from error
    except OSError as error:
        raise RootError(
            f"cannot lock {store.url}/{LOCK_FILE}: {error}; give a --root that is writable, on a file system with locks"
        ) from error
    try:
        yield
    finally:
        lock.release()


def _has_tags(store: Store) -> bool:
    protocol = store.fs.protocol
    return "s3" in ((protocol,) if isinstance(protocol, str) else protocol)


@cache
def _warn_of_races(url: str) -> None:
    log.warning(
        "the store of %s does not compare before it replaces: two drivers that start in the same moment may not see "
        "each other; start one at a time",
        url,
    )
