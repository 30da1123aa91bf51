"""Storage that is not this machine's disk, in one process: it fails on demand, and counts what is asked of it.

`far:///tmp/x` is the folder `/tmp/x`, behind an fsspec file system like any object store's: no map, no rename.
"""

from __future__ import annotations

import io
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, ClassVar

import fsspec
from fsspec import AbstractFileSystem

Trouble = Callable[[str, int, int], None]
"""Asked before bytes [start, stop) of a file are read, with its path; raises what a failing request raises."""


@dataclass
class Traffic:
    """`requests` are (verb, path) in order, `num_bytes` what was read of each path."""

    requests: list[tuple[str, str]] = field(default_factory=list)
    num_bytes: dict[str, int] = field(default_factory=dict)
    trouble: Trouble = lambda path, start, stop: None


class FarFileSystem(AbstractFileSystem):
    """`traffic` is that of all instances."""

    protocol = "far"
    root_marker = "/"
    traffic: ClassVar[Traffic] = Traffic()

    @classmethod
    def _strip_protocol(cls, path: str) -> str:
        return "/" + str(path).removeprefix("far://").strip("/")

    def ls(self, path: str, detail: bool = True, **_: Any) -> list[Any]:
        path = self._strip_protocol(path)
        self.traffic.requests.append(("list", path))
        folder = path.rstrip("/")
        found = [path] if os.path.isfile(path) else [f"{folder}/{name}" for name in sorted(os.listdir(path))]
        return [self._entry(one) for one in found] if detail else found

    def info(self, path: str, **_: Any) -> dict[str, Any]:
        path = self._strip_protocol(path)
        self.traffic.requests.append(("head", path))
        return self._entry(path)

    def mkdir(self, path: str, create_parents: bool = True, **_: Any) -> None: ...

    def makedirs(self, path: str, exist_ok: bool = False) -> None: ...

    def rm_file(self, path: str) -> None:
        os.unlink(self._strip_protocol(path))

    def rm(self, path: str, recursive: bool = False, maxdepth: int | None = None) -> None:
        shutil.rmtree(self._strip_protocol(path))

    def _open(self, path: str, mode: str = "rb", *_: Any, **__: Any) -> Any:
        if mode == "rb":
            self.traffic.requests.append(("get", path))
            return io.BufferedReader(_FarFile(path, self.traffic))
        self.traffic.requests.append(("put", path))
        os.makedirs(os.path.dirname(path), exist_ok=True)
        return open(path, mode)

    def _entry(self, path: str) -> dict[str, Any]:
        if os.path.isdir(path):
            return {"name": path, "size": 0, "type": "directory"}
        return {"name": path, "size": os.path.getsize(path), "type": "file"}


class _FarFile(io.FileIO):
    """A file whose bytes are asked for and counted."""

    def __init__(self, path: str, traffic: Traffic) -> None:
        super().__init__(path, "rb")
        self._path, self._traffic = path, traffic

    def readinto(self, buffer: Any, /) -> int:
        self._traffic.trouble(self._path, self.tell(), self.tell() + len(buffer))
        num = super().readinto(buffer) or 0
        self._traffic.num_bytes[self._path] = self._traffic.num_bytes.get(self._path, 0) + num
        return num

    def readall(self) -> bytes:
        whole, buffer = bytearray(), bytearray(1 << 16)
        while num := self.readinto(buffer):
            whole += buffer[:num]
        return bytes(whole)


def far_traffic() -> Traffic:
    """Make `far://` known in this process; returns its traffic, which begins anew and without trouble."""
    fsspec.register_implementation("far", FarFileSystem, clobber=True)
    FarFileSystem.traffic = Traffic()
    return FarFileSystem.traffic
