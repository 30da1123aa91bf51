"""Where every sample of an export stands: the rows of `index.parquet`, from which subsets are chosen without a tar.

A worker makes the rows of its group while it writes the shards; nobody reads the shards again.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import pyarrow as pa

from fld_engine.schemas.sample import Sample

_string, _int, _long = pa.string(), pa.int32(), pa.int64()

INDEX = pa.schema(
    [
        ("id", _string),
        ("split", _string),
        ("shard", _string),
        ("position", _int),
        ("offset", _long),
        ("num_bytes", _long),
        ("jpg_offset", _long),
        ("jpg_bytes", _long),
        ("json_offset", _long),
        ("json_bytes", _long),
        ("txt_offset", _long),
        ("txt_bytes", _long),
        ("source", _string),
        ("licence", _string),
        ("width", _int),
        ("height", _int),
        ("texts", _string),
        ("regions", _string),
        ("groundings", _string),
        ("num_texts", _int),
        ("num_regions", _int),
        ("num_groundings", _int),
        ("tasks", pa.list_(_string)),
    ]
)
"""Columns of `index.parquet`.

`shard` is a file name under `shards/`, `position` the place of the sample in it, from 0. `offset` and `num_bytes` cover
the sample's three members with headers and padding; the other offsets and sizes are of the members' own bytes. All are
in bytes from the start of the shard. `texts`, `regions` and `groundings` are the family's status; `tasks` are those
that the sample has targets for, sorted.
"""


class Facts(NamedTuple):
    """What the index says of a sample beside its place: columns `source` to `tasks`."""

    source: str
    licence: str
    width: int
    height: int
    texts: str
    regions: str
    groundings: str
    num_texts: int
    num_regions: int
    num_groundings: int
    tasks: list[str]


class Place(NamedTuple):
    """Where a sample stands: columns `id` to `txt_bytes`."""

    id: str
    split: str
    shard: str
    position: int
    offset: int
    num_bytes: int
    jpg_offset: int
    jpg_bytes: int
    json_offset: int
    json_bytes: int
    txt_offset: int
    txt_bytes: int


def facts_of(sample: Sample) -> Facts:
    return Facts(
        source=sample.image.source,
        licence=sample.image.licence,
        width=sample.image.width,
        height=sample.image.height,
        texts=sample.status.texts,
        regions=sample.status.regions,
        groundings=sample.status.groundings,
        num_texts=len(sample.texts),
        num_regions=len(sample.regions),
        num_groundings=len(sample.groundings),
        tasks=sorted({target.task for target in sample.targets}),
    )


def index_table(rows: Sequence[tuple[Place, Facts]]) -> pa.Table:
    """The rows of one shard or group, in the order given."""
    columns: Iterable[Sequence[object]] = zip(*((*place, *facts) for place, facts in rows), strict=True)
    arrays = [pa.array(column, field.type) for column, field in zip(columns, INDEX, strict=False)]
    return pa.table(arrays, schema=INDEX) if arrays else INDEX.empty_table()
