"""ImageNet's tars: one of a class, as ImageNet-21k ships them, and the tar of such tars of ILSVRC 2012."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterator
from typing import IO

from fld_engine.engine.sources.files import open_streamed
from fld_engine.engine.sources.item import (
    IMAGE_EXTENSIONS,
    Locator,
    PassedOver,
    ReadItem,
    Rejected,
    SourceItem,
    extension,
    too_large,
    unsafe_name,
)
from fld_engine.schemas.annotations import Annotations

_DAMAGE = (tarfile.TarError, OSError, ValueError, LookupError, ArithmeticError)
"""What `tarfile` raises on damaged headers."""


class Window(io.RawIOBase):
    """Bytes [start, start + length) of a stream, as a stream of their own."""

    def __init__(self, stream: IO[bytes], start: int, length: int) -> None:
        self._stream, self._start, self._length, self._at = stream, start, length, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._at = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._length}[whence]
        return self._at

    def read(self, size: int | None = -1) -> bytes:
        left = max(self._length - self._at, 0)
        wanted = left if size is None or size < 0 else min(size, left)
        self._stream.seek(self._start + self._at)
        data = self._stream.read(wanted)
        self._at += len(data)
        return data


def read_tar(url: str, num_bytes: int, uri: str, max_bytes: int) -> Iterator[ReadItem]:
    """Images of a tar and of the tars in it, without annotations; `uri!member` and `uri!n01440764.tar!member`."""
    with open_streamed(url, num_bytes) as stream:
        yield from _images(stream, 0, num_bytes, url, uri, max_bytes, outer=True)


def _images(
    stream: IO[bytes], start: int, length: int, url: str, uri: str, max_bytes: int, *, outer: bool
) -> Iterator[ReadItem]:
    window = Window(stream, start, length)
    end = 0
    try:
        tar = tarfile.open(fileobj=window, mode="r:")  # noqa: SIM115 - the caller closes the stream
        while (info := tar.next()) is not None:
            end = tar.offset
            place = f"{uri}!{info.name}"
            if info.isreg() and info.offset_data + info.size > length:
                yield Rejected(uri=uri, reason="truncated", detail=f"ends inside member {info.name!r}")
                return
            if info.isdir():
                continue
            if reason := unsafe_name(info.name.removeprefix("./")):
                yield Rejected(uri=place, reason="bad_name", detail=f"{reason} is not followed")
            elif not info.isreg() or info.issparse():
                yield Rejected(uri=place, reason="not_a_file", detail="a link, a device or a sparse file")
            elif outer and extension(info.name) == "tar":
                at = start + info.offset_data
                yield from _images(stream, at, info.size, url, place, max_bytes, outer=False)
            elif extension(info.name) not in IMAGE_EXTENSIONS:
                yield PassedOver(uri=place, reason="unknown_extension")
            elif info.size > max_bytes:
                yield too_large(place, info.size, max_bytes)
            else:
                window.seek(info.offset_data)
                data = window.read(info.size)
                where = Locator(kind="tar", url=url, offset=start + info.offset_data, length=info.size)
                yield SourceItem(uri=place, source_label="", annotations=Annotations(), read=where), data
        window.seek(end)
        if len(window.read(tarfile.BLOCKSIZE)) < tarfile.BLOCKSIZE:
            yield Rejected(uri=uri, reason="truncated", detail="ends without an end-of-archive mark")
    except _DAMAGE as error:
        reason = "truncated" if "end of data" in str(error) else "corrupt"
        yield Rejected(uri=uri, reason=reason, detail=f"{type(error).__name__}: {error}")
