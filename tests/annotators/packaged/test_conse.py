"""ConSE is the only judge of images against texts that needs no hub: its order must be right where it is easy."""

from __future__ import annotations

import numpy as np
import pytest

from fld_engine.annotators.common.coco_classes import COCO_CLASSES
from fld_engine.annotators.packaged.conse import PEOPLE, Conse, ConseParams, class_weights, combined_identity
from fld_engine.engine.data.records import ModelIdentity
from tests.annotators.photographs import photograph

TEXTS = {
    "chelsea.png": "a cat looking at the camera",
    "coffee.png": "a cup of coffee on a saucer",
    "motorcycle_left.png": "a motorcycle in a garage",
    "rocket.jpg": "a rocket on a launch pad",
    "china.jpg": "a Chinese temple",
    "flower.jpg": "a flower",
}


@pytest.fixture(scope="module")
def conse() -> Conse:
    made = Conse()
    made.load()
    return made


def test_each_photograph_fits_its_own_text_best(conse: Conse) -> None:
    images = conse.image_vectors([photograph(name) for name in TEXTS], [0.0] * len(TEXTS))
    cosines = images @ conse.text_vectors(list(TEXTS.values())).T
    assert cosines.argmax(axis=1).tolist() == list(range(len(TEXTS)))
    assert np.abs(cosines).max() <= 1 + 1e-6


def test_a_row_does_not_depend_on_its_neighbours(conse: Conse) -> None:
    cat, cup = photograph("chelsea.png"), photograph("coffee.png")
    together = conse.image_vectors([cat, cup], [0.0, 0.5])
    np.testing.assert_array_equal(together[1], conse.image_vectors([cup], [0.5])[0])


def test_people_are_seen_only_as_far_as_the_detector_is_sure(conse: Conse) -> None:
    astronaut = photograph("astronaut.png")
    person = conse.text_vectors(["a person"])[0]
    unseen, half, sure = conse.image_vectors([astronaut] * 3, [0.0, 0.5, 1.0]) @ person
    assert unseen < half < sure


def test_no_class_of_the_detector_stands_for_people_itself() -> None:
    assert not set(PEOPLE) & set(COCO_CLASSES)


def test_weights_are_those_of_a_softmax_at_temperature_two() -> None:
    logits = np.array([[4.0, 2.0, 0.0, -8.0]])
    softmax = np.exp(logits) / np.exp(logits).sum()
    weights = class_weights(softmax.astype(np.float32), ConseParams(top_k=3, temperature=2.0))
    expected = np.exp([2.0, 1.0, 0.0]) / np.exp([2.0, 1.0, 0.0]).sum()
    np.testing.assert_allclose(weights, [[*expected, 0.0]], atol=1e-6)


def test_no_texts_and_no_images_are_no_error(conse: Conse) -> None:
    assert conse.text_vectors([]).shape == (0, 384)
    assert conse.image_vectors([], []).shape == (0, 384)


def test_an_identity_covers_all_weights() -> None:
    a, b = (ModelIdentity(id=name, revision="1", sha256=name * 8) for name in "ab")
    assert combined_identity("both", a, b).sha256 != combined_identity("both", a, a).sha256
    assert combined_identity("both", a, b).id == "both(a, b)"
