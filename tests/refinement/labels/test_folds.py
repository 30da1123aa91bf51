from __future__ import annotations

import pytest

from fld_engine.refinement.labels.folds import EVERY_FOLD, fold_of, trains_on
from fld_engine.schemas.errors import ConfigError

GROUPS = [f"image {i}" for i in range(400)]


@pytest.mark.parametrize("num_folds", [2, 3, 5])
def test_every_group_is_labelled_by_one_student_that_has_not_seen_it(num_folds: int) -> None:
    folds = {group: fold_of(group, 0, num_folds) for group in GROUPS}
    assert set(folds.values()) == set(range(num_folds))
    for fold in range(num_folds):
        taught = {group for group in GROUPS if trains_on(fold, folds[group])}
        assert taught.isdisjoint(group for group in GROUPS if folds[group] == fold)
        # A share of 1/K is 400/K groups; beyond 5 standard deviations the folds would not be even.
        share = 1 / num_folds
        assert abs(len(GROUPS) - len(taught) - 400 * share) < 5 * (400 * share * (1 - share)) ** 0.5


def test_another_seed_deals_anew() -> None:
    assert [fold_of(group, 0, 2) for group in GROUPS] != [fold_of(group, 1, 2) for group in GROUPS]


def test_in_sample_trains_on_everything() -> None:
    assert trains_on(EVERY_FOLD, EVERY_FOLD)
    assert trains_on(EVERY_FOLD, 1)


def test_one_fold_is_refused() -> None:
    with pytest.raises(ConfigError, match="in_sample: true"):
        fold_of("a", 0, 1)
