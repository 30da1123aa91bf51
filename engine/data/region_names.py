"""What a region is: its class, the one name that all go by who ask for no description.

Several may name it, the annotator that drew it and those that looked again. The surest name is its class, that of a
person before a model's of the same score; of equals the first in the alphabet. Filters, work sets, votes, rounds,
coverage, report, COCO and `<OD>` go by it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from fld_engine.engine.data.columns import positions
from fld_engine.schemas.kinds import OWN_TEXTS
from fld_engine.schemas.origins import Origin

CLASS = OWN_TEXTS["object"]
"""Kind of the texts that name a class."""


def region_classes(regions: pa.Table, region_texts: pa.Table) -> pa.Array:
    """(n,) class of each region, in row order; empty where it has none."""
    phrases = region_texts.filter(pc.equal(region_texts["kind"], CLASS))
    by_model = pc.not_equal(phrases["annotator"], Origin.HUMAN)
    order = [("region_id", "ascending"), ("score", "descending"), ("by_model", "ascending"), ("text", "ascending")]
    phrases = phrases.select(["region_id", "score", "text"]).append_column("by_model", by_model).sort_by(order)
    place = positions(regions["id"], phrases["region_id"])
    return phrases["text"].combine_chunks().take(pa.array(place, mask=place < 0)).fill_null("")


def class_rank(region_text: Mapping[str, Any]) -> tuple[bool, float, bool, str]:
    """Sorts the texts of one region: its class first, then its other names; the others stay as they are."""
    if region_text["kind"] != CLASS:
        return True, 0.0, False, ""
    return False, -region_text["score"], region_text["annotator"] != Origin.HUMAN, region_text["text"]
