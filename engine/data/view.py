"""All committed tables of one partition, side by side."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pyarrow as pa


@dataclass(frozen=True, slots=True)
class PartitionView:
    """One partition, whole.

    `images` has schema `schemas.tables.IMAGES`. `annotations` has every name of `ANNOTATION_TABLES`, the rows of the
    source first and then those of each annotator in graph order. `status` maps annotator → its `STATUS` table, one row
    per image in partition order. `verdicts` maps target (`VERDICT_TARGETS`) → verdict table whose rows stand in the
    order of `images` or of `annotations[target]`. `producers` maps annotation family → annotators that write it.
    Rows of gold images by human sources are in `gold`, never in `annotations`.
    """

    id: str
    images: pa.Table
    annotations: Mapping[str, pa.Table]
    status: Mapping[str, pa.Table]
    verdicts: Mapping[str, pa.Table]
    producers: Mapping[str, tuple[str, ...]]
    gold: Mapping[str, pa.Table]
