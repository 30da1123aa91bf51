"""The decision of each unit: regions with their masks, texts with their groundings."""

from __future__ import annotations

from collections.abc import Callable

from fld_engine.refinement.gate.before_after import Said, Trial, has_briefs, has_masks, has_phrases, has_regions
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


def judge_gates(trial: Trial, rules: GateRules, *, seed: int, prefix: str = "") -> tuple[GateDecision, ...]:
    """Regions by F1 at IoU 0.5, unless their masks get worse; texts by CIDEr, unless their groundings do.

    Names of metrics begin with `prefix`.
    """
    boxed, told = trial.where(has_regions), trial.where(has_briefs)
    f1 = f1_measure(*(list(map(found_counts, side)) for side in boxed))
    regions = decide_gate(
        "regions", f"{prefix}f1@{FOUND:g}", f1, len(boxed), rules, seed=seed,
        beside=_beside(trial.where(has_masks), "mask_iou", mask_sums, rules, seed),
    )  # fmt: skip
    texts = decide_gate(
        "texts", f"{prefix}cider", mean_measure(*map(ciders, told)), len(told), rules, seed=seed,
        beside=_beside(trial.where(has_phrases), f"grounding_recall@{FOUND:g}", grounding_sums, rules, seed),
    )  # fmt: skip
    return regions, texts


def _beside(
    trial: Trial, metric: str, sums: Callable[[Said], tuple[float, int]], rules: GateRules, seed: int
) -> list[Gain]:
    if not len(trial):
        return []
    measure = ratio_measure(*(list(map(sums, side)) for side in trial))
    return [gain_of(metric, measure, len(trial), rules, seed=seed)]
