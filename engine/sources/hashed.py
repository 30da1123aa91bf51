"""Label files whose bytes are hashed as they are read, so that a revision costs no second reading."""

from __future__ import annotations

import hashlib
import io
from typing import Any

from fld_engine.engine.sources.files import open_streamed

_BLOCK = 2**20


class Hashed(io.RawIOBase):
    """A file that is read from beginning to end.

    What is left is read when it is closed, by whoever does that; `finish` closes it and gives the sha256 of all bytes.
    """

    def __init__(self, url: str, num_bytes: int | None = None) -> None:
        super().__init__()
        self._stream = open_streamed(url, num_bytes)
        self._sha256 = hashlib.sha256()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:
        data = self._stream.read(len(buffer))
        self._sha256.update(data)
        buffer[: len(data)] = data
        return len(data)

    def finish(self) -> str:
        self.close()
        return self._sha256.hexdigest()

    def close(self) -> None:
        if not self.closed:
            while data := self._stream.read(_BLOCK):
                self._sha256.update(data)
            self._stream.close()
        super().close()
