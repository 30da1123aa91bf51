"""All committed tables of one partition, side by side."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import pyarrow as pa

from fld_engine.schemas.tables import ABSENCES, LABELS

OF_NO_SOURCE: Mapping[str, pa.Table] = {"labels": LABELS.empty_table(), "absences": ABSENCES.empty_table()}
"""Classes of images that only sources tell of, where none does."""


@dataclass(frozen=True, slots=True)
class PartitionView:
    """One partition, whole.

    `images` has schema `schemas.tables.IMAGES`. `annotations` has every name of `ANNOTATION_TABLES`, the rows of the
    source first and then those of each annotator in graph order. `status` maps annotator → its `STATUS` table, one row
    per image in partition order. `verdicts` maps target (`VERDICT_TARGETS`) → verdict table whose rows stand in the
    order of `images` or of `annotations[target]`. `producers` maps annotation family → annotators that write it.
    Rows of gold images by human sources are in `gold`, never in `annotations`. `of_sources` has the tables `labels` and
    `absences` of `annotations` without what specialists said.
    """

    id: str
    images: pa.Table
    annotations: Mapping[str, pa.Table]
    status: Mapping[str, pa.Table]
    verdicts: Mapping[str, pa.Table]
    producers: Mapping[str, tuple[str, ...]]
    gold: Mapping[str, pa.Table]
    of_sources: Mapping[str, pa.Table] = field(default_factory=lambda: OF_NO_SOURCE)
