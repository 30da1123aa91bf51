"""The user's model cache: where it is, how files get into it whole, and what a full or read-only disk says."""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from fld_engine.schemas.errors import ModelError

LOCK_TIMEOUT_S = 1800.0
"""How long one process waits for another that prepares the same model; the longest fetch is 144 MB."""


def cache_folder() -> Path:
    """`$FLD_CACHE`, else `$XDG_CACHE_HOME/fld-engine`, else `~/.cache/fld-engine`; not created here."""
    if given := os.environ.get("FLD_CACHE"):
        return Path(given).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "fld-engine"


def sha256_of(path: Path) -> str:
    """Hex sha256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_whole(path: Path, data: bytes) -> None:
    """Write `data` under a temporary name beside `path`, fsync, rename: nobody ever sees half a file."""
    with disk_errors(path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            os.chmod(temporary, 0o644)
            os.replace(temporary, path)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise


@contextmanager
def locked(name: str) -> Iterator[None]:
    """Hold the cache's lock of that name; raises `ModelError` when another process keeps it too long."""
    folder = cache_folder() / "locks"
    with disk_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / f"{name}.lock")
        try:
            lock.acquire(timeout=LOCK_TIMEOUT_S)
        except Timeout as error:
            raise ModelError(
                f"another process has been preparing {name!r} for more than {LOCK_TIMEOUT_S:.0f} s: "
                f"end it, or delete {lock.lock_file}, and try again"
            ) from error
    try:
        yield
    finally:
        lock.release()


def require_space(folder: Path, num_bytes: int) -> None:
    """Raise `ModelError` before any work when the disk of `folder` has less than `num_bytes` free."""
    with disk_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(folder).free
    if free < num_bytes:
        raise ModelError(
            f"not enough disk for models: {folder} has {free / 1e6:.0f} MB free, {num_bytes / 1e6:.0f} MB are needed; "
            "free some space, or set FLD_CACHE to a folder on another disk"
        )


@contextmanager
def disk_errors(folder: Path) -> Iterator[None]:
    """Turn a full, read-only or forbidden disk into a `ModelError` that names the cure."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            problem = "the disk is full"
        elif error.errno in (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EEXIST):
            problem = "it cannot be written to"
        else:
            raise
        raise ModelError(
            f"model cache {folder}: {problem} ({error.strerror}); "
            "set FLD_CACHE to a folder that can be written and has 500 MB free"
        ) from error
