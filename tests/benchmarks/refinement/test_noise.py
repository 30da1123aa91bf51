from __future__ import annotations

import numpy as np
import pytest

from benchmarks.refinement.accounting import account, label_counts
from benchmarks.refinement.labels import ImageLabels, true_labels
from benchmarks.refinement.noise import KINDS, NoiseRates, NoisyLabels, inject
from benchmarks.refinement.scenes import PlainWorld
from fld_engine.engine.data.geometry import pairwise_iou

WORLD = PlainWorld(48)
RNG = np.random.default_rng(0)
SCENES = [WORLD.draw(RNG, 1 + i % 3) for i in range(300)]
TRUTH: list[ImageLabels] = [true_labels(scene, str(i)) for i, scene in enumerate(SCENES)]


def noisy(**rates: float) -> NoisyLabels:
    nothing = dict.fromkeys(KINDS, 0.0)
    return inject(TRUTH, NoiseRates(**{**nothing, **rates}), WORLD, seed=3)


def test_scene_is_where_its_labels_say() -> None:
    """Exact truth is all the benchmark has: the middle of a box must have the colour of its class."""
    from benchmarks.refinement.scenes import COLOURS

    for scene in SCENES[:50]:
        for thing in scene.things:
            x1, y1, x2, y2 = thing.box_xyxy
            colour = scene.pixels[int((y1 + y2) / 2), int((x1 + x2) / 2)].astype(float)
            nearest = min(COLOURS, key=lambda name: np.abs(colour - COLOURS[name]).sum())
            assert nearest == thing.label
            points = np.array(thing.polygon).reshape(-1, 2)
            assert (*points.min(axis=0), *points.max(axis=0)) == pytest.approx(thing.box_xyxy, abs=0.02)


@pytest.mark.parametrize("kind", KINDS)
def test_errors_come_at_their_rate(kind: str) -> None:
    spoiled = noisy(**{kind: 0.2})
    total = len(TRUTH) if kind == "wrong_words" else sum(len(labels.regions) for labels in TRUTH)
    assert {error.kind for error in spoiled.injected} == {kind}
    # 5 standard deviations; a full image has no room for a spurious box, which makes these a few fewer
    assert abs(len(spoiled.injected) - 0.2 * total) < 5 * (0.16 * total) ** 0.5


def test_no_noise_is_the_truth() -> None:
    assert noisy().labels == tuple(TRUTH)


def test_each_error_is_one() -> None:
    spoiled = noisy(missed=0.1, jittered=0.1, swapped=0.1, spurious=0.1)
    for error in spoiled.injected:
        now = {region.id: region for region in spoiled.labels[error.image].regions}.get(error.label_id)
        if error.kind == "missed":
            assert now is None
        elif error.kind == "spurious":
            assert now is not None
            assert error.true is None
        else:
            assert now is not None
            assert error.true is not None
            iou = pairwise_iou(np.array([now.box_xyxy]), np.array([error.true.box_xyxy]))[0, 0]
            if error.kind == "jittered":
                assert now.label == error.true.label
                assert iou < 0.5
            else:
                assert now.label != error.true.label
                assert iou == pytest.approx(1.0)


def test_more_images_leave_the_noise_of_the_first_alone() -> None:
    few = inject(TRUTH[:10], NoiseRates(), WORLD, seed=3)
    assert few.labels == inject(TRUTH, NoiseRates(), WORLD, seed=3).labels[:10]


def test_truth_as_the_result_of_a_round_repairs_everything() -> None:
    spoiled = inject(TRUTH, NoiseRates(), WORLD, seed=1)
    result = account(spoiled, TRUTH, TRUTH)
    assert (result.f1, result.damaged, result.edit_precision) == (1.0, 0.0, 1.0)
    assert set(result.repaired.values()) == {1.0}
    assert label_counts(spoiled.labels, TRUTH).f1 < 0.9


def test_doing_nothing_repairs_nothing() -> None:
    spoiled = inject(TRUTH, NoiseRates(), WORLD, seed=1)
    result = account(spoiled, spoiled.labels, TRUTH)
    assert (result.num_edits, result.damaged) == (0, 0.0)
    assert set(result.repaired.values()) == {0.0}


def test_removing_everything_damages_all_and_most_edits_are_wrong() -> None:
    spoiled = inject(TRUTH, NoiseRates(), WORLD, seed=1)
    empty = [ImageLabels((), labels.caption) for labels in spoiled.labels]
    result = account(spoiled, empty, TRUTH)
    assert (result.damaged, result.repaired["spurious"], result.recall) == (1.0, 1.0, 0.0)
    assert result.edit_precision < 0.2  # only the spurious ones, 10% of regions, were better gone
