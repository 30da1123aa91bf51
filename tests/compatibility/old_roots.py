"""Old roots: packed into archives that are committed, and unpacked where a test goes on with them."""

from __future__ import annotations

import hashlib
import io
import json
import lzma
import os
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import fsspec.config

ARCHIVES = Path(__file__).parent / "roots"
ROOT, SOURCES = "root", "sources"
DIR = "dir"
"""Protocol of fsspec for paths below a folder that is set elsewhere.

The URL of a source is part of what an ingest goes by, so a root cannot be continued unless its sources are where they
were. With `dir://photos` they are wherever `FSSPEC_DIR` says, for the processes of workers too, which `memory://` does
not reach."""


@contextmanager
def sources_at(folder: Path) -> Iterator[None]:
    """`dir://NAME` is NAME in `folder`, here and in the processes that are started meanwhile."""
    settings = {"path": str(folder), "target_protocol": "file"}
    before = fsspec.config.conf.get(DIR), os.environ.get("FSSPEC_DIR")
    fsspec.config.conf[DIR] = settings
    os.environ["FSSPEC_DIR"] = json.dumps(settings)
    try:
        yield
    finally:
        for where, key, value in ((fsspec.config.conf, DIR, before[0]), (os.environ, "FSSPEC_DIR", before[1])):
            where.pop(key, None)
            if value is not None:
                where[key] = value


def pack(folder: Path, archive: Path) -> None:
    """Pack a root and its sources; the same files give the same archive."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as tar:
        for path in sorted(path for part in (ROOT, SOURCES) for path in (folder / part).rglob("*") if path.is_file()):
            member = tarfile.TarInfo(path.relative_to(folder).as_posix())
            member.size = path.stat().st_size
            tar.addfile(member, io.BytesIO(path.read_bytes()))
    archive.parent.mkdir(parents=True, exist_ok=True)
    archive.write_bytes(lzma.compress(stream.getvalue(), preset=9 | lzma.PRESET_EXTREME))


def unpack(name: str, folder: Path) -> Path:
    """Unpack an old root into `folder`, its sources beside it; returns the root."""
    with tarfile.open(ARCHIVES / f"{name}.tar.xz") as tar:
        tar.extractall(folder, filter="data")
    return folder / ROOT


def digests(folder: Path) -> dict[str, str]:
    """sha256 of every file by its path in the folder."""
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}
