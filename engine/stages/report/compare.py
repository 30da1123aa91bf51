"""What changed between two roots in the kept annotations of the same images, partition by partition.

Regions of an image are matched one to one within their kind by falling IoU, at least 0.5. A match of the same label is
`same` from an IoU of 0.95, else `moved`; one of another label is `relabelled`; what has no match was `added` or
`removed`. Texts and phrases are compared as they read: `added`, `removed` or `same`.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from fld_engine.engine.data.class_keys import class_keys
from fld_engine.engine.data.columns import boxes_xyxy
from fld_engine.engine.data.geometry import pairwise_iou
from fld_engine.engine.data.kept_rows import exported
from fld_engine.engine.data.partition import load_view
from fld_engine.engine.data.region_names import region_classes
from fld_engine.engine.data.store import Store
from fld_engine.engine.data.view import PartitionView
from fld_engine.engine.stages.report.tasks import ComparePartition
from fld_engine.schemas.annotations import Frozen
from fld_engine.schemas.kinds import REGION_FAMILIES

MATCH_IOU = 0.5
SAME_IOU = 0.95
CHANGES = ("same", "added", "removed", "moved", "relabelled")
MOST_CHANGED = 12


class CompareResult(Frozen):
    """Annotations by family and change, images by whether they are in both, and the images that changed most."""

    changes: Mapping[str, Mapping[str, int]]
    images: Mapping[str, int]
    most: Sequence[tuple[int, str, str, str]]  # changes, image id, partition, partition in the other root


class Kept(NamedTuple):
    """Kept annotations of one image: (kind, label, box) of regions, and texts and phrases as they read."""

    regions: list[tuple[str, str, tuple[float, float, float, float]]]
    texts: list[str]
    phrases: list[str]


def compare(store: Store, task: ComparePartition) -> CompareResult:
    """Compare the task's partition (now) with the same images in the other root (before)."""
    now = kept_by_image(load_view(store, task.partition, task.reads))
    other = Store(task.other_root)
    before: dict[str, Kept] = {}
    home: dict[str, str] = {}
    for record, reads in task.others:
        found = kept_by_image(load_view(other, record, reads))
        before |= found
        home |= dict.fromkeys(found, record.id)
    changes: dict[str, Counter[str]] = defaultdict(Counter)
    most = []
    for image_id in sorted(now.keys() & before.keys()):
        of_image = compare_image(before[image_id], now[image_id])
        for family, counted in of_image.items():
            changes[family].update(counted)
        number = sum(n for counted in of_image.values() for change, n in counted.items() if change != "same")
        if number:
            most.append((number, image_id, task.partition.id, home[image_id]))
    return CompareResult(
        changes={family: dict(counted) for family, counted in changes.items()},
        images={"both": len(now.keys() & before.keys()), "added": len(now.keys() - before.keys())},
        most=sorted(most, key=lambda row: (-row[0], row[1]))[:MOST_CHANGED],
    )


def add_up(results: Sequence[CompareResult]) -> CompareResult:
    """The sum over partitions."""
    changes: dict[str, Counter[str]] = defaultdict(Counter)
    images: Counter[str] = Counter()
    for result in results:
        images.update(result.images)
        for family, counted in result.changes.items():
            changes[family].update(counted)
    most = sorted((row for result in results for row in result.most), key=lambda row: (-row[0], row[1]))
    return CompareResult(
        changes={family: dict(c) for family, c in changes.items()}, images=dict(images), most=most[:MOST_CHANGED]
    )


def kept_by_image(view: PartitionView) -> dict[str, Kept]:
    """Kept annotations of each image that an export holds."""
    kept = exported(view)
    found = {image_id: Kept([], [], []) for image_id in kept["images"]["id"].to_pylist()}
    regions = kept["regions"]
    names = class_keys(region_classes(regions, kept["region_texts"])).to_pylist()
    readings, boxes = _readings(kept["region_texts"]), boxes_xyxy(regions).tolist()
    for i, row in enumerate(regions.select(["id", "image_id", "kind"]).to_pylist()):
        label = names[i] if row["kind"] == "object" else readings.get(row["id"], "")
        x1, y1, x2, y2 = boxes[i]
        found[row["image_id"]].regions.append((row["kind"], label, (x1, y1, x2, y2)))
    for row in kept["texts"].select(["image_id", "granularity", "text"]).to_pylist():
        found[row["image_id"]].texts.append(f"{row['granularity']}: {row['text']}")
    for row in kept["phrases"].select(["image_id", "phrase"]).to_pylist():
        found[row["image_id"]].phrases.append(row["phrase"])
    return found


def compare_image(before: Kept, now: Kept) -> dict[str, Counter[str]]:
    """Changes of one image by family: `region-text`, `scene-text`, `text` and `phrase`."""
    found = {"text": _as_they_read(before.texts, now.texts), "phrase": _as_they_read(before.phrases, now.phrases)}
    for family, kind in REGION_FAMILIES.items():
        found[family] = _regions([r for r in before.regions if r[0] == kind], [r for r in now.regions if r[0] == kind])
    return found


def _as_they_read(before: list[str], now: list[str]) -> Counter[str]:
    old, new = Counter(before), Counter(now)
    return Counter(same=(old & new).total(), added=(new - old).total(), removed=(old - new).total())


def _regions(before: Sequence[tuple[str, str, object]], now: Sequence[tuple[str, str, object]]) -> Counter[str]:
    counted: Counter[str] = Counter()
    pairs: list[tuple[float, bool, int, int]] = []
    if before and now:
        iou = pairwise_iou(np.array([b[2] for b in before]), np.array([n[2] for n in now]))
        pairs = [(iou[i, j], before[i][1] == now[j][1], i, j) for i, j in np.argwhere(iou >= MATCH_IOU)]
    old, new = set(range(len(before))), set(range(len(now)))
    for value, same_label, i, j in sorted(pairs, key=lambda p: (-p[0], not p[1], p[2], p[3])):
        if i in old and j in new:
            old.remove(i)
            new.remove(j)
            counted["relabelled" if not same_label else "same" if value >= SAME_IOU else "moved"] += 1
    counted.update(removed=len(old), added=len(new))
    return counted


def _readings(region_texts: pa.Table) -> dict[str, str]:
    ocr = region_texts.filter(pc.equal(region_texts["kind"], "ocr"))
    return dict(zip(ocr["region_id"].to_pylist(), ocr["text"].to_pylist(), strict=True))
