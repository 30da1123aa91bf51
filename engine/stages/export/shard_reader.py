"""Read a shard strictly: whatever is not exactly as `engine.data.tar` writes it is damage, and is named."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import IO

from fld_engine.engine.data.tar import BLOCK
from fld_engine.engine.data.tar import header as written_header

CHUNK_BYTES = 1 << 20
_SIZE = slice(124, 136)
_NAME = slice(0, 100)


class ShardError(Exception):
    """The rest of a shard cannot be read as members."""

    def __init__(self, member: str, what: str) -> None:
        super().__init__(f"{member}: {what}")
        self.member = member
        self.what = what


class HashedStream:
    """A binary stream that is read and hashed a block of `CHUNK_BYTES` at a time.

    `num_bytes` is what was read from here; `sha256` covers it, and the rest of the block it ends in.
    """

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._hash = hashlib.sha256()
        self._block = b""
        self._place = 0
        self.num_bytes = 0

    def read(self, size: int) -> bytes:
        """Up to `size` bytes, fewer only at the end; memory follows what is there, not what was asked for."""
        parts: list[bytes] = []
        missing = size
        while missing and (self._place < len(self._block) or self._next_block()):
            part = self._block[self._place : self._place + missing]
            self._place += len(part)
            missing -= len(part)
            parts.append(part)
        self.num_bytes += size - missing
        return b"".join(parts)

    def drain(self) -> None:
        """Hash the rest."""
        self.num_bytes += len(self._block) - self._place
        while self._next_block():
            self.num_bytes += len(self._block)
        self._place = len(self._block)

    @property
    def sha256(self) -> str:
        return self._hash.hexdigest()

    def _next_block(self) -> bool:
        self._block, self._place = self._file.read(CHUNK_BYTES), 0
        self._hash.update(self._block)
        return bool(self._block)


def read_members(stream: HashedStream) -> Iterator[tuple[str, bytes]]:
    """Name and bytes of each member in order, up to the two blocks of zeros that must end the stream.

    Raises `ShardError` at the first header, padding or end that is not as it was written.
    """
    previous = "the first member"
    while True:
        header = stream.read(BLOCK)
        if header == bytes(BLOCK):
            break
        name, size = _parse_header(header, previous)
        data = stream.read(size)
        padding = stream.read(-size % BLOCK)
        if len(data) < size or len(padding) < -size % BLOCK:
            raise ShardError(name, f"is cut off after {len(data)} of {size} bytes")
        if padding.strip(b"\0"):
            raise ShardError(name, "has data in its padding")
        yield name, data
        previous = name
    if stream.read(BLOCK) != bytes(BLOCK) or stream.read(1):
        raise ShardError("", f"does not end with two blocks of zeros after {previous}")


def _parse_header(header: bytes, previous: str) -> tuple[str, int]:
    if len(header) < BLOCK:
        raise ShardError("", f"ends without its closing blocks after {previous}")
    try:
        name = header[_NAME].rstrip(b"\0").decode("ascii")
        size = int(header[_SIZE].rstrip(b" \0"), 8)
        expected = written_header(name, size)
    except ValueError as error:
        raise ShardError("", f"has a header that cannot be read after {previous}: {error}") from None
    if header != expected:
        raise ShardError(name, "has a header that was not written so")
    return name, size
