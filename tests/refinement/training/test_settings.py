from __future__ import annotations

import pytest

from fld_engine.refinement.training.settings import DEFAULT_WEIGHTS, check_weights
from fld_engine.schemas.errors import ConfigError
from fld_engine.schemas.tasks import TASKS


def test_every_task_has_a_weight() -> None:
    assert DEFAULT_WEIGHTS.keys() == TASKS.keys()


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ({"<ODD>": 1.0}, "did you mean '<OD>'"),
        ({"<OD>": -1.0}, "expected 0"),
        (dict.fromkeys(TASKS, 0.0), "at least one task"),
    ],
)
def test_wrong_weights_are_refused(weights: dict[str, float], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        check_weights(weights)
