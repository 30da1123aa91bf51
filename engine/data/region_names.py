"""What regions are called: their category phrases.

A region may have several. Work sets, filters and rounds go by the first, which is its own annotator's; coverage,
report and exports of classes show the surest, whoever said it.
"""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from fld_engine.engine.data.columns import positions
from fld_engine.schemas.kinds import OWN_TEXTS


def region_classes(regions: pa.Table, region_texts: pa.Table) -> pa.Array:
    """(n,) category phrase of each region, in row order: the first where it has several, empty where it has none."""
    return _names(regions, _phrases(region_texts))


def class_names(regions: pa.Table, region_texts: pa.Table, *, lower: bool = True) -> pa.Array:
    """(n,) category phrase of each region, the best of several, in lower case; empty where it has none."""
    order = [("region_id", "ascending"), ("score", "descending"), ("text", "ascending")]
    names = _names(regions, _phrases(region_texts).sort_by(order))
    return pc.utf8_lower(names) if lower else names


def _phrases(region_texts: pa.Table) -> pa.Table:
    return region_texts.filter(pc.equal(region_texts["kind"], OWN_TEXTS["object"]))


def _names(regions: pa.Table, phrases: pa.Table) -> pa.Array:
    place = positions(regions["id"], phrases["region_id"])
    return phrases["text"].combine_chunks().take(pa.array(place, mask=place < 0)).fill_null("")
