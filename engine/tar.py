"""Plain USTAR, written straight to a stream: the same members give the same bytes."""

from __future__ import annotations

import hashlib
import tarfile
from typing import IO

BLOCK = tarfile.BLOCKSIZE


class TarStream:
    """Writes regular members with mode 0644 and no owner, time or padding of its own.

    `num_bytes` and `sha256` cover everything written so far, the closing blocks after `close`.
    """

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self._hash = hashlib.sha256()
        self.num_bytes = 0

    def add(self, name: str, data: bytes) -> int:
        """Append a member; returns the offset of its bytes. Raises `ValueError` for names USTAR cannot hold."""
        info = tarfile.TarInfo(name)
        info.size = len(data)
        self._write(info.tobuf(tarfile.USTAR_FORMAT, "ascii", "strict"))
        offset = self.num_bytes
        self._write(data)
        self._write(bytes(-len(data) % BLOCK))
        return offset

    def close(self) -> None:
        """Write the end-of-archive blocks; the stream stays open."""
        self._write(bytes(2 * BLOCK))

    @property
    def sha256(self) -> str:
        return self._hash.hexdigest()

    def _write(self, data: bytes) -> None:
        self._stream.write(data)
        self._hash.update(data)
        self.num_bytes += len(data)
