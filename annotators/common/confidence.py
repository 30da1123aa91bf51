"""How sure a model was of a text it generated: one formula for local models and for endpoints."""

from __future__ import annotations

import math
from collections.abc import Sequence


def confidence(probabilities: Sequence[float]) -> float:
    """The geometric mean of token probabilities: the inverse of the perplexity; 0 for nothing."""
    if not probabilities or min(probabilities) <= 0:
        return 0.0
    return math.exp(math.fsum(map(math.log, probabilities)) / len(probabilities))
