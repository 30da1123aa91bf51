"""Lists of a config, as their parts: what a worker reads of them, and what names that."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.parquet as pq

from fld_engine.engine.data.hashing import fingerprint, sha256_hex
from fld_engine.engine.data.identity import identity_of
from fld_engine.engine.data.transport import DEFINITE
from fld_engine.engine.plan.exclude import ExcludeList
from fld_engine.engine.sources.files import open_random, read_whole
from fld_engine.engine.sources.item import extension
from fld_engine.engine.sources.listing import list_files
from fld_engine.engine.sources.open import open_source
from fld_engine.engine.stages.contamination.state import APPEARANCE_VERSION
from fld_engine.engine.stages.contamination.tables import ListPart
from fld_engine.schemas.errors import SourceError, TransportError

HASH_COLUMNS = ("sha256", "phash", "hash", "image_id")
"""Columns of a Parquet file that are taken for hashes where it has no pictures and `hash_column` is not given."""


def parts_of(one: ExcludeList) -> list[ListPart]:
    """The parts of a list, each named by its content. Raises `SourceError` where it is not there or is of no kind."""
    if one.has_pictures and not _is_hash_table(one):
        return [ListPart(name=one.name, chunk=chunk) for chunk in open_source(one.source).chunks()]
    listing = list_files(one.url, one.name)
    urls = [f"{listing.base}/{path}" if path else listing.base for path, _ in listing.files]
    return [
        ListPart(name=one.name, hashes=one.model_copy(update={"url": url}), revision=sha256_hex(read_file(url)))
        for url in urls
    ]


def part_fingerprint(part: ListPart) -> str:
    """Names what is read of a part: where it is and what it holds, whatever the list is called."""
    content = identity_of(part.chunk) if part.chunk is not None else {"column": _column(part), "file": part.revision}
    return fingerprint({"version": APPEARANCE_VERSION, "name": part.name, "content": content})


def _is_hash_table(one: ExcludeList) -> bool:
    """Whether a list is a Parquet file with a column of hashes and none that could hold pictures."""
    return (
        not one.image_column
        and one.kind in ("auto", "parquet")
        and extension(one.url) == "parquet"
        and bool(hash_column_of(one.url))
    )


def hash_column_of(url: str) -> str:
    """The column of hashes of a Parquet file without pictures; empty where there is none."""
    schema = open_table(url).schema_arrow
    if any(pa.types.is_struct(kind) for kind in schema.types):
        return ""
    named = [name for name in HASH_COLUMNS if name in schema.names]
    binary = {name for name, kind in zip(schema.names, schema.types, strict=True) if _is_binary(kind)} - set(named)
    return named[0] if named and not binary else ""


def _is_binary(kind: pa.DataType) -> bool:
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind))


def _column(part: ListPart) -> str:
    return part.hashes.hash_column if part.hashes is not None else ""


def read_file(url: str) -> bytes:
    """Raises `SourceError` where the list is gone or forbidden, `TransportError` where its store does not answer."""
    try:
        return read_whole(url)
    except TransportError as error:
        raise _unread(url, error) from error


def open_table(url: str) -> pq.ParquetFile:
    """A list that is a Parquet file. Raises as `read_file` does, and `SourceError` for what is no Parquet file."""
    try:
        return pq.ParquetFile(open_random(url))
    except TransportError as error:
        raise _unread(url, error) from error
    except pa.ArrowInvalid as error:
        raise SourceError(f"exclude list {url} is no Parquet file: {error}; write it again") from error


def _unread(url: str, error: TransportError) -> SourceError | TransportError:
    if error.kind not in DEFINITE:
        return error
    return SourceError(f"exclude list {url} cannot be read: {error}; check the URL and the access rights")
