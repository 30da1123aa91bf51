"""Files in a zip, by fsspec's chained address: `zip://path in it::address of the zip`.

A zip is opened anew where its size or time has changed. Members are read in places, none is unpacked to a disk.
"""

from __future__ import annotations

import io
import lzma
import re
import zipfile
import zlib
from functools import lru_cache
from typing import Any, NamedTuple

from fsspec.implementations.zip import ZipFileSystem

from fld_engine.engine.data.transport import StoredFile
from fld_engine.schemas.errors import SourceError, TransportError

BUFFER_BYTES = 1 << 18
"""What is asked for at once of a zip: a member's header and a usual picture."""

_DAMAGE = (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, NotImplementedError, RuntimeError)
"""What `zipfile` raises for members that are damaged, encrypted or packed in a way that it does not know."""
_OTHERS = ("tar", "libarchive")
"""Archives that fsspec has file systems for, and that are not read in places here."""
_CHAINED = re.compile(r"([a-z0-9+]+)://([^:]*)::(.+)", re.DOTALL)
_IN_ZIP = re.compile(r"(|.*?\.zip)!/(.*)", re.DOTALL | re.IGNORECASE)


class Chain(NamedTuple):
    """A chained address: what is at `inner` of the archive at `outer`; `protocol` says of which kind that is."""

    protocol: str
    inner: str
    outer: str

    def at(self, inner: str) -> str:
        """The address of another file of the archive."""
        return f"{self.protocol}://{inner}::{self.outer}"

    def below(self, path: str) -> str:
        """The address of a file below this folder of the archive."""
        return self.at("/".join(part for part in (self.inner.strip("/"), path) if part))


def chain_of(url: str) -> Chain | None:
    """The parts of a chained address; `None` for any other. Raises `SourceError` for archives that are no zip."""
    found = _CHAINED.fullmatch(url)
    if found is None or found[1] not in ("zip", *_OTHERS):
        return None
    if found[1] != "zip":
        raise SourceError(
            f"{url} is an address within a {found[1]}://: of chained addresses, zip://path::address of a zip is read; "
            "tars are sources by their own address"
        )
    return Chain(found[1], found[2].strip("/"), found[3])


def below(base: str, path: str) -> str:
    """The address of a file below a folder, which may be that of a zip; an empty path is the base itself."""
    if not path:
        return base
    chain = chain_of(base)
    return chain.below(path) if chain else f"{base}/{path}"


def path_below(base: str, url: str) -> str:
    """The path of a file below a folder, of which `below` makes its address; empty where it does not lie there."""
    chain, inside = chain_of(url), chain_of(base)
    if chain and inside:
        start = f"{inside.inner}/" if inside.inner else ""
        is_below = chain.outer == inside.outer and chain.inner.startswith(start)
        return chain.inner.removeprefix(start) if is_below else ""
    return url.removeprefix(f"{base}/") if url.startswith(f"{base}/") else ""


def folder_at(url: str) -> str:
    """The address of the folder that a file lies in."""
    chain = chain_of(url)
    return chain.at(chain.inner.rpartition("/")[0]) if chain else url.rpartition("/")[0] or "."


def in_zip(path: str) -> tuple[str, str] | None:
    """(path of a zip, path in it) of `photos.zip!/a/1.jpg`; `None` for what is in none."""
    found = _IN_ZIP.fullmatch(path)
    return (found[1], found[2]) if found else None


class ZipMembers(ZipFileSystem):  # type: ignore[misc]  # fsspec has no types
    """The members of a zip. One that cannot be unpacked is a `TransportError` of kind `damaged`."""

    def find(self, path: str, maxdepth: Any = None, withdirs: bool = False, detail: bool = False, **kwargs: Any) -> Any:
        """Every file below a folder, in one pass; fsspec's own makes one for each folder."""
        if maxdepth is not None or withdirs:
            return super().find(path, maxdepth=maxdepth, withdirs=withdirs, detail=detail, **kwargs)
        self._get_dirs()
        start = f"{path.strip('/')}/" if path.strip("/") else ""
        found = {
            name: entry
            for name, entry in self.dir_cache.items()
            if entry["type"] == "file" and (name.startswith(start) or name == path.strip("/"))
        }
        return found if detail else list(found)

    def cat_file(self, path: str, start: int | None = None, end: int | None = None, **kwargs: Any) -> bytes:
        name = self._strip_protocol(path)
        try:
            info = self.zip.getinfo(name)
        except KeyError:
            raise FileNotFoundError(path) from None
        try:
            with self.zip.open(info) as member:
                if start:
                    member.seek(start)
                data: bytes = member.read() if end is None else member.read(max(0, end - (start or 0)))
                return data
        except _DAMAGE as error:
            detail = f"{type(error).__name__}: {error}"
            raise TransportError(f"{name} in the zip cannot be unpacked: {detail}", "damaged") from error


def open_zip(fs: Any, path: str, url: str, version: str) -> ZipMembers:
    """The zip at a path of a file system, as it is in this `version`. Raises `SourceError` where it is none."""
    return _opened(_Place(url, version, fs, path))


class _Place(NamedTuple):
    url: str
    version: str
    fs: Any
    path: str

    def __hash__(self) -> int:
        return hash((self.url, self.version))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Place) and (self.url, self.version) == (other.url, other.version)


@lru_cache(maxsize=8)
def _opened(place: _Place) -> ZipMembers:
    stream = io.BufferedReader(StoredFile(place.fs, place.path, place.url), BUFFER_BYTES)
    try:
        return ZipMembers(stream, skip_instance_cache=True)
    except (zipfile.BadZipFile, EOFError, NotImplementedError, ValueError) as error:
        raise SourceError(f"{place.url} is no whole zip: {error}; fetch it again, or unpack it") from error
