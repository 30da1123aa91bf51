"""A dataset root: a folder of immutable files on any fsspec file system.

    ROOT/
    ├── root.json                schema version
    ├── lease.json, lease.lock   who drives it now
    ├── config.yaml, run.json    the last resolved config; attempts, times and hosts of runs
    ├── rates.json               how fast annotators were here, for plans
    ├── config.origin.json       where its settings come from, and which were given over a recipe and stay
    ├── ingest/NNNNNN.json       journal of one ingest; its scan tables, needed until it is done, in ingest/NNNNNN/
    ├── partitions/              pPPPPPP-<fp>.tar, its tables, and one record per partition
    ├── fetched/, fetching/      what was fetched of lists of addresses, and how far that is
    ├── stages/<step>/           pPPPPPP-<fp>.<attempt>.<table>.parquet, and one record per output
    ├── quarantine/              what could not be read, with its reason
    ├── holdings/<stage>.json    what each stage leaves here, for removal
    ├── removed.json             ids of images that were removed
    ├── coverage/                numbers of the whole dataset
    ├── report/                  pages for a browser, and the tables behind them
    └── export/                  shards and manifest

A file is complete once it has its final name. An output exists once its *record* does; records are written by the
driver alone, so that a worker presumed dead cannot harm.

On an object store, a request that fails is made again, and ends in a `TransportError`; only that a file is not there is
a `FileNotFoundError`, as on a disk.
"""

from __future__ import annotations

import io
import os
import tempfile
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from copy import copy
from typing import IO, Any, Protocol, TypeVar

import pyarrow as pa
import pyarrow.parquet as pq
from fsspec.implementations.local import LocalFileSystem
from pydantic import TypeAdapter, ValidationError

from fld_engine.engine.data.foreign import name_file
from fld_engine.engine.data.hashing import canonical_json, sha256_hex
from fld_engine.engine.data.records import FileRecord
from fld_engine.engine.data.secrets import url_to_fs
from fld_engine.engine.data.traffic import Traffic
from fld_engine.engine.data.transport import asked, failed, streamed
from fld_engine.schemas.annotations import Frozen
from fld_engine.schemas.errors import RootError, TransportError
from fld_engine.schemas.tables import SCHEMA_VERSION

Answer = TypeVar("Answer")

ROOT_FILE = "root.json"
CONFIG_FILE = "config.yaml"
WRITEBACK_BYTES = 1 << 20
"""Writes at least this large go to disk at once; pages of smaller ones would be written again and again."""


class Guard(Protocol):
    """Whoever sees to it that one driver alone writes what the whole root goes by: the holder of its lease."""

    def check(self) -> None: ...

    def publish(self, store: Store, relative: str, data: bytes) -> None: ...

    def create(self, store: Store, relative: str, data: bytes) -> None: ...


class Store:
    """Reads and atomically writes files under a dataset root. Cheap to build, safe to build again in any worker.

    A driver's store has a `guard`: without the lease it writes nothing and deletes nothing. `traffic` counts what is
    read and written through it and its copies, but for files that are read from place to place.
    """

    guard: Guard | None = None

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")
        self.fs, self.base = url_to_fs(self.url, use_listings_cache=False)
        self.local = isinstance(self.fs, LocalFileSystem)
        self.traffic = Traffic()

    def path(self, relative: str) -> str:
        return f"{self.base}/{relative}"

    def within(self, folder: str) -> Store:
        """The same store, seen from a folder of it."""
        inside = copy(self)
        inside.url, inside.base = f"{self.url}/{folder}", f"{self.base}/{folder}"
        return inside

    def guarded(self, guard: Guard | None) -> Store:
        """The same store in the hands of a driver, or of nobody."""
        held = copy(self)
        held.guard = guard
        return held

    # ------------------------------------------------------------------ reading

    def exists(self, relative: str) -> bool:
        if self.local:
            return bool(self.fs.exists(self.path(relative)))
        try:  # `exists` of most object stores takes a failure for "no"
            self.asked(relative, lambda: self.fs.info(self.path(relative)))
        except FileNotFoundError:
            return False
        return True

    def read_bytes(self, relative: str, num_bytes: int = 0) -> bytes:
        """The whole file. Fewer than `num_bytes` are a `TransportError`."""
        data = self.asked(relative, lambda: bytes(self.fs.cat_file(self.path(relative))))
        if len(data) < num_bytes:
            raise failed(self._url(relative), ConnectionError(f"{len(data)} bytes of {num_bytes}"))
        self.traffic.add(read_bytes=len(data))
        return data

    def open_read(self, relative: str) -> IO[bytes]:
        """A file, to be read from place to place."""
        if self.local:
            return open(self.path(relative), "rb")
        return self.asked(relative, lambda: streamed(self.fs, self.path(relative), self._url(relative)))

    def fetch(self, relative: str, to: str) -> None:
        """Copy a file to this machine, whatever its size."""
        self.asked(relative, lambda: self.fs.get_file(self.path(relative), to))

    def read_table(self, relative: str, columns: list[str] | None = None, filters: Any = None) -> pa.Table:
        data = self.read_bytes(relative)
        with self._named(relative):
            return pq.read_table(io.BytesIO(data), columns=columns, filters=filters)

    def read_model(self, relative: str, model: Any) -> Any:
        """Parse a JSON file as a pydantic type. Raises pydantic's `ValidationError` where it is something else."""
        data = self.read_bytes(relative)
        with self._named(relative):
            return TypeAdapter(model).validate_json(data)

    def list_names(self, folder: str) -> set[str]:
        """Names of the files directly in a folder, in one listing; empty where there is no such folder."""
        try:
            entries = self.asked(folder, lambda: self.fs.ls(self.path(folder), detail=False))
        except FileNotFoundError:
            return set()
        return {str(entry).rsplit("/", 1)[-1] for entry in entries}

    def list_folders(self, folder: str) -> set[str]:
        """Names of the folders directly in a folder, in one listing; empty where there is no such folder."""
        try:
            entries = self.asked(folder, lambda: self.fs.ls(self.path(folder).rstrip("/"), detail=True))
        except FileNotFoundError:
            return set()
        return {str(e["name"]).rstrip("/").rsplit("/", 1)[-1] for e in entries if e["type"] == "directory"}

    def list_sizes(self, folder: str) -> dict[str, int]:
        """Bytes of the files directly in a folder, in one listing; empty where there is no such folder."""
        try:
            entries = self.asked(folder, lambda: self.fs.ls(self.path(folder), detail=True))
        except FileNotFoundError:
            return {}
        return {str(e["name"]).rsplit("/", 1)[-1]: int(e["size"] or 0) for e in entries if e["type"] == "file"}

    def list_below(self, folder: str) -> list[str]:
        """Files at any depth below a folder, as sorted paths in the root; empty where there is no such folder."""
        # without it, a folder of a disk that may not be entered would be left out in silence
        strict = {"on_error": "raise"} if self.local else {}
        try:
            found = self.asked(folder, lambda: self.fs.find(self.path(folder), **strict))
        except FileNotFoundError:
            return []
        return sorted(str(path)[len(self.base) + 1 :] for path in found)

    # ------------------------------------------------------------------ writing

    @contextmanager
    def open_commit(self, relative: str) -> Iterator[IO[bytes]]:
        """Binary writer whose file appears under its name whole, or not at all.

        Locally: temporary name, fsync, rename. On an object store: spooled to local disk, then one upload.
        """
        self._check_guard()
        path = self.path(relative)
        if not self.local:
            with tempfile.NamedTemporaryFile(prefix="fld-") as spool:
                yield spool
                spool.flush()
                self.traffic.add(written_bytes=os.path.getsize(spool.name))
                self.asked(relative, lambda: self.fs.put_file(spool.name, path))
            return
        os.makedirs(os.path.dirname(path), exist_ok=True)
        temporary = f"{path}.{uuid.uuid4().hex[:8]}.tmp"
        try:
            with io.BufferedWriter(_DiskFile(temporary, "wb")) as stream:
                yield stream
                stream.flush()
                os.fsync(stream.fileno())
            self.traffic.add(written_bytes=os.path.getsize(temporary))
            os.replace(temporary, path)
        except OSError as error:
            error.filename = error.filename or path  # a write that fails does not say what was written
            raise
        finally:
            if os.path.exists(temporary):
                os.unlink(temporary)

    def write_bytes(self, relative: str, data: bytes) -> FileRecord:
        if self.local:
            with self.open_commit(relative) as stream:
                stream.write(data)
        else:
            self._check_guard()
            self.asked(relative, lambda: self.fs.pipe_file(self.path(relative), data))
            self.traffic.add(written_bytes=len(data))
        return FileRecord(path=relative, rows=0, num_bytes=len(data), sha256=sha256_hex(data))

    def write_table(self, relative: str, table: pa.Table) -> FileRecord:
        """Write Parquet; equal tables give equal bytes."""
        buffer = io.BytesIO()
        pq.write_table(table, buffer, compression="zstd")
        record = self.write_bytes(relative, buffer.getvalue())
        return record.model_copy(update={"rows": table.num_rows})

    def write_model(self, relative: str, model: Frozen) -> FileRecord:
        return self.write_bytes(relative, model_bytes(model))

    def publish_bytes(self, relative: str, data: bytes) -> None:
        """Create or replace a file that the whole root goes by. Raises `LeaseError` in a driver that lost its lease."""
        if self.guard is None:
            self.write_bytes(relative, data)
        else:
            self.guard.publish(self, relative, data)

    def publish_model(self, relative: str, model: Frozen) -> None:
        self.publish_bytes(relative, model_bytes(model))

    def create_model(self, relative: str, model: Frozen) -> None:
        """Write a file that nobody wrote before. Raises `LeaseError` where another driver did."""
        if self.guard is None:
            self.write_model(relative, model)
        else:
            self.guard.create(self, relative, model_bytes(model))

    def delete(self, relative: str) -> None:
        """Delete a file; nothing happens where there is none."""
        self._check_guard()
        with suppress(FileNotFoundError):
            self.asked(relative, lambda: self.fs.rm_file(self.path(relative)))

    def delete_folder(self, relative: str) -> None:
        """Delete a folder with everything in it; nothing happens where there is none."""
        self._check_guard()
        with suppress(FileNotFoundError):
            self.asked(relative, lambda: self.fs.rm(self.path(relative), recursive=True))

    def asked(self, relative: str, do: Callable[[], Answer]) -> Answer:
        """The answer to a request about a file; a disk is asked once, and its errors are its own."""
        if self.local:
            return do()
        self.traffic.add(requests=1)
        try:
            return asked(self._url(relative), do)
        except TransportError as error:
            if error.kind == "gone" and isinstance(error.__cause__, OSError):
                raise error.__cause__ from None
            raise

    @contextmanager
    def _named(self, relative: str) -> Iterator[None]:
        """Let what a parser raises name the file; it knows the bytes alone."""
        try:
            yield
        except (ValidationError, pa.ArrowInvalid, OSError) as error:
            name_file(error, self._url(relative))
            raise

    def _url(self, relative: str) -> str:
        return f"{self.url}/{relative}"

    def _check_guard(self) -> None:
        if self.guard is not None:
            self.guard.check()

    # ------------------------------------------------------------------ the root itself

    def open_root(self, *, create: bool) -> None:
        """Check that the root is ours to use, making it when `create`.

        Raises `RootError` where the root is missing, unwritable, not a dataset root, or of a newer schema version.
        """
        if not self.exists(ROOT_FILE):
            if not create:
                raise RootError(f"{self.url} is not a dataset root (it has no {ROOT_FILE}); make one with `fld run`")
            self._create()
            return
        version = self.read_model(ROOT_FILE, dict[str, int]).get("schema_version", 0)
        if version > SCHEMA_VERSION:
            raise RootError(
                f"{self.url} has schema version {version}, this fld-engine reads up to {SCHEMA_VERSION}: "
                "use a newer fld-engine, or another root"
            )

    def _create(self) -> None:
        there = self.list_names("") if self.exists("") else set()
        if ROOT_FILE in there:
            return  # another driver made it at the same moment
        if there:
            raise RootError(f"{self.url} is not empty and not a dataset root: give an empty or new folder as --root")
        try:
            self.write_bytes(ROOT_FILE, canonical_json({"schema_version": SCHEMA_VERSION}).encode())
        except (OSError, TransportError) as error:
            raise RootError(f"cannot write to root {self.url}: {error}; give a writable --root") from error


def model_bytes(model: Frozen) -> bytes:
    """A model as it lies in a root."""
    return canonical_json(model.model_dump(mode="json")).encode()


class _DiskFile(io.FileIO):
    """A file that goes to disk while it grows; else all of it lies in memory until fsync, and the disk idles till then.

    Linux answers `POSIX_FADV_DONTNEED` on a dirty range by starting to write it. It would drop what is written by then,
    but nothing is: readers find the file in memory still.
    """

    def write(self, data: Any, /) -> int:
        written = super().write(data)
        if written >= WRITEBACK_BYTES and hasattr(os, "posix_fadvise"):
            os.posix_fadvise(self.fileno(), self.tell() - written, written, os.POSIX_FADV_DONTNEED)
        return written
