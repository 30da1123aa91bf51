"""All committed tables of one partition, side by side."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pyarrow as pa

from fld_engine.engine.protocols import Kind

Family = str
FAMILIES: dict[Family, frozenset[Kind]] = {
    "texts": frozenset({"brief_texts", "detailed_texts"}),
    "regions": frozenset({"objects", "scene_text", "region_briefs", "region_categories", "region_readings"}),
    "groundings": frozenset({"groundings"}),
}
"""Annotation family of an exported sample → kinds whose producers must be done for it to be complete."""


@dataclass(frozen=True, slots=True)
class PartitionView:
    """One partition, whole.

    `images` has schema `schemas.tables.IMAGES`. `annotations` has every name of `ANNOTATION_TABLES`, the rows of the
    source first and then those of each annotator in graph order. `status` maps annotator → its `STATUS` table, one row
    per image in partition order. `verdicts` maps target (`VERDICT_TARGETS`) → verdict table whose rows stand in the
    order of `images` or of `annotations[target]`. `producers` maps family → annotators that write it.
    Rows of gold images by human sources are in `gold`, never in `annotations`.
    """

    id: str
    images: pa.Table
    annotations: Mapping[str, pa.Table]
    status: Mapping[str, pa.Table]
    verdicts: Mapping[str, pa.Table]
    producers: Mapping[Family, tuple[str, ...]]
    gold: Mapping[str, pa.Table]
