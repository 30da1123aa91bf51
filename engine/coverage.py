"""Coverage of one partition as counts that add up: the paper's Tables 2 and 3 and the distributions of its Figure 5.

Everything is an integer, so that partitions can be merged in any order to the same bytes. Only kept annotations count.
Tokens are spaCy tokens without punctuation (`engine.semantics`); the paper does not say which it counts.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from engine.geometry import Floats, areas
from engine.hashing import canonical_json
from engine.semantics import TokenRoles, count_per_text, degree_per_text, token_roles
from engine.view import PartitionView
from schemas.annotations import GRANULARITIES, Frozen
from schemas.tables import VERDICT_TARGETS

VERSION = 1
"""Version of an aggregate; bumped when the same tables give other counts."""

LOG2_AREA_RANGE = (-16, 0)
"""Histogram of log2(box area / image area), one bin an octave; smaller boxes are in the first bin."""
LOG2_ASPECT_RANGE = (-5, 5)
"""Histogram of log2(width / height) in bins of half an octave; more extreme boxes are in the outer bins."""
HEAT_MAP_SIDE = 32
MAX_BOXES = 50
"""Histogram of boxes per image, the last bin for this many or more."""
MICRO = 1_000_000
"""Mean complexities are summed in millionths, because integers add up in any order."""

Counts = Mapping[str, int]


class Aggregate(Frozen):
    """Sums over partitions. Keys are `row/column` paths, as `engine.coverage_report` reads them."""

    counts: Counts = {}
    histograms: Mapping[str, tuple[int, ...]] = {}
    kept: Counts = {}
    dropped: Mapping[str, Counts] = {}

    def __add__(self, other: Aggregate) -> Aggregate:
        targets = sorted({*self.dropped, *other.dropped})
        return Aggregate(
            counts=_sum(self.counts, other.counts),
            histograms=_sum_histograms(self.histograms, other.histograms),
            kept=_sum(self.kept, other.kept),
            dropped={t: _sum(self.dropped.get(t, {}), other.dropped.get(t, {})) for t in targets},
        )


def merge(aggregates: Iterable[Aggregate]) -> Aggregate:
    """Sum of aggregates, the same in any order."""
    total = Aggregate()
    for one in aggregates:
        total = total + one
    return total


def to_bytes(aggregate: Aggregate) -> bytes:
    return canonical_json(aggregate.model_dump(mode="json")).encode()


def from_bytes(data: bytes) -> Aggregate:
    return Aggregate.model_validate_json(data)


def aggregate(view: PartitionView) -> Aggregate:
    """Counts of one partition."""
    kept = {t: _kept(view, t) for t in VERDICT_TARGETS}
    counts: Counter[str] = Counter({"images": kept["images"].num_rows})
    _count_texts(counts, view, kept["texts"])
    _count_region_texts(counts, view, kept)
    _count_groundings(counts, view, kept)
    wh = dict(zip(view.images["id"].to_pylist(), _columns(view.images, "width", "height"), strict=True))
    histograms = {
        **_spatial("region-text", kept["regions"], wh, kept["images"]),
        **_spatial("phrase-region", kept["phrase_regions"], wh, kept["images"]),
    }
    return Aggregate(
        counts=dict(counts),
        histograms=histograms,
        kept={t: kept[t].num_rows for t in VERDICT_TARGETS},
        dropped={t: _dropped(view.verdicts[t]) for t in VERDICT_TARGETS},
    )


def _kept(view: PartitionView, target: str) -> pa.Table:
    table = view.images if target == "images" else view.annotations[target]
    return table.filter(view.verdicts[target]["kept"])


def _dropped(verdicts: pa.Table) -> dict[str, int]:
    reasons = verdicts["reason"].filter(pc.invert(verdicts["kept"]))
    return dict(sorted(Counter(reasons.to_pylist()).items()))


def _count_texts(counts: Counter[str], view: PartitionView, texts: pa.Table) -> None:
    """Table 2, texts, and Table 3."""
    roles = token_roles(view.annotations["tokens"], texts["id"].to_pylist())
    granularities = texts["granularity"].to_numpy(zero_copy_only=False)
    columns = {
        "tokens": count_per_text(roles, roles.token, texts.num_rows),
        "objects": count_per_text(roles, roles.object, texts.num_rows),
        "attributes": count_per_text(roles, roles.attribute, texts.num_rows),
        "actions": count_per_text(roles, roles.action, texts.num_rows),
        "proper_nouns": count_per_text(roles, roles.proper_noun, texts.num_rows),
        "object_complexity": _micro_complexity(roles, "object", texts.num_rows),
        "action_complexity": _micro_complexity(roles, "action", texts.num_rows),
    }
    for granularity in GRANULARITIES:
        mine = granularities == granularity
        counts[f"text {granularity}/annotations"] += int(mine.sum())
        for name, column in columns.items():
            counts[f"text {granularity}/{name}"] += int(column[mine].sum())
    composed = texts["composed"].to_numpy(zero_copy_only=False).astype(bool)
    counts["texts/composed"] += int(composed.sum())


def _micro_complexity(roles: TokenRoles, role: str, num_texts: int) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """Mean degree of a role's tokens of each text, in millionths; 0 for a text without any."""
    mask = getattr(roles, role)
    number = count_per_text(roles, mask, num_texts)
    total = degree_per_text(roles, mask, num_texts)
    return np.where(number > 0, total * MICRO // np.maximum(number, 1), 0)


def _count_region_texts(counts: Counter[str], view: PartitionView, kept: Mapping[str, pa.Table]) -> None:
    """Table 2, region-text: candidate texts of object regions by kind. Phrases have as many tokens as words."""
    texts = kept["region_texts"]
    objects = set(kept["regions"].filter(pc.equal(kept["regions"]["kind"], "object"))["id"].to_pylist())
    roles = token_roles(view.annotations["tokens"], texts["id"].to_pylist())
    parsed = count_per_text(roles, roles.token, texts.num_rows)
    rows = zip(*(texts[c].to_pylist() for c in ("image_id", "region_id", "kind", "text")), parsed, strict=True)
    regions: dict[str, set[str]] = {"phrase": set(), "brief": set()}
    images: dict[str, set[str]] = {"phrase": set(), "brief": set()}
    for image, region, kind, text, num_tokens in rows:
        if region in objects and kind in regions:
            regions[kind].add(region)
            images[kind].add(image)
            counts[f"region-text {kind}/texts"] += 1
            counts[f"region-text {kind}/region_tokens"] += int(num_tokens) or len(text.split())
    for kind in regions:
        counts[f"region-text {kind}/annotations"] += len(images[kind])
        counts[f"region-text {kind}/regions"] += len(regions[kind])


def _count_groundings(counts: Counter[str], view: PartitionView, kept: Mapping[str, pa.Table]) -> None:
    """Table 2, phrase-region by the granularity of the text. Groundings that agree by construction count apart too."""
    granularity = dict(zip(*(kept["texts"][c].to_pylist() for c in ("id", "granularity")), strict=True))
    phrases = kept["phrases"]
    owners = dict(zip(phrases["id"].to_pylist(), phrases.to_pylist(), strict=True))
    texts: dict[str, set[str]] = {g: set() for g in GRANULARITIES}
    for phrase_id in kept["phrase_regions"]["phrase_id"].to_pylist():
        phrase = owners.get(phrase_id)
        if phrase is None or phrase["text_id"] not in granularity:
            continue
        row = f"phrase-region {granularity[phrase['text_id']]}"
        texts[granularity[phrase["text_id"]]].add(phrase["text_id"])
        counts[f"{row}/regions"] += 1
        counts[f"{row}/region_tokens"] += len(phrase["phrase"].split())
        counts[f"{row}/derived_regions"] += phrase["derived"]
    for name, found in texts.items():
        counts[f"phrase-region {name}/annotations"] += len(found)
        roles = token_roles(view.annotations["tokens"], sorted(found))
        counts[f"phrase-region {name}/tokens"] += int(count_per_text(roles, roles.token, len(found)).sum())


def _spatial(
    family: str, boxes: pa.Table, wh: Mapping[str, Sequence[float]], images: pa.Table
) -> dict[str, tuple[int, ...]]:
    """Figure 5: area, aspect ratio and centres of boxes, relative to their image, and boxes per image."""
    xyxy: Floats = np.array(_columns(boxes, "x1", "y1", "x2", "y2"), dtype=np.float64).reshape(-1, 4)
    owners = boxes["image_id"].to_pylist()
    frame: Floats = np.array([wh[owner] for owner in owners], dtype=np.float64).reshape(-1, 2)
    log_area = np.log2(areas(xyxy) / (frame[:, 0] * frame[:, 1])) if len(xyxy) else np.zeros(0)
    aspect = np.log2((xyxy[:, 2] - xyxy[:, 0]) / (xyxy[:, 3] - xyxy[:, 1])) if len(xyxy) else np.zeros(0)
    centre = (xyxy[:, :2] + xyxy[:, 2:]) / 2 / frame if len(xyxy) else np.zeros((0, 2))
    cell = np.clip((centre * HEAT_MAP_SIDE).astype(np.int64), 0, HEAT_MAP_SIDE - 1)
    per_image = Counter(owners)
    number = np.array([min(per_image[i], MAX_BOXES) for i in images["id"].to_pylist()], dtype=np.int64)
    low, high = LOG2_ASPECT_RANGE
    return {
        f"{family}/log2_area": _histogram(log_area, *LOG2_AREA_RANGE, bins=LOG2_AREA_RANGE[1] - LOG2_AREA_RANGE[0]),
        f"{family}/log2_aspect": _histogram(aspect, low, high, bins=2 * (high - low)),
        f"{family}/centres": _ints(np.bincount(cell[:, 1] * HEAT_MAP_SIDE + cell[:, 0], minlength=HEAT_MAP_SIDE**2)),
        f"{family}/boxes_per_image": _ints(np.bincount(number, minlength=MAX_BOXES + 1)),
    }


def _histogram(values: Floats, low: float, high: float, *, bins: int) -> tuple[int, ...]:
    """Counts in equal bins over [low, high]; values outside are in the outer bins."""
    place = np.floor((values - low) / (high - low) * bins).astype(np.int64)
    return _ints(np.bincount(np.clip(place, 0, bins - 1), minlength=bins))


def _ints(values: np.ndarray[tuple[int], np.dtype[np.int64]]) -> tuple[int, ...]:
    return tuple(int(v) for v in values)


def _columns(table: pa.Table, *names: str) -> list[tuple[float, ...]]:
    return list(zip(*(table[name].to_pylist() for name in names), strict=True))


def _sum(a: Counts, b: Counts) -> dict[str, int]:
    return {key: a.get(key, 0) + b.get(key, 0) for key in sorted({*a, *b})}


def _sum_histograms(a: Mapping[str, tuple[int, ...]], b: Mapping[str, tuple[int, ...]]) -> dict[str, tuple[int, ...]]:
    merged = dict(a)
    for name, bins in b.items():
        merged[name] = tuple(x + y for x, y in zip(merged[name], bins, strict=True)) if name in merged else bins
    return dict(sorted(merged.items()))
