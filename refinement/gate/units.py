"""The decision of each unit: regions with their masks, texts with their groundings."""

from __future__ import annotations

from collections.abc import Callable

from fld_engine.refinement.gate.before_after import (
    BeforeAfter,
    ComparedImage,
    has_briefs,
    has_masks,
    has_phrases,
    has_regions,
)
from fld_engine.refinement.gate.gate import (
    Gain,
    GateDecision,
    GateRules,
    decide_gate,
    f1_measure,
    gain_of,
    mean_measure,
    ratio_measure,
)
from fld_engine.refinement.gate.measured import FOUND, ciders, found_counts, grounding_sums, mask_sums


def judge_gates(pairs: BeforeAfter, rules: GateRules, *, seed: int, prefix: str = "") -> tuple[GateDecision, ...]:
    """Regions by F1 at IoU 0.5, unless their masks get worse; texts by CIDEr, unless their groundings do.

    Names of metrics begin with `prefix`.
    """
    boxed, described = pairs.where(has_regions), pairs.where(has_briefs)
    f1 = f1_measure(*(list(map(found_counts, side)) for side in boxed))
    regions = decide_gate(
        "regions", f"{prefix}f1@{FOUND:g}", f1, len(boxed), rules, seed=seed, twin_groups=boxed.twin_groups,
        guardrails=_guardrails(pairs.where(has_masks), "mask_iou", mask_sums, rules, seed),
    )  # fmt: skip
    texts = decide_gate(
        "texts", f"{prefix}cider", mean_measure(*map(ciders, described)), len(described), rules, seed=seed,
        twin_groups=described.twin_groups,
        guardrails=_guardrails(pairs.where(has_phrases), f"grounding_recall@{FOUND:g}", grounding_sums, rules, seed),
    )  # fmt: skip
    return regions, texts


def _guardrails(
    pairs: BeforeAfter, metric: str, sums: Callable[[ComparedImage], tuple[float, int]], rules: GateRules, seed: int
) -> list[Gain]:
    if not len(pairs):
        return []
    measure = ratio_measure(*(list(map(sums, side)) for side in pairs))
    return [gain_of(metric, measure, len(pairs), rules, seed=seed, twin_groups=pairs.twin_groups)]
