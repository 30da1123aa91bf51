"""Coverage of a partition as counts that add up: Tables 2 and 3 and Figure 5 of FLD-5B, and the verdicts.

Everything is a whole number, so partitions merge to the same bytes in any order and grouping. Statistics are of what an
export holds: kept annotations of images that are not gold. `kept` and `dropped` answer for every row, gold or not.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from fld_engine.engine.data.hashing import canonical_json
from fld_engine.engine.data.view import PartitionView
from fld_engine.engine.stages.coverage.boxes import BoxCounts, count_boxes
from fld_engine.engine.stages.coverage.counts import (
    GroundingCounts,
    RegionTextCounts,
    TextCounts,
    count_groundings,
    count_region_texts,
    count_texts,
)
from fld_engine.schemas.annotations import Frozen, Granularity, RegionTextKind
from fld_engine.schemas.kinds import REGION_FAMILIES
from fld_engine.schemas.tables import ANNOTATION_TABLES, IMAGES, VERDICT_TARGETS, verdict_schema

VERSION = 1
"""Version of an aggregate; bumped when the same tables give other counts."""


class Aggregate(Frozen):
    """Counts of one partition or of many.

    `derived_groundings` are of composed texts on the very regions they were composed from. They agree by construction,
    so they stand apart, in counts and in boxes, and no figure about agreement may add them. `boxes` has the families
    `region-text` (objects), `scene-text`, `phrase-region` and `derived-phrase-region`.
    """

    images: int
    gold_images: int
    texts: Mapping[Granularity, TextCounts]
    region_texts: Mapping[RegionTextKind, RegionTextCounts]
    groundings: Mapping[Granularity, GroundingCounts]
    derived_groundings: Mapping[Granularity, GroundingCounts]
    boxes: Mapping[str, BoxCounts]
    kept: Mapping[str, int]
    dropped: Mapping[str, Mapping[str, int]]


def aggregate(view: PartitionView) -> Aggregate:
    """Counts of one partition. Where nothing judges a table, all of it is kept."""
    kept = {target: _exported(view, target) for target in VERDICT_TARGETS}
    tokens, regions = view.annotations["tokens"], kept["regions"]
    is_derived = kept["phrases"]["derived"]
    groundings, boxes = {}, {}
    for prefix, mask in (("", pc.invert(is_derived)), ("derived-", is_derived)):
        phrases = kept["phrases"].filter(mask)
        phrase_regions = _rows_of(kept["phrase_regions"], "phrase_id", phrases["id"])
        groundings[prefix] = count_groundings(phrases, phrase_regions, kept["texts"], tokens)
        boxes[f"{prefix}phrase-region"] = count_boxes(phrase_regions, kept["images"])
    for family, kind in REGION_FAMILIES.items():
        boxes[family] = count_boxes(regions.filter(pc.equal(regions["kind"], kind)), kept["images"])
    return Aggregate(
        images=kept["images"].num_rows,
        gold_images=pc.sum(view.images["gold"]).as_py() or 0,
        texts=count_texts(kept["texts"], tokens),
        region_texts=count_region_texts(kept, tokens),
        groundings=groundings[""],
        derived_groundings=groundings["derived-"],
        boxes=boxes,
        kept={target: pc.sum(_verdicts(view, target)["kept"]).as_py() or 0 for target in VERDICT_TARGETS},
        dropped={target: _dropped(_verdicts(view, target)) for target in VERDICT_TARGETS},
    )


def merge(aggregates: Iterable[Aggregate]) -> Aggregate:
    """The sum of aggregates, bit for bit the same in any order and grouping; of none at all, the zero."""
    total: dict[str, Any] = _zero().model_dump()
    for one in aggregates:
        total = _add(total, one.model_dump())
    return Aggregate.model_validate(total)


def to_bytes(counts: Aggregate) -> bytes:
    """Canonical JSON: equal counts give equal bytes."""
    return canonical_json(counts.model_dump(mode="json")).encode()


def from_bytes(data: bytes) -> Aggregate:
    """What `to_bytes` wrote. Raises `pydantic.ValidationError` for anything else."""
    return Aggregate.model_validate_json(data)


def _exported(view: PartitionView, target: str) -> pa.Table:
    """Kept rows of images that are not gold, with the column `chosen` of their verdicts."""
    table, verdicts = _judged(view, target), _verdicts(view, target)
    rows = table.append_column("chosen", verdicts["chosen"]).filter(verdicts["kept"])
    ordinary = view.images["id"].filter(pc.invert(view.images["gold"]))
    return _rows_of(rows, "id" if target == "images" else "image_id", ordinary)


def _judged(view: PartitionView, target: str) -> pa.Table:
    return view.images if target == "images" else view.annotations[target]


def _verdicts(view: PartitionView, target: str) -> pa.Table:
    if target in view.verdicts:
        return view.verdicts[target]
    table = _judged(view, target)
    yes, no_reason = pa.repeat(True, table.num_rows), pa.repeat("", table.num_rows)
    image_id = table["id" if target == "images" else "image_id"]
    return pa.table([table["id"], image_id, yes, no_reason, yes], schema=verdict_schema([]))


def _rows_of(table: pa.Table, column: str, owners: pa.ChunkedArray) -> pa.Table:
    return table.filter(pc.is_in(table[column], value_set=owners.combine_chunks()))


def _dropped(verdicts: pa.Table) -> dict[str, int]:
    """Dropped rows by reason."""
    reasons = verdicts["reason"].filter(pc.invert(verdicts["kept"]))
    counts = pc.value_counts(reasons)
    return dict(zip(counts.field("values").to_pylist(), counts.field("counts").to_pylist(), strict=True))


@cache
def _zero() -> Aggregate:
    """The counts of a partition of no images."""
    nothing = {name: schema.empty_table() for name, schema in ANNOTATION_TABLES.items()}
    empty = PartitionView(
        id="", images=IMAGES.empty_table(), annotations=nothing, status={}, verdicts={}, producers={}, gold=nothing
    )
    return aggregate(empty)


def _add(a: Any, b: Any) -> Any:
    """Sum of two trees of whole numbers; a key that one of two mappings lacks counts as nothing there."""
    if isinstance(a, dict):
        return {key: _add(a[key], b[key]) if key in a and key in b else a.get(key, b.get(key)) for key in {**a, **b}}
    if isinstance(a, tuple):
        return tuple(x + y for x, y in zip(a, b, strict=True))
    return a + b
