"""A file that is hashed as it is written."""

from __future__ import annotations

import hashlib
from typing import IO

from fld_engine.engine.stages.export.manifest import FileEntry


class HashedFile:
    """Passes what is written on to `stream`, which stays open; as much of a file as writers of Parquet ask for."""

    closed = False

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self._hash = hashlib.sha256()
        self._num_bytes = 0

    def write(self, data: bytes) -> int:
        self._stream.write(data)
        self._hash.update(data)
        self._num_bytes += len(data)
        return len(data)

    def tell(self) -> int:
        return self._num_bytes

    def flush(self) -> None:
        """Left to whoever opened the stream."""

    def close(self) -> None:
        """Left to whoever opened the stream."""

    def entry(self, path: str) -> FileEntry:
        """What a manifest says of the file, once all is written."""
        return FileEntry(path=path, bytes=self._num_bytes, sha256=self._hash.hexdigest())
