from __future__ import annotations

import pytest

from refinement.folds import EVERY_FOLD, fold_of, folds_of, trains_on
from schemas.errors import ConfigError

IMAGES = [f"image {i}" for i in range(400)]


def test_twins_share_a_fold() -> None:
    """Else a student would label an image it has as good as trained on."""
    folds = folds_of(["a", "b", "c"], ["twins", "twins", ""], seed=1, num_folds=5)
    assert folds["a"] == folds["b"]
    assert folds["c"] == fold_of("c", 1, 5)


@pytest.mark.parametrize("num_folds", [2, 3, 5])
def test_every_image_is_labelled_by_one_student_that_has_not_seen_it(num_folds: int) -> None:
    folds = folds_of(IMAGES, [""] * len(IMAGES), seed=0, num_folds=num_folds)
    assert set(folds.values()) == set(range(num_folds))
    for fold in range(num_folds):
        trained = {image for image in IMAGES if trains_on(fold, folds[image])}
        assert trained.isdisjoint(image for image in IMAGES if folds[image] == fold)
        # A share of 1/K is 400/K images; beyond 5 standard deviations the folds would not be even.
        share = 1 / num_folds
        assert abs(len(IMAGES) - len(trained) - 400 * share) < 5 * (400 * share * (1 - share)) ** 0.5


def test_folds_stay_when_images_are_added() -> None:
    before = folds_of(IMAGES[:100], IMAGES[:100], seed=3, num_folds=4)
    after = folds_of(IMAGES, IMAGES, seed=3, num_folds=4)
    assert all(after[image] == fold for image, fold in before.items())


def test_another_seed_deals_anew() -> None:
    assert folds_of(IMAGES, IMAGES, 0, 2) != folds_of(IMAGES, IMAGES, 1, 2)


def test_in_sample_trains_on_everything() -> None:
    folds = folds_of(IMAGES, IMAGES, seed=0, num_folds=2, in_sample=True)
    assert set(folds.values()) == {EVERY_FOLD}
    assert trains_on(EVERY_FOLD, EVERY_FOLD)


def test_one_fold_is_refused() -> None:
    with pytest.raises(ConfigError, match="in_sample: true"):
        fold_of("a", 0, 1)
