"""Types and schemas that live only between the steps of one ingest."""

from __future__ import annotations

from collections.abc import Mapping

import pyarrow as pa

from fld_engine.engine.data.records import FileRecord
from fld_engine.schemas.annotations import Frozen
from fld_engine.schemas.errors import Trouble

_string = pa.string()

SCAN = pa.schema(
    [
        ("id", _string),
        ("source", _string),
        ("uri", _string),
        ("sha256", _string),
        ("num_bytes", pa.int64()),
        ("format", _string),
        ("width", pa.int32()),
        ("height", pa.int32()),
        ("plain_jpeg", pa.bool_()),
        ("phash", _string),
        ("source_label", _string),
        ("licence", _string),
        ("gold", pa.bool_()),
        ("locator", _string),  # JSON of `Locator`
        ("annotations", _string),  # JSON of `Annotations`
    ]
)

MATCHES = pa.schema(
    [
        ("id", _string),
        ("scan", pa.int32()),
        ("row", pa.int32()),
        ("status", _string),  # new, duplicate (same bytes elsewhere) or known (same bytes at the same place)
        ("partition", _string),  # of an earlier ingest that has these bytes already, or empty
    ]
)


class ScanTrouble(Frozen):
    """Why a chunk could not be read; the next run tries again."""

    kind: Trouble
    detail: str


LISTED = pa.schema(
    [
        ("file", _string),  # its URI
        ("read", pa.bool_()),  # by this ingest
    ]
)

GONE = pa.schema(
    [
        ("id", _string),
        ("uri", _string),
        ("partition", _string),
        ("moved", pa.bool_()),  # counts only where the source has the image at another place now
    ]
)


class ScanResult(Frozen):
    """Files of one scanned chunk: `scan` and `quarantine`; none where it could not be read, for `unread`."""

    index: int
    files: Mapping[str, FileRecord]
    unread: ScanTrouble | None = None


class DeduplicateResult(Frozen):
    file: FileRecord


class TwinResult(Frozen):
    """How many hashes a part of a step leaves for another round."""

    unsettled: int


class GoneResult(Frozen):
    """A table `GONE`, and the partitions that it speaks of."""

    file: FileRecord
    partitions: tuple[str, ...]
