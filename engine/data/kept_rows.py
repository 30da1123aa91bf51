"""Rows of a partition with what the verdicts say of them: all of them, those that are kept, those that are exported.

Where nothing judges a table, all of it is kept.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from fld_engine.engine.data.columns import Column, num_by_value
from fld_engine.engine.data.view import PartitionView
from fld_engine.schemas.kinds import KINDS, REGION_FAMILIES
from fld_engine.schemas.tables import FILTERS_METADATA, VERDICT_TARGETS, owner_column, verdict_schema

Row = dict[str, Any]
Tables = Mapping[str, pa.Table]

VERDICT = ("kept", "reason", "chosen")
"""Columns of a verdict that `judged` puts beside a row."""


# ------------------------------------------------------------------ whole tables


def rows_of(view: PartitionView, name: str) -> pa.Table:
    """All rows of a table, `images` or one of annotations; people's on gold images are not among them."""
    return view.images if name == "images" else view.annotations[name]


def verdicts_of(view: PartitionView, name: str) -> pa.Table:
    """The verdicts on the rows of a table, in their order."""
    if name in view.verdicts:
        return view.verdicts[name]
    table = rows_of(view, name)
    yes, no_reason = pa.repeat(True, table.num_rows), pa.repeat("", table.num_rows)
    return pa.table([table["id"], table[owner_column(name)], yes, no_reason, yes], schema=verdict_schema([]))


def judged(view: PartitionView, name: str) -> pa.Table:
    """All rows of a table, with the columns `kept`, `reason` and `chosen` of their verdicts."""
    table, verdicts = rows_of(view, name), verdicts_of(view, name)
    for column in VERDICT:
        table = table.append_column(column, verdicts[column])
    return table


def kept(view: PartitionView, name: str) -> pa.Table:
    """The rows of a table that the verdicts keep, with their column `chosen`; gold images are among them."""
    verdicts = verdicts_of(view, name)
    return rows_of(view, name).append_column("chosen", verdicts["chosen"]).filter(verdicts["kept"])


def ordinary_images(view: PartitionView) -> pa.Array:
    """Ids of the images that are not gold."""
    return view.images["id"].filter(pc.invert(view.images["gold"])).combine_chunks()


def is_ordinary(view: PartitionView, name: str) -> pa.ChunkedArray:
    """Whether each row of a table is about an image that is not gold."""
    return pc.is_in(rows_of(view, name)[owner_column(name)], value_set=ordinary_images(view))


def exported(view: PartitionView) -> Tables:
    """What an export holds, by verdict target: kept rows of images that are not gold, with their column `chosen`."""
    ordinary = ordinary_images(view)
    return {name: where(kept(view, name), owner_column(name), ordinary) for name in VERDICT_TARGETS}


def where(table: pa.Table, column: str, ids: Column) -> pa.Table:
    """The rows of a table whose `column` holds one of `ids`."""
    return table.filter(
        pc.is_in(table[column], value_set=ids.combine_chunks() if isinstance(ids, pa.ChunkedArray) else ids)
    )


def box_families(tables: Tables) -> Iterator[tuple[str, pa.Table]]:
    """(family, boxes) of exported rows: regions by their kind, and groundings.

    Groundings that agree by construction stand apart, in families with `derived-` in front: no figure about agreement
    may count them.
    """
    regions, phrases, boxes = tables["regions"], tables["phrases"], tables["phrase_regions"]
    for family, kind in REGION_FAMILIES.items():
        yield family, regions.filter(pc.equal(regions["kind"], kind))
    for prefix, is_derived in (("", False), ("derived-", True)):
        mine = phrases["id"].filter(pc.equal(phrases["derived"], is_derived))
        yield prefix + KINDS["groundings"].boxes, where(boxes, "phrase_id", mine)


# ------------------------------------------------------------------ what the verdicts say


def num_kept(verdicts: pa.Table) -> int:
    """Number of rows that are kept."""
    number: int = pc.sum(verdicts["kept"], min_count=0).as_py()
    return number


def num_dropped(verdicts: pa.Table) -> dict[str, int]:
    """Number of rows that are dropped, by reason."""
    return num_by_value(verdicts["reason"].filter(pc.invert(verdicts["kept"])))


def filters_of(verdicts: pa.Table) -> list[str]:
    """The filters that have a column of values in a verdict table, in the order in which they were asked."""
    names: list[str] = verdicts.schema.names[len(verdict_schema([])) :]
    return names


def thresholds_of(verdicts: pa.Table) -> Mapping[str, Any]:
    """What the filters of a verdict table are and their parameters, by name."""
    thresholds: Mapping[str, Any] = json.loads((verdicts.schema.metadata or {}).get(FILTERS_METADATA, b"{}"))
    return thresholds


# ------------------------------------------------------------------ one image


def judged_rows(view: PartitionView, name: str, image_id: str) -> list[Row]:
    """The rows of a table about an image with `kept`, `reason`, `chosen`, and `values`: what filters decided on.

    Filters that were not asked, or whose rule does not apply, have no value.
    """
    verdicts = verdicts_of(view, name)
    mine = pc.equal(rows_of(view, name)[owner_column(name)], image_id)
    rows: list[Row] = rows_of(view, name).filter(mine).to_pylist()
    for row, verdict in zip(rows, verdicts.filter(mine).to_pylist(), strict=True):
        values = {judge: verdict[judge] for judge in filters_of(verdicts)}
        row |= {column: verdict[column] for column in VERDICT}
        row["values"] = {j: value for j, value in values.items() if value is not None and not math.isnan(value)}
    return rows


def status_of(view: PartitionView, image_id: str) -> dict[str, str]:
    """How far each annotator, or family of carried labels, came with an image, with the reason where there is one."""
    found = {}
    for annotator, table in view.status.items():
        for row in table.filter(pc.equal(table["image_id"], image_id)).to_pylist():
            found[annotator] = row["status"] + (f": {row['reason']}" if row["reason"] else "")
    return found
