"""What an export holds of a partition: kept rows of images that are not gold, with who made them."""

from __future__ import annotations

from collections.abc import Mapping

import pyarrow as pa
import pyarrow.compute as pc

from fld_engine.engine.data.view import PartitionView
from fld_engine.schemas.tables import VERDICT_TARGETS, verdict_schema


def judged(view: PartitionView, target: str) -> pa.Table:
    """All rows of a target, with the columns `kept`, `reason` and `chosen` of their verdicts.

    Where nothing judges a target, all of it is kept.
    """
    table = view.images if target == "images" else view.annotations[target]
    verdicts = verdicts_of(view, target)
    for name in ("kept", "reason", "chosen"):
        table = table.append_column(name, verdicts[name])
    return table


def verdicts_of(view: PartitionView, target: str) -> pa.Table:
    """The verdict table of a target; one that keeps everything where there is none."""
    if target in view.verdicts:
        return view.verdicts[target]
    table = view.images if target == "images" else view.annotations[target]
    yes, no_reason = pa.repeat(True, table.num_rows), pa.repeat("", table.num_rows)
    image_id = table["id" if target == "images" else "image_id"]
    return pa.table([table["id"], image_id, yes, no_reason, yes], schema=verdict_schema([]))


def ordinary_images(view: PartitionView) -> pa.ChunkedArray:
    """Ids of the images that are not gold."""
    return view.images["id"].filter(pc.invert(view.images["gold"]))


def exported(view: PartitionView) -> Mapping[str, pa.Table]:
    """Kept rows of images that are not gold, by verdict target."""
    ordinary = ordinary_images(view).combine_chunks()
    kept = {}
    for target in VERDICT_TARGETS:
        table = judged(view, target)
        mine = pc.is_in(table["id" if target == "images" else "image_id"], value_set=ordinary)
        kept[target] = table.filter(pc.and_(mine, table["kept"]))
    return kept


def class_names(regions: pa.Table, region_texts: pa.Table, *, lower: bool = True) -> pa.Array:
    """(n,) category phrase of each region, the best of several, in lower case; empty where it has none."""
    phrases = region_texts.filter(pc.equal(region_texts["kind"], "phrase")).sort_by(
        [("region_id", "ascending"), ("score", "descending"), ("text", "ascending")]
    )
    place = pc.index_in(regions["id"], value_set=phrases["region_id"].combine_chunks())
    names = phrases["text"].combine_chunks().take(_whole(place))
    names = names.fill_null("")
    return pc.utf8_lower(names) if lower else names


def _whole(column: pa.ChunkedArray | pa.Array) -> pa.Array:
    return column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
