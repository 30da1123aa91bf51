"""Coverage of a partition as counts that add up: Tables 2 and 3 and Figure 5 of FLD-5B, and the verdicts.

Everything is a whole number, so partitions merge to the same bytes in any order and grouping. Statistics are of what an
export holds: kept annotations of images that are not gold. `kept` and `dropped` answer for every row, gold or not.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any

import pyarrow.compute as pc
from pydantic import Field

from fld_engine.engine.data.hashing import canonical_json
from fld_engine.engine.data.kept_rows import box_families, exported, num_dropped, num_kept, verdicts_of
from fld_engine.engine.data.view import PartitionView
from fld_engine.engine.stages.coverage.boxes import BoxCounts, count_boxes
from fld_engine.engine.stages.coverage.classes import ClassCounts, count_classes
from fld_engine.engine.stages.coverage.counts import (
    GroundingCounts,
    RegionTextCounts,
    TextCounts,
    count_groundings,
    count_region_texts,
    count_texts,
)
from fld_engine.schemas.annotations import Frozen, Granularity, RegionTextKind
from fld_engine.schemas.tables import ANNOTATION_TABLES, IMAGES, VERDICT_TARGETS

VERSION = 1
"""Version of an aggregate; bumped when the same tables give other counts."""


class Aggregate(Frozen):
    """Counts of one partition or of many.

    `derived_groundings` are of composed texts on the very regions they were composed from. They agree by construction,
    so they stand apart, in counts and in boxes, and no figure about agreement may add them. `boxes` has the families
    `region-text` (objects), `scene-text`, `phrase-region` and `derived-phrase-region`. `classes` are those of whole
    images that sources tell, left out of a dump where there are none.
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
    classes: ClassCounts = Field(default=ClassCounts(), exclude_if=lambda counts: counts == ClassCounts())


def aggregate(view: PartitionView) -> Aggregate:
    """Counts of one partition. Where nothing judges a table, all of it is kept."""
    kept, tokens = exported(view), view.annotations["tokens"]
    phrases, phrase_regions = kept["phrases"], kept["phrase_regions"]
    groundings, derived_groundings = (
        count_groundings(phrases.filter(mine), phrase_regions, kept["texts"], tokens)
        for mine in (pc.invert(phrases["derived"]), phrases["derived"])
    )
    verdicts = {target: verdicts_of(view, target) for target in VERDICT_TARGETS}
    return Aggregate(
        images=kept["images"].num_rows,
        gold_images=pc.sum(view.images["gold"]).as_py() or 0,
        texts=count_texts(kept["texts"], tokens),
        region_texts=count_region_texts(kept, tokens),
        groundings=groundings,
        derived_groundings=derived_groundings,
        boxes={family: count_boxes(rows, kept["images"]) for family, rows in box_families(kept)},
        kept={target: num_kept(judged) for target, judged in verdicts.items()},
        dropped={target: num_dropped(judged) for target, judged in verdicts.items()},
        classes=count_classes(view, kept["images"]["id"]),
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
