"""What an annotator that reads annotations gets to see."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field

from fld_engine.engine.data.class_keys import class_keys
from fld_engine.engine.data.geometry import Bools, Ints, nms_keep
from fld_engine.engine.data.identity import Fields
from fld_engine.engine.data.region_names import region_classes
from fld_engine.schemas.annotations import Frozen
from fld_engine.schemas.kinds import NOT_STORED, Kind, values_of
from fld_engine.schemas.tables import ANNOTATION_TABLES, TABLES, links_to

WORK_SET_VERSION = 2
"""Version of how regions are chosen: by class, which at first was the first of several names and not the surest."""
MORE_NAMES: frozenset[Kind] = frozenset({"region_categories"})
"""Kinds that give a region more names than one; without them, all versions choose the same."""


class WorkSet(Frozen):
    """Which regions an annotator that reads annotations gets to see; part of its fingerprint.

    Regions below `min_score` are left out, then class-aware NMS at `nms_iou`, then the `max_regions` best are kept.
    """

    in_fingerprints: ClassVar[Fields] = Fields(always=("min_score", "nms_iou", "max_regions"))

    min_score: float = Field(default=0.3, ge=0, le=1)
    nms_iou: float = Field(default=0.7, gt=0, le=1)
    max_regions: int = Field(default=50, gt=0)


def select_kinds(tables: Mapping[str, pa.Table], kinds: frozenset[Kind]) -> dict[str, pa.Table]:
    """Rows of the given kinds alone; every annotation table is there."""
    wanted = values_of(kinds - NOT_STORED)
    selected = {}
    for name in ANNOTATION_TABLES:
        table = tables[name]
        if name not in wanted:
            table = table.slice(0, 0)
        elif tells := TABLES[name].tells:
            table = table.filter(pc.is_in(table[tells], pa.array(sorted(wanted[name]), pa.string())))
        selected[name] = table
    return selected


def cut_to_work_set(tables: Mapping[str, pa.Table], work_set: WorkSet) -> dict[str, pa.Table]:
    """Keep the regions of the work set, and of the other tables the rows that do not hang on a dropped region."""
    regions = tables["regions"]
    keep = _region_mask(regions, tables["region_texts"], work_set)
    dropped = regions["id"].filter(pa.array(~keep))
    cut = dict(tables)
    cut["regions"] = regions.filter(pa.array(keep))
    for name, column in links_to("regions").items():
        cut[name] = tables[name].filter(pc.invert(pc.is_in(tables[name][column], dropped)))
    return cut


def _region_mask(regions: pa.Table, region_texts: pa.Table, work_set: WorkSet) -> Bools:
    scores = regions["score"].to_numpy()
    boxes = np.stack([regions[c].to_numpy() for c in ("x1", "y1", "x2", "y2")], axis=1)
    images = _codes(regions["image_id"].to_pylist())
    kinds = regions["kind"].to_pylist()
    classes = class_keys(region_classes(regions, region_texts)).to_pylist()
    keep: Bools = scores >= work_set.min_score
    alive = np.flatnonzero(keep)
    groups = _codes([f"{images[i]}/{kinds[i]}/{classes[i]}" for i in alive])
    keep[alive] = nms_keep(boxes[alive], scores[alive], groups, work_set.nms_iou)
    alive = np.flatnonzero(keep)
    by_score = alive[np.lexsort((alive, -scores[alive], images[alive]))]
    starts = np.flatnonzero(np.diff(images[by_score], prepend=-1))
    rank = np.arange(len(by_score)) - np.repeat(starts, np.diff(np.append(starts, len(by_score))))
    keep[by_score[rank >= work_set.max_regions]] = False
    return keep


def _codes(values: list[str]) -> Ints:
    return np.unique(np.array(values, dtype=object).astype(str), return_inverse=True)[1].astype(np.int64).reshape(-1)
