"""Parquet with an image per row: its bytes, or a URI of them.

The image column holds bytes, or Hugging Face's struct of `bytes` and `path`. Columns that the source does not name are
recognised by their usual names, first match first. Captions are from the web.

A URI is a name in the table's own folder, or an address of the web (http, https), which is fetched; any other is
refused, unless the source says `allow_outside`.
"""

from __future__ import annotations

import itertools
import posixpath
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, ClassVar

import pyarrow as pa
import pyarrow.parquet as pq

from fld_engine.engine.data.secrets import refers
from fld_engine.engine.data.transport import Range
from fld_engine.engine.sources.arrow_text import flat, text_values
from fld_engine.engine.sources.files import changed, locate, open_random, out_of_reach, read_ranges
from fld_engine.engine.sources.item import (
    Locator,
    PassedOver,
    ReadItem,
    Rejected,
    SourceChunk,
    SourceItem,
    SourceSpec,
    too_large,
    web_captions,
)
from fld_engine.engine.sources.listing import Listing, list_files
from fld_engine.engine.sources.reach import resolve
from fld_engine.engine.sources.reader import NoParams
from fld_engine.schemas.errors import SourceError, TransportError
from fld_engine.schemas.kinds import Kind

IMAGE_COLUMNS = ("image", "img", "jpg", "jpeg", "png", "webp", "bytes", "image_bytes", "img_bytes", "content")
URI_COLUMNS = ("url", "uri", "image_url", "image_uri", "file_name", "image_path", "path")
CAPTION_COLUMNS = ("caption", "captions", "text", "texts", "txt", "sentences", "TEXT")
WEB_ADDRESSES = ("http", "https")
PROTOCOLS = ("file", *WEB_ADDRESSES, "s3", "gs", "gcs", "az", "abfs", "hf", "memory")
"""Where the URIs of a table may lead, those that are no web addresses with `allow_outside`."""

BATCH_ROWS = 16
"""Rows held at once: enough requests in flight for URIs, little enough to hold for bytes."""

_Scanned = Iterator[ReadItem]
_Held = tuple[bytes, Locator] | Rejected


@dataclass(frozen=True, slots=True)
class _Columns:
    image: str
    uri: str
    captions: tuple[str, ...]


class ParquetSource:
    """Parquet files under a folder, of a pattern, or a single one; captions beside images are from the web."""

    Params = NoParams
    brings: ClassVar[frozenset[Kind]] = frozenset({"brief_texts"})
    uses: ClassVar[frozenset[str]] = frozenset({"image_column", "uri_column", "caption_columns"})
    expects = "Parquet file (.parquet)"

    def __init__(self, params: NoParams) -> None: ...

    @staticmethod
    def recognises(listing: Listing) -> int:
        return len(listing.ending({"parquet"}))

    def chunks(self, spec: SourceSpec) -> Sequence[SourceChunk]:
        """One chunk per file, sorted by path; only the footer of the first readable file is opened."""
        listing = list_files(spec.url, spec.name, allow_outside=spec.allow_outside)
        files = listing.ending({"parquet"})
        if not files:
            raise SourceError(
                f"source {spec.url} holds no .parquet among its {len(listing.files)} files{listing.outside()}"
            )
        made = listing.chunk_a_file(spec, "parquet", files)
        for chunk in made:
            try:
                with _open(chunk.url(chunk.files[0][0]), chunk.files[0][1]) as file:
                    _columns(file.schema_arrow, spec)
                break
            except (
                TransportError,
                OSError,
                pa.ArrowException,
            ):  # its chunk will say so; another file shows what the columns are
                continue
        return made

    def read(self, chunk: SourceChunk, max_bytes: int) -> Iterator[ReadItem]:
        """Rows in order; where a file is damaged, everything before the damage and one rejected row for the rest."""
        ((path, num_bytes),) = chunk.files
        uri, url = chunk.uri(path), chunk.url(path)
        row = 0
        try:
            with _open(url, num_bytes) as file:
                columns = _columns(file.schema_arrow, chunk.spec)
                names = [name for name in (columns.image, columns.uri, *columns.captions) if name]
                yield from _not_read(file.schema_arrow, names, uri)
                for batch in file.iter_batches(BATCH_ROWS, columns=names):
                    yield from _rows(batch, row, chunk, columns, max_bytes)
                    row += batch.num_rows
        except SourceError as error:
            yield Rejected(uri=uri, reason="no_image_column", detail=str(error))
        except (OSError, pa.ArrowException) as error:
            yield Rejected(uri=uri, reason="corrupt", detail=f"from row {row} on: {error}")

    def number(self, chunk: SourceChunk) -> int | None:
        """Rows of the file; `None` where its footer cannot be read."""
        ((path, num_bytes),) = chunk.files
        try:
            with _open(chunk.url(path), num_bytes) as file:
                return int(file.metadata.num_rows)
        except (OSError, pa.ArrowException):
            return None

    @staticmethod
    def read_again(locators: Sequence[Locator]) -> Iterator[bytes]:
        """Bytes of `parquet` locators, in order. Neighbours in one file, rows rising, are read in one pass.

        Raises `SourceError` where a cell is no longer there.
        """
        for (url, column), group in itertools.groupby(locators, key=lambda at: (at.url, at.column)):
            rows = [at.row for at in group]
            try:
                with _open(url) as file:
                    for rising in _rising(rows):
                        yield from _cells(file, url, column, rising)
            except TransportError as error:
                raise changed(url, error) from error
            except (OSError, pa.ArrowException) as error:
                raise SourceError(f"{url} could be read when it was scanned, and now not: {error}") from error


@contextmanager
def _open(url: str, num_bytes: int | None = None) -> Iterator[Any]:
    with open_random(url, num_bytes) as stream, pq.ParquetFile(stream, page_checksum_verification=True) as file:
        yield file


def _columns(schema: pa.Schema, spec: SourceSpec) -> _Columns:
    """Which columns to read. Raises `SourceError` with those there are."""
    missing = [n for n in (spec.image_column, spec.uri_column, *spec.caption_columns) if n and n not in schema.names]
    if missing:
        raise SourceError(
            f"source {spec.url} has no column {', '.join(missing)}; its columns: {', '.join(schema.names)}"
        )
    images = [name for name in IMAGE_COLUMNS if name in schema.names and _holds_bytes(schema.field(name).type)]
    uris = [name for name in URI_COLUMNS if name in schema.names and _is_text(schema.field(name).type)]
    captions = spec.caption_columns or tuple(name for name in CAPTION_COLUMNS if name in schema.names)
    image = spec.image_column or ("" if spec.uri_column else next(iter(images), ""))
    uri = spec.uri_column or next(iter(uris), "")
    if not image and not uri:
        raise SourceError(
            f"source {spec.url} has no column of image bytes or URIs that is known by name; its columns: "
            f"{', '.join(schema.names)}; set image_column or uri_column"
        )
    return _Columns(image, uri, captions)


def _not_read(schema: pa.Schema, names: Sequence[str], uri: str) -> Iterator[PassedOver]:
    """Columns that nothing is taken from: others than these, and those of captions in a form that is not read."""
    for field in schema:
        if field.name not in names:
            yield PassedOver(uri=f"{uri}:{field.name}", reason="column_not_read", detail=str(field.type))


def _holds_bytes(kind: pa.DataType) -> bool:
    if pa.types.is_struct(kind):
        return any(field.name == "bytes" and _holds_bytes(field.type) for field in kind)
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_binary_view(kind))


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def _rows(batch: pa.RecordBatch, first: int, chunk: SourceChunk, columns: _Columns, max_bytes: int) -> _Scanned:
    ((path, _),) = chunk.files
    url, places = chunk.url(path), [f"{chunk.uri(path)}#{first + i}" for i in range(batch.num_rows)]
    images = batch[columns.image].to_pylist() if columns.image else [None] * batch.num_rows
    links = text_values(batch[columns.uri]) if columns.uri else [None] * batch.num_rows
    held: dict[int, _Held] = {}
    wanted: dict[int, str] = {}
    for i, (image, link) in enumerate(zip(images, links, strict=True)):
        data = _cell(image)
        link = link or (image.get("path") if isinstance(image, dict) else None)
        if data is not None:
            held[i] = data, Locator(kind="parquet", url=url, row=first + i, column=columns.image)
        elif link and isinstance(link, str):
            wanted[i] = link
    held |= _fetch(wanted, chunk, places, max_bytes)
    captions = list(zip(*(text_values(batch[name]) for name in columns.captions), strict=True)) or [()] * batch.num_rows
    for i, place in enumerate(places):
        found = held.get(i) or Rejected(uri=place, reason="no_bytes", detail="neither image bytes nor a URI in the row")
        if isinstance(found, Rejected):
            yield found
        elif len(found[0]) > max_bytes:
            yield too_large(place, len(found[0]), max_bytes)
        else:
            annotations, rejected = web_captions(flat(list(captions[i])), place)
            yield from rejected
            yield SourceItem(uri=place, source_label="", annotations=annotations, read=found[1]), found[0]


def _cell(value: Any) -> bytes | None:
    """Bytes of an image cell, plain or in Hugging Face's struct."""
    data = value.get("bytes") if isinstance(value, dict) else value
    return data if isinstance(data, bytes) else None


def _fetch(links: Mapping[int, str], chunk: SourceChunk, places: Sequence[str], max_bytes: int) -> dict[int, _Held]:
    """What stands at the URIs of rows, fetched side by side for each protocol."""
    held: dict[int, _Held] = {}
    targets: dict[int, str] = {}
    for i, link in links.items():
        target, problem = _resolve(link, chunk)
        if problem:
            held[i] = Rejected(uri=places[i], reason="bad_uri", detail=f"{link!r}: {problem}")
        else:
            targets[i] = target
    for _, same in itertools.groupby(sorted(targets, key=lambda i: targets[i]), key=lambda i: _protocol(targets[i])):
        rows = list(same)
        fs, _ = locate(targets[rows[0]])
        ranges: list[Range] = [(locate(targets[i])[1], 0, max_bytes + 1) for i in rows]
        read = read_ranges(fs, ranges, [0] * len(rows), [targets[i] for i in rows])
        for i, found in zip(rows, read, strict=True):
            if isinstance(found, TransportError):
                held[i] = out_of_reach(places[i], found)
            else:
                held[i] = found, Locator(kind="file", url=targets[i], length=len(found))
    return held


def _protocol(url: str) -> str:
    return url.partition("://")[0]


def _resolve(link: str, chunk: SourceChunk) -> tuple[str, str]:
    """(URL, why it may not be followed). Relative names are looked up beside the table."""
    if "://" in link:
        if _protocol(link) not in PROTOCOLS or "::" in link:
            return "", f"expected a relative name or one of {', '.join(PROTOCOLS)}"
        if _protocol(link) in WEB_ADDRESSES and not refers(link):
            return link, ""
    table = chunk.url(chunk.files[0][0])
    return resolve(link, posixpath.dirname(table), allow_outside=chunk.spec.allow_outside)


def _rising(rows: Sequence[int]) -> Iterator[list[int]]:
    """Longest runs of rising row numbers."""
    start = 0
    for stop in range(1, len(rows) + 1):
        if stop == len(rows) or rows[stop] <= rows[stop - 1]:
            yield list(rows[start:stop])
            start = stop


def _cells(file: Any, url: str, column: str, rows: list[int]) -> Iterator[bytes]:
    """Cells of rising rows; row groups without any of them are not read."""
    first = 0
    for group in range(file.num_row_groups):
        stop = first + file.metadata.row_group(group).num_rows
        wanted = {row for row in rows if first <= row < stop}
        for batch in file.iter_batches(BATCH_ROWS, row_groups=[group], columns=[column]) if wanted else ():
            for row, value in enumerate(batch[column], start=first):
                if row in wanted:
                    data = _cell(value.as_py())
                    if data is None:
                        raise SourceError(f"{url} had an image in row {row} when it was scanned, and now has none")
                    yield data
            first += batch.num_rows
        first = stop
    if rows and rows[-1] >= first:
        raise SourceError(f"{url} had a row {rows[-1]} when it was scanned, and now has {first} rows")
