"""The published figures of FLD-5B, to stand beside ours (Xiao et al. 2023, arXiv 2311.06242)."""

from __future__ import annotations

from collections.abc import Mapping

from fld_engine.schemas.annotations import Granularity

PUBLISHED = "FLD-5B, arXiv 2311.06242, Tables 2 and 3"

ANNOTATION_STATISTICS: Mapping[tuple[str, str], Mapping[str, float]] = {
    ("text", "brief"): {"annotations": 235e6, "tokens": 7.95},
    ("text", "detailed"): {"annotations": 126e6, "tokens": 31.65},
    ("text", "more_detailed"): {"annotations": 126e6, "tokens": 70.53},
    ("region-text", "phrase"): {
        "annotations": 126e6, "regions": 681e6, "regions_per_annotation": 5.42, "tokens_per_region": 1.19,
    },
    ("region-text", "brief"): {
        "annotations": 126e6, "regions": 681e6, "regions_per_annotation": 5.42, "tokens_per_region": 2.55,
    },
    ("phrase-region", "brief"): {
        "annotations": 235e6, "tokens": 7.95, "regions": 1007e6, "regions_per_annotation": 4.27,
        "tokens_per_region": 1.93,
    },
    ("phrase-region", "detailed"): {
        "annotations": 126e6, "tokens": 31.65, "regions": 1289e6, "regions_per_annotation": 10.25,
        "tokens_per_region": 1.49,
    },
    ("phrase-region", "more_detailed"): {
        "annotations": 126e6, "tokens": 70.53, "regions": 1278e6, "regions_per_annotation": 10.17,
        "tokens_per_region": 1.35,
    },
}  # fmt: skip
"""Table 2 by (family, text). `annotations` are image annotations, `tokens` their average number of tokens."""

SEMANTIC_COVERAGE: Mapping[str, Mapping[Granularity, float]] = {
    "objects": {"brief": 3.23, "detailed": 13.31, "more_detailed": 28.06},
    "attributes": {"brief": 2.80, "detailed": 7.27, "more_detailed": 16.25},
    "actions": {"brief": 0.58, "detailed": 4.21, "more_detailed": 8.76},
    "proper_nouns": {"brief": 1.10, "detailed": 2.40, "more_detailed": 2.41},
    "object_complexity": {"brief": 2.80, "detailed": 4.00, "more_detailed": 4.02},
    "action_complexity": {"brief": 1.14, "detailed": 3.63, "more_detailed": 4.38},
}
"""Table 3, averages per text."""
