"""Parquet with an image per row, or a list of them: their bytes, or the names of files beside the table.

The image column holds bytes, lists of `uint8`, or Hugging Face's struct of `bytes` and `path`. Columns that the source
does not name are recognised by their usual names. Where there are bytes, an address beside them is not followed: a row
without is refused. Captions are from the web; boxes under `objects` and classes under `label` are what people said. Of
a row with several images each is one, and what the row says is of none of them.

A name of a file is one in the table's own folder, unless the source says `allow_outside`. Addresses of the web are not
fetched: a table of these is a list for `fetch`.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any, ClassVar

import pyarrow as pa
import pyarrow.parquet as pq

from fld_engine.engine.sources.arrow_text import byte_values, text_values
from fld_engine.engine.sources.captions import in_value
from fld_engine.engine.sources.class_labels import DESCRIPTIONS, names_beside
from fld_engine.engine.sources.files import changed, open_random
from fld_engine.engine.sources.img2dataset import extras
from fld_engine.engine.sources.item import (
    Locator,
    PassedOver,
    ReadItem,
    Rejected,
    SourceChunk,
    SourceItem,
    SourceSpec,
    too_large,
)
from fld_engine.engine.sources.listing import Listing, list_files
from fld_engine.engine.sources.parquet_columns import Columns, columns_of, read_columns
from fld_engine.engine.sources.parquet_links import FETCH, Held, addresses_alone, fetched
from fld_engine.engine.sources.reader import NoParams
from fld_engine.engine.sources.said import Reading, Said
from fld_engine.schemas.errors import SourceError, TransportError
from fld_engine.schemas.kinds import Kind

BATCH_ROWS = 16
"""Rows held at once: enough requests in flight for URIs, little enough to hold for bytes."""

_Scanned = Iterator[ReadItem]
_UNREADABLE = (TransportError, OSError, pa.ArrowException)


class ParquetSource:
    """Parquet files under a folder, of a pattern, or a single one; captions beside images are from the web."""

    Params = NoParams
    brings: ClassVar[frozenset[Kind]] = frozenset({"brief_texts", "objects", "masks", "groundings"})
    uses: ClassVar[frozenset[str]] = frozenset({"image_column", "uri_column", "caption_columns"})
    expects = "Parquet file (.parquet)"

    def __init__(self, params: NoParams) -> None: ...

    @staticmethod
    def recognises(listing: Listing) -> int:
        return len({path for path, _ in listing.ending({"parquet"})} - extras(listing))

    def chunks(self, spec: SourceSpec) -> Sequence[SourceChunk]:
        """One chunk per file, sorted by path; only the first readable file is opened, for its columns."""
        listing = list_files(spec.url, spec.name, allow_outside=spec.allow_outside)
        files = listing.ending({"parquet"})
        if not files:
            raise SourceError(
                f"source {spec.url} holds no .parquet among its {len(listing.files)} files{listing.outside()}"
            )
        made = listing.chunk_a_file(spec, "parquet", files)
        for chunk in made:
            path, num_bytes = chunk.files[-1]
            try:
                with _open(chunk.url(path), num_bytes) as file:
                    columns = columns_of(file.schema_arrow, spec)
                break
            except _UNREADABLE:  # its chunk will say so; another file shows what the columns are
                continue
        else:
            return made
        described = [one for one in listing.files if one[0].rpartition("/")[2] in DESCRIPTIONS]
        if columns.classes or not described or not columns.others:
            return made
        return listing.chunk_a_file(spec, "parquet", files, beside={path: described for path, _ in files})

    def check_new(self, chunk: SourceChunk) -> None:
        """Raises `SourceError` for a list of addresses: what the web has is fetched once, in a stage of its own."""
        path, num_bytes = chunk.files[-1]
        with suppress(*_UNREADABLE), _open(chunk.url(path), num_bytes) as file:
            columns = columns_of(file.schema_arrow, chunk.spec)
            if not columns.image:
                _check_addresses(file, columns, chunk.spec)

    def read(self, chunk: SourceChunk, max_bytes: int) -> Iterator[ReadItem]:
        """Rows in order; where a file is damaged, everything before the damage and one rejected row for the rest."""
        *described, (path, num_bytes) = chunk.files
        uri, url = chunk.uri(path), chunk.url(path)
        row = 0
        try:
            with _open(url, num_bytes) as file:
                columns = columns_of(file.schema_arrow, chunk.spec)
                names = read_columns(file.schema_arrow, columns)
                classes = columns.classes or names_beside(chunk, [name for name, _ in described])
                yield from _not_read(file.schema_arrow, names, uri)
                for batch in file.iter_batches(BATCH_ROWS, columns=names):
                    yield from _rows(batch, row, chunk, columns, Reading(columns.captions, classes), max_bytes)
                    row += batch.num_rows
        except SourceError as error:
            yield Rejected(uri=uri, reason="no_image_column", detail=str(error))
        except (OSError, pa.ArrowException) as error:
            yield Rejected(uri=uri, reason="corrupt", detail=f"from row {row} on: {error}")

    def number(self, chunk: SourceChunk) -> int | None:
        """Rows of the file; `None` where its footer cannot be read, or rows hold lists of images."""
        path, num_bytes = chunk.files[-1]
        try:
            with _open(chunk.url(path), num_bytes) as file:
                columns = columns_of(file.schema_arrow, chunk.spec)
                return None if columns.several else int(file.metadata.num_rows)
        except (OSError, pa.ArrowException, SourceError):
            return None

    @staticmethod
    def read_again(locators: Sequence[Locator]) -> Iterator[bytes]:
        """Bytes of `parquet` locators, in order. Neighbours in one file, rows rising, are read in one pass.

        `offset` of a locator is the place in the row's list of images. Raises `SourceError` where a cell is no longer
        there.
        """
        for (url, column), group in itertools.groupby(locators, key=lambda at: (at.url, at.column)):
            cells = [(at.row, at.offset) for at in group]
            try:
                with _open(url) as file:
                    for rising in _rising(cells):
                        yield from _cells(file, url, column, rising)
            except TransportError as error:
                raise changed(url, error) from error
            except (OSError, pa.ArrowException) as error:
                raise SourceError(f"{url} could be read when it was scanned, and now not: {error}") from error


@contextmanager
def _open(url: str, num_bytes: int | None = None) -> Iterator[Any]:
    with open_random(url, num_bytes) as stream, pq.ParquetFile(stream, page_checksum_verification=True) as file:
        yield file


def _check_addresses(file: Any, columns: Columns, spec: SourceSpec) -> None:
    """Raises `SourceError` where the first rows have addresses of the web alone."""
    batch = next(file.iter_batches(BATCH_ROWS, columns=[columns.uri]), None)
    links = [] if batch is None else text_values(batch[columns.uri])
    if address := addresses_alone(links):
        raise SourceError(
            f"source {spec.url} has no column of image bytes, and web addresses in column {columns.uri}, {address!r} "
            f"for one: {FETCH}"
        )


def _not_read(schema: pa.Schema, names: Sequence[str], uri: str) -> Iterator[PassedOver]:
    """Columns that nothing is taken from: others than these, and those of captions in a form that is not read."""
    for field in schema:
        if field.name not in names:
            yield PassedOver(uri=f"{uri}:{field.name}", reason="not_kept", detail=str(field.type))


def _rows(
    batch: pa.RecordBatch, first: int, chunk: SourceChunk, columns: Columns, reading: Reading, max_bytes: int
) -> _Scanned:
    path, _ = chunk.files[-1]
    url, places = chunk.url(path), [f"{chunk.uri(path)}#{first + i}" for i in range(batch.num_rows)]
    images = byte_values(batch[columns.image]) if columns.image else [None] * batch.num_rows
    links = text_values(batch[columns.uri]) if columns.uri else [None] * batch.num_rows
    held: dict[int, list[Held]] = {}
    wanted: dict[int, str] = {}
    for i, (image, link) in enumerate(zip(images, links, strict=True)):
        link = link or (image.get("path") if isinstance(image, dict) else None)
        where = Locator(kind="parquet", url=url, row=first + i, column=columns.image)
        if isinstance(image, list):
            held[i] = [*_listed(image, where, places[i])]
        elif (data := _cell(image)) is not None:
            held[i] = [(data, where)]
        elif link and isinstance(link, str):
            wanted[i] = link
    held |= {i: [one] for i, one in fetched(wanted, chunk, url, places, max_bytes).items()}
    records = _records(batch, columns)
    for i, place in enumerate(places):
        found = held.get(i) or [_no_bytes(place, records[i], columns)]
        record = {name: value for name, value in records[i].items() if name not in columns.status}
        if len(found) > 1:
            yield from _of_several(record, columns, place, len(found))
        for number, one in enumerate(found):
            here = place if len(found) == 1 else f"{place}/{number}"
            if isinstance(one, Rejected):
                yield one
            elif len(one[0]) > max_bytes:
                yield too_large(here, len(one[0]), max_bytes)
            else:
                said = Said(here, one[0])
                if len(found) == 1:
                    said.add_record(record, here, reading, ignored=record)
                annotations = said.annotations()
                yield from said.others_of_image()
                yield SourceItem(uri=here, source_label="", annotations=annotations, read=one[1]), one[0]


def _records(batch: pa.RecordBatch, columns: Columns) -> list[dict[str, Any]]:
    """What each row says beside its images, by column, or path of a caption."""
    said: dict[str, list[Any]] = {}
    for path in columns.captions:
        name, *rest = [path] if path in batch.schema.names else path.split(".")
        said[path] = text_values(batch[name], rest)
    for name in (*columns.others, *columns.status):
        try:
            said[name] = batch[name].to_pylist()
        except UnicodeDecodeError:  # Arrow does not check strings that it reads
            said[name] = text_values(batch[name])
    return [{name: values[i] for name, values in said.items()} for i in range(batch.num_rows)]


def _no_bytes(place: str, record: dict[str, Any], columns: Columns) -> Rejected:
    status = ": ".join(str(record[name]) for name in columns.status if record[name] is not None)
    detail = "no image bytes in the row" if columns.image else "no name of a file in the row"
    return Rejected(uri=place, reason="no_bytes", detail=f"{detail}{f'; its status is {status}' if status else ''}")


def _of_several(record: dict[str, Any], columns: Columns, place: str, num_images: int) -> Iterator[PassedOver]:
    """What a row says of several images together is of none of them."""
    texts = sum(len(in_value(record[path])) for path in columns.captions)
    number = texts + sum(record[name] is not None for name in columns.others)
    if number:
        detail = f"the row has {num_images} images"
        yield PassedOver(
            uri=place, reason="of_several_images", detail=detail, what="annotation", by="web", number=number
        )


def _listed(images: Sequence[Any], where: Locator, place: str) -> Iterator[Held]:
    """The images of a row that has a list of them."""
    for number, image in enumerate(images):
        data = _cell(image)
        if data is not None:
            yield data, where.model_copy(update={"offset": number})
        else:
            here = place if len(images) == 1 else f"{place}/{number}"
            yield Rejected(uri=here, reason="no_bytes", detail="no image bytes in the row's list")


def _cell(value: Any) -> bytes | None:
    """Bytes of an image cell, plain or in Hugging Face's struct."""
    data = value.get("bytes") if isinstance(value, dict) else value
    if isinstance(data, list):
        return bytes(number & 0xFF for number in data)  # in a struct, Arrow gives lists of numbers as such
    return data if isinstance(data, bytes) else None


def _rising(rows: Sequence[tuple[int, int]]) -> Iterator[list[tuple[int, int]]]:
    """Longest runs of rising rows and places in them."""
    start = 0
    for stop in range(1, len(rows) + 1):
        if stop == len(rows) or rows[stop] <= rows[stop - 1]:
            yield list(rows[start:stop])
            start = stop


def _cells(file: Any, url: str, column: str, cells: list[tuple[int, int]]) -> Iterator[bytes]:
    """Images of rising rows and places in their lists; row groups without any of them are not read."""
    first = 0
    for group in range(file.num_row_groups):
        stop = first + file.metadata.row_group(group).num_rows
        wanted: dict[int, list[int]] = {}
        for row, place in cells:
            if first <= row < stop:
                wanted.setdefault(row, []).append(place)
        for batch in file.iter_batches(BATCH_ROWS, row_groups=[group], columns=[column]) if wanted else ():
            rows = sorted(row for row in wanted if first <= row < first + batch.num_rows)
            for row in rows:
                (value,) = byte_values(batch[column].slice(row - first, 1))
                for place in wanted[row]:
                    one = value[place] if isinstance(value, list) and place < len(value) else value
                    data = _cell(one)
                    if data is None or (isinstance(value, list) and place >= len(value)):
                        raise SourceError(f"{url} had an image in row {row} when it was scanned, and now has none")
                    yield data
            first += batch.num_rows
        first = stop
    if cells and cells[-1][0] >= first:
        raise SourceError(f"{url} had a row {cells[-1][0]} when it was scanned, and now has {first} rows")
