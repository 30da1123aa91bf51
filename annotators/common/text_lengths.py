"""How long texts of the whole image are: composed ones are cut to this length, chat models are asked for it."""

from __future__ import annotations

from collections.abc import Mapping

from fld_engine.schemas.annotations import Granularity

TARGET_WORDS: Mapping[Granularity, int] = {"brief": 8, "detailed": 32, "more_detailed": 70}
"""Average tokens per text in FLD-5B (arXiv 2311.06242, Table 2: 7.95, 31.65 and 70.53)."""
