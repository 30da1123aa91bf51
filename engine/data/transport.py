"""Getting bytes out of a store, and into it: what fails here is a `TransportError` before any parser sees it.

Libraries of stores raise `OSError` for a request that failed, and so do parsers for bytes that make no sense. Whoever
reads through this module can tell them apart: what a parser raises is about bytes that were had whole.
"""

from __future__ import annotations

import errno
import io
import time
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from fld_engine.engine.data.foreign import CREDENTIALS_CURE
from fld_engine.schemas.errors import FldError, TransportError, Trouble

Answer = TypeVar("Answer")
Range = tuple[str, int | None, int | None]  # path, first byte, end; None: from the beginning, to the end

WAITS_S = (0.5, 2.0, 8.0)
"""Waited before a request is made again; then it is given up. The libraries of stores try again beneath this."""

BLOCK_BYTES = 8 << 20
"""What is asked for at once of a file that is read from beginning to end."""

DEFINITE: frozenset[Trouble] = frozenset({"gone", "forbidden", "damaged"})
"""Answers that do not change by asking again."""

_ABSENT = (FileNotFoundError, NotADirectoryError, IsADirectoryError)
_REFUSED = {"AccessDenied", "AllAccessDisabled", "InvalidObjectState", "Forbidden", "403"}
"""Codes of S3 that are about the object; other ones that s3fs makes a `PermissionError` of are about who asks."""
_CREDENTIALS = {"401", "InvalidToken", "TokenRefreshRequired", "ExpiredToken", "InvalidAccessKeyId"}
_PRECONDITIONS = {"409", "412", "PreconditionFailed", "ConditionalRequestConflict", "OperationAborted"}
_UNAVAILABLE = (errno.EBUSY, getattr(errno, "EREMOTEIO", errno.EIO))

_SAID: dict[Trouble, tuple[str, str]] = {
    "gone": ("it was listed and is not there now", "the next run lists again"),
    "forbidden": ("access to it is refused", "ask for access, or leave it out, and run again"),
    "credentials": ("the store does not accept the credentials", CREDENTIALS_CURE),
    "unavailable": ("the store could not answer", "run again when it can"),
    "damaged": ("it cannot be unpacked", "fetch the archive again"),
    "interrupted": ("the bytes did not arrive", "run again when the connection holds"),
}


def failed(url: str, error: BaseException) -> TransportError:
    """What the failure of a request for `url` is."""
    if isinstance(error, TransportError):
        return error
    kind = _kind_of(error)
    what, cure = _SAID[kind]
    detail = " ".join(str(error).split())[:300]
    made = TransportError(f"{url}: {what} ({type(error).__name__}: {detail}); {cure}", kind)
    made.__cause__ = error
    return made


def asked(url: str, do: Callable[[], Answer]) -> Answer:
    """The answer to a request, made again after `WAITS_S` while it fails.

    Whatever a library raises is taken for a failed request, for each has errors of its own; but that a precondition of
    a write does not hold is an answer, and raised as it is. Raises `TransportError`.
    """
    for wait_s in (*WAITS_S, None):
        try:
            return do()
        except (FldError, MemoryError, FileExistsError):
            raise
        except Exception as error:
            if _code_of(error) in _PRECONDITIONS:
                raise
            trouble = failed(url, error)
        if wait_s is None or trouble.kind in DEFINITE:
            raise trouble
        time.sleep(wait_s)
    raise AssertionError("the last round returns or raises")


def read_side_by_side(
    fs: Any, ranges: Sequence[Range], sizes: Sequence[int], urls: Sequence[str]
) -> list[bytes | TransportError]:
    """Bytes of each range, asked for at once, and again after `WAITS_S` where a request failed.

    `sizes` are the bytes that a range has at least, 0 where nobody knows: fewer are a failure.
    """
    found: list[bytes | TransportError] = [TransportError("not asked for yet")] * len(ranges)
    left = list(range(len(ranges)))
    for wait_s in (*WAITS_S, None):
        for i, answer in zip(left, _cat_ranges(fs, [ranges[i] for i in left]), strict=True):
            found[i] = _whole(answer, sizes[i], urls[i])
        left = [i for i in left if isinstance(one := found[i], TransportError) and one.kind not in DEFINITE]
        if not left or wait_s is None:
            break
        time.sleep(wait_s)
    return found


class StoredFile(io.RawIOBase):
    """A file of a store, read in ranges; each is whole, or a `TransportError`.

    `num_bytes` is its size where that is known from a listing; else the store is asked.
    """

    def __init__(self, fs: Any, path: str, url: str, num_bytes: int | None = None) -> None:
        super().__init__()
        self._fs, self._path, self._url, self._at = fs, path, url, 0
        self._size: int = asked(url, lambda: int(fs.info(path)["size"] or 0)) if num_bytes is None else num_bytes

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        self._at = max(0, start + offset)
        return self._at

    def read(self, size: int | None = -1, /) -> bytes:
        """Exactly `size` bytes, fewer at the end of the file alone."""
        left = max(0, self._size - self._at)
        wanted = left if size is None or size < 0 else min(size, left)
        if not wanted:
            return b""
        start, stop = self._at, self._at + wanted

        def get() -> bytes:
            data = bytes(self._fs.cat_file(self._path, start=start, end=stop))
            if len(data) != wanted:
                raise _Short(f"{len(data)} of the {wanted} bytes from {start} on")
            return data

        data = asked(self._url, get)
        self._at = stop
        return data

    def readinto(self, buffer: Any, /) -> int:
        data = self.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)


def streamed(fs: Any, path: str, url: str, num_bytes: int | None = None) -> io.BufferedReader:
    """A file of a store that is read from beginning to end."""
    return io.BufferedReader(StoredFile(fs, path, url, num_bytes), BLOCK_BYTES)


class _Short(ConnectionError):
    """Fewer bytes came than there are."""


def _cat_ranges(fs: Any, ranges: Sequence[Range]) -> list[Any]:
    paths, firsts, ends = (list(column) for column in zip(*ranges, strict=True))
    try:
        answers: list[Any] = fs.cat_ranges(paths, firsts, ends, on_error="return")
    except Exception as error:
        if isinstance(error, MemoryError):
            raise
        return [error] * len(ranges)
    return answers


def _whole(answer: Any, size: int, url: str) -> bytes | TransportError:
    if isinstance(answer, MemoryError) or (isinstance(answer, BaseException) and not isinstance(answer, Exception)):
        raise answer
    if isinstance(answer, Exception):
        return failed(url, answer)
    data = bytes(answer)
    return data if len(data) >= size else failed(url, _Short(f"{len(data)} of {size} bytes"))


def _kind_of(error: BaseException) -> Trouble:
    """By the store's own code where a library hands it on, else by what Python makes of it."""
    code = _code_of(error)
    if isinstance(error, _ABSENT) or code in ("404", "410", "NoSuchKey", "NoSuchBucket"):
        return "gone"
    if code in _REFUSED or (not code and isinstance(error, PermissionError) and error.errno is not None):
        return "forbidden"
    if isinstance(error, PermissionError) or code in _CREDENTIALS or "Credential" in type(error).__name__:
        return "credentials"  # s3fs: a PermissionError without errno, for an expired token as for a skewed clock
    if code or (isinstance(error, OSError) and error.errno in _UNAVAILABLE):
        return "unavailable"
    return "interrupted"


def _code_of(error: BaseException) -> str:
    """The code of an answer: S3's word, or the HTTP status; empty where there was no answer."""
    response = getattr(error.__cause__, "response", None) or getattr(error, "response", None)
    if isinstance(response, dict):  # botocore, behind s3fs
        return str(response.get("Error", {}).get("Code", ""))
    for name in ("status", "code", "status_code"):  # aiohttp, gcsfs, azure
        if str(found := getattr(error, name, "")).isdigit():
            return str(found)
    return ""
