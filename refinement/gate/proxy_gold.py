"""A proxy of gold where there is none: objects that two independent specialists agree on.

It is not truth: what all specialists miss stays missing, and what they share as a mistake stays right. So the name of
every figure that was measured against it begins with `agreement-`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace

import pyarrow as pa
import pyarrow.compute as pc

from fld_engine.engine.data.view import PartitionView
from fld_engine.engine.plan.config import FilterConfig
from fld_engine.engine.plan.protocols import Filter
from fld_engine.engine.plan.registry import build_filter
from fld_engine.refinement.labels.gold import Gold, gold_split_of
from fld_engine.refinement.labels.image import LabelledImage
from fld_engine.refinement.labels.tables import gold_of

AGREEMENT = "agreement-"
"""What the names of metrics begin with that were measured against agreement, not against people."""
NUM_IMAGES = 3000
"""About how many images judge, at most: all of them are in memory at once, as gold is."""
MIN_VOTES = 2
"""Specialists that see an object, as filter `region-votes` counts them."""
OVERLAPS = "overlaps_better"
"""Reason of filter `region-nms`, which keeps one of those that agree."""


def agreed_objects(view: PartitionView) -> dict[str, Gold]:
    """Image id → objects that two specialists see, once each; images without such an object are not in it."""
    verdicts = view.verdicts["regions"]
    standing = pc.or_(verdicts["kept"], pc.equal(verdicts["reason"], OVERLAPS))
    tables = {"regions": view.annotations["regions"].filter(standing), "region_texts": view.annotations["region_texts"]}
    votes = _filter("region-votes").decide(tables).value
    tables["regions"] = tables["regions"].filter(pa.array(votes >= MIN_VOTES))
    tables["regions"] = tables["regions"].filter(pa.array(_filter("region-nms").decide(tables).keep))
    return gold_of({**tables, "texts": view.annotations["texts"].slice(0, 0)})


def as_reference(
    images: Sequence[LabelledImage], agreed: Mapping[str, Gold], *, share: float, seed: int
) -> list[LabelledImage]:
    """The images, a `share` of those with agreement dealt to the splits that gold is dealt to."""
    return [
        replace(image, gold_split=gold_split_of(image.twin_group, seed))
        if image.id in agreed and _drawn(image.twin_group, share, seed)
        else image
        for image in images
    ]


def _filter(use: str) -> Filter:
    return build_filter(use, FilterConfig())


def _drawn(twin_group: str, share: float, seed: int) -> bool:
    # these words decide which images of existing roots judge
    digest = hashlib.sha256(f"stand-in:{seed}:{twin_group}".encode()).digest()
    return int.from_bytes(digest[:8]) < share * 2**64
