"""Open Images' label files by image."""

from __future__ import annotations

import csv
import io
import json
import posixpath
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from fld_engine.engine.data.hashing import fingerprint
from fld_engine.engine.sources.hashed import Hashed
from fld_engine.engine.sources.item import IMAGE_EXTENSIONS, extension
from fld_engine.engine.sources.labelled import Problem
from fld_engine.engine.sources.listing import Listing
from fld_engine.engine.sources.open_images.columns import COLUMNS, IMAGE, What, unread, what_is
from fld_engine.engine.sources.tables_by_image import ByImage, by_image, concatenated, header_of, read_csv
from fld_engine.schemas.errors import SourceError

IDS = ("/m/", "/g/")
"""How ids of classes begin: a file that begins so is one of their names, and has no header."""
UNREAD = "unread"
_NARRATIVES = pa.schema([(IMAGE, pa.string()), ("caption", pa.string())])


@dataclass(frozen=True, slots=True)
class Labels:
    """Tables by what they hold, `narratives` among them, and names of classes and of relationships by their ids.

    `masks` maps names of mask files to their paths. `used` are the paths of files that something was read of. Tables
    have a column `unread` beside their own: the columns of their file that nothing is made of. `problems` are places of
    lines that cannot be read, with reason and detail.
    """

    revision: str
    base: str
    tables: Mapping[str, ByImage]
    names: Mapping[str, str]
    masks: Mapping[str, str]
    used: frozenset[str]
    problems: Sequence[Problem]


@dataclass(slots=True)
class _Reading:
    """What was read so far."""

    tables: dict[str, list[pa.Table]] = field(default_factory=lambda: defaultdict(list))
    names: dict[str, str] = field(default_factory=dict)
    digests: list[tuple[str, str]] = field(default_factory=list)
    used: list[str] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)


def read_labels(listing: Listing) -> Labels:
    """The label files of a listing. Raises `SourceError` where none is of this layout."""
    reading = _Reading()
    for path, size in listing.files:
        if extension(path) in ("csv", "jsonl"):
            with Hashed(listing.url(path), size) as stream:
                _read_file(reading, path, io.BufferedReader(stream, 2**22))
                reading.digests.append((path, stream.finish()))
    if not reading.tables:
        raise SourceError(
            f"source {listing.base} has no label file of Open Images: expected a .csv with the columns ImageID and "
            "LabelName, or localized narratives as .jsonl; give the folder that they are in"
        )
    masks = {posixpath.basename(path): (path, size) for path, size in listing.ending({"png"})}
    tables = {what: by_image(concatenated(parts), IMAGE) for what, parts in reading.tables.items()}
    wanted = set(tables["masks"].rows["MaskPath"].to_pylist()) if "masks" in tables else set()
    found = {one: at for one, at in masks.items() if one in wanted}
    return Labels(
        revision=fingerprint({"files": reading.digests, "masks": sorted(found.values())})[:12],
        base=listing.base,
        tables=tables,
        names=reading.names,
        masks={one: path for one, (path, _) in found.items()},
        used=frozenset((*reading.used, *(path for path, _ in found.values()))),
        problems=reading.problems,
    )


def _read_file(reading: _Reading, path: str, stream: io.BufferedReader) -> None:
    if extension(path) == "jsonl":
        _read_narratives(reading, path, stream)
        return
    start = stream.peek(2**16)
    header = header_of(start.partition(b"\n")[0])
    what = what_is(header)
    if "description" in posixpath.basename(path) or header[0].startswith(IDS):
        words = csv.reader(io.TextIOWrapper(io.BytesIO(stream.read()), "utf-8-sig", "replace"))
        reading.names |= {row[0]: row[1].strip() for row in words if len(row) > 1 and row[1].strip()}
        reading.used.append(path)
    elif what is not None:
        _read_table(reading, path, stream, what, header)


def _read_table(reading: _Reading, path: str, stream: Any, what: What, header: tuple[str, ...]) -> None:
    given = {name: kind for name, kind in COLUMNS[what].items() if name in header}
    try:
        table, malformed = read_csv(stream, {IMAGE: pa.string(), **given})
    except ValueError as error:
        reading.problems.append((f"#{path}", "bad_file", f"no CSV that can be read: {error}"))
        return
    for name, kind in COLUMNS[what].items():
        if name not in given:
            table = table.append_column(name, pa.nulls(len(table), kind))
    _add(reading, path, what, table, malformed + table[IMAGE].null_count, unread(what, header))


def _read_narratives(reading: _Reading, path: str, stream: io.BufferedReader) -> None:
    """Localized narratives: one a line. Their traces and times are left out."""
    rows, malformed, others = [], 0, set[str]()
    for line in stream:
        try:
            told = json.loads(line) if line.strip() else {}
            rows.append({IMAGE: _text(told["image_id"]), "caption": _text(told["caption"])})
            others |= told.keys() - {"image_id", "caption"}
        except (ValueError, KeyError, TypeError, RecursionError):
            malformed += bool(line.strip())
    if rows:
        _add(reading, path, "narratives", pa.Table.from_pylist(rows, schema=_NARRATIVES), malformed, sorted(others))


def _add(
    reading: _Reading, path: str, what: str, table: pa.Table, malformed: int, unread_columns: Sequence[str]
) -> None:
    if malformed:
        detail = f"{malformed} lines that have other fields than the file's first, or no image"
        reading.problems.append((f"#annotations of {path}", "bad_record", detail))
    if len(table) and extension(str(table[IMAGE][0].as_py())) in IMAGE_EXTENSIONS:  # tools name files, not ids
        at = table.column_names.index(IMAGE)
        table = table.set_column(at, IMAGE, pc.replace_substring_regex(table[IMAGE], r"\.[A-Za-z0-9]+$", ""))
    words = pa.array([", ".join(unread_columns)], type=pa.string())
    same = pa.DictionaryArray.from_arrays(pa.array(np.zeros(len(table), dtype=np.int32)), words)
    reading.tables[what].append(table.append_column(UNREAD, same))
    reading.used.append(path)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is no text")
    return value
