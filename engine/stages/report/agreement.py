"""How well specialists agree with each other, and how right they are where people have labelled.

Two regions agree on the place from an IoU of 0.5 (PASCAL VOC's bound), and on the label where their category phrases
are the same. Only specialists that did not see each other's answers are compared; `count_agreement` is told which.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import permutations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from fld_engine.engine.data.class_keys import class_keys
from fld_engine.engine.data.columns import boxes_xyxy, codes, floats
from fld_engine.engine.data.geometry import Bools, Floats, Ints, pairwise_iou
from fld_engine.engine.data.kept_rows import is_ordinary, judged
from fld_engine.engine.data.region_names import region_classes
from fld_engine.engine.data.view import PartitionView
from fld_engine.engine.stages.report.bins import IOU_BINS, iou_bins
from fld_engine.engine.stages.report.tables import count_rows
from fld_engine.schemas.origins import Origin

MATCH_IOU = 0.5
COVERED = "overlaps_better"
"""Reason of a region that went only because another one covers it: its specialist was sure of it all the same."""
SAME, OTHER = "same label", "other label"
CALIBRATION_BINS = 20
HIT, MISS, FOUND, MISSED = "hit", "miss", "found", "missed"

Rows = list[tuple[object, ...]]


def agreement_counts(view: PartitionView, derived: frozenset[tuple[str, str]]) -> Rows:
    """Rows of `COUNTS`: best IoU of each region of a specialist with one of another, by whether labels agree.

    Regions count that are kept, and those that went only because another one covers them, on images that both were
    done with. `derived` are (a, b) where a has seen b's answers, or b a's: they are listed with the mark `derived`, and
    not compared.
    """
    regions, names = sure_regions(view)
    makers = _strings(regions["annotator"])
    rows: Rows = []
    for a, b in permutations(sorted(set(makers)), 2):
        pair = f"{a} × {b}"
        if (a, b) in derived:
            rows.append(("agreement", "region-text", pair, "derived", 0, 1))
            continue
        both = _done(view, a) & _done(view, b)
        mine = np.isin(_strings(regions["image_id"]), list(both)) if both else np.zeros(len(makers), dtype=bool)
        best, same = _best(regions, names, mine & (makers == a), mine & (makers == b))
        for label, of_label in ((SAME, same), (OTHER, ~same)):
            counts = np.bincount(iou_bins(best[of_label]), minlength=IOU_BINS).tolist()
            rows += count_rows("agreement", "region-text", pair, label, counts)
    return rows


def reference_counts(view: PartitionView) -> Rows:
    """Rows of `COUNTS`: every region of a specialist against the reference, by score, whatever the filters say of it.

    The reference is gold on gold images (group `gold`), and people's regions on others that have any (`human`). Each
    specialist's regions are matched one to one by falling score to a region of the same label with an IoU of 0.5 or
    more: `hit` or `miss` in twentieths of the score; reference regions are `found` or `missed`, at any score.
    """
    rows: Rows = []
    regions, names = _named(view, view.annotations["regions"])
    makers = _strings(regions["annotator"])
    for group, reference, reference_names in _references(view):
        labelled = np.unique(_strings(reference["image_id"]))
        on_labelled = np.isin(_strings(regions["image_id"]), labelled)
        for by in sorted(set(makers[on_labelled]) - {Origin.HUMAN}):
            mine = np.flatnonzero(on_labelled & (makers == by))
            hit, found = _match(regions.take(pa.array(mine)), names[mine], reference, reference_names)
            scores = floats(regions, "score")[mine]
            bins = np.clip(np.floor(scores * CALIBRATION_BINS + 1e-9), 0, CALIBRATION_BINS - 1).astype(np.int64)
            for label, which in ((HIT, hit), (MISS, ~hit)):
                counts = np.bincount(bins[which], minlength=CALIBRATION_BINS).tolist()
                rows += count_rows("calibration", group, by, label, counts)
            rows += [("calibration", group, by, FOUND, 0, int(found.sum()))]
            rows += [("calibration", group, by, MISSED, 0, int((~found).sum()))]
    return [row for row in rows if row[5]]


def _references(view: PartitionView) -> Iterator[tuple[str, pa.Table, np.ndarray]]:
    drawn = view.annotations["regions"].filter(pc.equal(view.annotations["regions"]["annotator"], Origin.HUMAN))
    for group, regions, texts in (
        ("gold", view.gold.get("regions"), view.gold.get("region_texts")),
        ("human", drawn, view.annotations["region_texts"]),
    ):
        if regions is not None and texts is not None and regions.num_rows:
            objects = regions.filter(pc.equal(regions["kind"], "object"))
            yield group, objects, _strings(class_keys(region_classes(objects, texts)))


def disagreement(view: PartitionView, derived: frozenset[tuple[str, str]]) -> dict[str, int]:
    """Regions of each image that a specialist is sure of and no other has a region on, by image id.

    Sure regions and images are those of `agreement_counts`; a specialist that has seen the other's answers is no other.
    Images without a second specialist are left out.
    """
    regions, _ = sure_regions(view)
    makers, images = _strings(regions["annotator"]), _strings(regions["image_id"])
    boxes = boxes_xyxy(regions)
    done = {name: _done(view, name) for name in sorted(set(makers))}
    independent = {a: [b for b in done if b != a and (a, b) not in derived] for a in done}
    found: dict[str, int] = {}
    for image in np.unique(images):
        mine = np.flatnonzero(images == image)
        iou = pairwise_iou(boxes[mine], boxes[mine])
        for i, row in enumerate(mine):
            others = [name for name in independent[makers[row]] if image in done[name]]
            if others:
                seen = (iou[i] >= MATCH_IOU) & np.isin(makers[mine], others)
                found[str(image)] = found.get(str(image), 0) + int(not seen.any())
    return found


def sure_regions(view: PartitionView) -> tuple[pa.Table, np.ndarray]:
    """Object regions of ordinary images that are kept or went only because another covers them, and their classes."""
    regions = judged(view, "regions")
    sure = pc.or_(regions["kept"], pc.equal(regions["reason"], COVERED))
    return _named(view, regions.filter(pc.and_(is_ordinary(view, "regions"), sure)))


def _named(view: PartitionView, regions: pa.Table) -> tuple[pa.Table, np.ndarray]:
    """The object regions among these, and their classes."""
    objects = regions.filter(pc.equal(regions["kind"], "object"))
    return objects, _strings(class_keys(region_classes(objects, view.annotations["region_texts"])))


def _done(view: PartitionView, annotator: str) -> set[str]:
    """Images that an annotator was done with; for people, those that have a region of theirs."""
    if annotator in view.status:
        status = view.status[annotator]
        return set(status["image_id"].filter(pc.equal(status["status"], "done")).to_pylist())
    regions = view.annotations["regions"]
    return set(regions["image_id"].filter(pc.equal(regions["annotator"], annotator)).to_pylist())


def _best(regions: pa.Table, names: np.ndarray, of_a: Bools, of_b: Bools) -> tuple[Floats, Bools]:
    """For each region of `of_a`: highest IoU with one of `of_b` in its image, and whether that one's label is equal."""
    boxes, image = boxes_xyxy(regions), codes(regions["image_id"])
    a, b = np.flatnonzero(of_a), np.flatnonzero(of_b)
    best, same = np.zeros(len(a)), np.zeros(len(a), dtype=bool)
    for i in np.unique(image[a]):
        mine, others = np.flatnonzero(image[a] == i), b[image[b] == i]
        if len(others):
            iou = pairwise_iou(boxes[a[mine]], boxes[others])
            top = iou.argmax(axis=1)
            best[mine] = iou.max(axis=1)
            same[mine] = (names[a[mine]] == names[others[top]]) & (best[mine] > 0)
    return best, same


def _match(regions: pa.Table, names: np.ndarray, reference: pa.Table, wanted: np.ndarray) -> tuple[Bools, Bools]:
    """(n,) regions that hit the reference and (m,) reference regions that were found, one to one by falling score."""
    hit, found = np.zeros(len(names), dtype=bool), np.zeros(len(wanted), dtype=bool)
    by_image: dict[str, list[int]] = {}
    for j, image_id in enumerate(reference["image_id"].to_pylist()):
        by_image.setdefault(image_id, []).append(j)
    boxes, drawn = boxes_xyxy(regions), boxes_xyxy(reference)
    image_ids = regions["image_id"].to_pylist()
    order: Ints = np.argsort(-floats(regions, "score"), kind="stable")
    for i in order:
        open_ = [j for j in by_image.get(image_ids[i], ()) if not found[j] and wanted[j] == names[i]]
        if open_:
            iou = pairwise_iou(boxes[i : i + 1], drawn[open_])[0]
            if iou.max() >= MATCH_IOU:
                hit[i] = found[open_[int(iou.argmax())]] = True
    return hit, found


def _strings(column: pa.ChunkedArray | pa.Array) -> np.ndarray:
    found: np.ndarray = column.to_numpy(zero_copy_only=False).astype(str)
    return found
