"""Which list something is, told from its first row or its columns: for those that nobody asked to be fetched yet."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from fld_engine.engine.sources.addresses.columns import columns_of
from fld_engine.engine.sources.addresses.lists import fetching
from fld_engine.engine.sources.addresses.rows import PACKED, WEB, form_of, tables
from fld_engine.engine.sources.arrow_text import text_values
from fld_engine.engine.sources.fetch_settings import FetchSettings
from fld_engine.engine.sources.files import open_streamed
from fld_engine.engine.sources.item import AUTO, SourceSpec
from fld_engine.engine.sources.listing import list_files
from fld_engine.engine.sources.parquet_links import is_web
from fld_engine.schemas.errors import SourceError

FIRST_ROWS = 20


def recognised_list(spec: SourceSpec) -> SourceSpec | None:
    """A source as the list of addresses that it is, whether it is to be fetched or not; `None` for any other.

    One that says nothing is a list where all of its files have the form of one, and its first rows have addresses.
    """
    if fetching(spec) is not None:
        return spec
    if spec.kind not in (AUTO, "parquet") or spec.image_column:
        return None
    listing = list_files(spec.url, spec.name, allow_outside=spec.allow_outside)
    (path, size), forms = listing.files[0], [form_of(path or listing.base)[0] for path, _ in listing.files]
    if not all(forms):
        return None
    try:
        kind = _kind_of(f"{listing.base}/{path}" if path else listing.base, size, spec)
    except SourceError:
        return None
    return spec.model_copy(update={"kind": kind}) if kind else None


def _kind_of(url: str, num_bytes: int, spec: SourceSpec) -> str:
    """The kind of a list by its first file; empty where that has no addresses."""
    form, packed = form_of(url)
    assert form is not None, "looked at before"
    table = next(tables(url, num_bytes, form, packed, names=(), num_rows=FIRST_ROWS), None)
    if table is None:
        return ""
    columns = columns_of(table.column_names, spec, FetchSettings())
    if not any(map(is_web, text_values(table[columns.uri].combine_chunks()))):
        return ""
    if form == "tsv":
        return _of_cells(_first_cells(url, num_bytes, packed))
    return _of_columns(set(table.column_names)) if form == "parquet" else "addresses"


def _first_cells(url: str, num_bytes: int, packed: str) -> list[str]:
    with open_streamed(url, num_bytes) as stream:
        lines = PACKED[packed](stream) if packed else stream
        first = next((line for line in itertools.islice(lines, FIRST_ROWS) if line.strip()), b"")
    return str(first, "utf-8-sig", "replace").rstrip("\r\n").split("\t")


def _of_cells(cells: Sequence[str]) -> str:
    """Both have no header: address and caption, or caption, address, and labels in one of CC3M's files."""
    if len(cells) == 2 and WEB.match(cells[0]):
        return "cc12m"
    return "cc3m" if len(cells) in (2, 5) and WEB.match(cells[1]) else "addresses"


def _of_columns(names: set[str]) -> str:
    if {"URL", "TEXT"} <= names:
        return "laion"
    if "image_phash" in names:
        return "coyo"
    return "datacomp" if {"uid", "url", "text"} <= names else "addresses"
