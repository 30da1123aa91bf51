"""The classifier names what photographs show, and its probabilities are sound for every caller."""

from __future__ import annotations

import numpy as np
import pytest

from fld_engine.annotators.packaged.efficientnet import NUM_CLASSES, EfficientNet, EfficientNetClassifier
from fld_engine.engine.plan.protocols import Annotator
from tests.annotators.photographs import photograph, sample


@pytest.fixture(scope="module")
def network() -> EfficientNet:
    network = EfficientNet()
    network.load()
    return network


@pytest.fixture(scope="module")
def classifier() -> EfficientNetClassifier:
    classifier = EfficientNetClassifier()
    classifier.load()
    return classifier


@pytest.mark.parametrize(
    ("name", "labels"),
    [
        ("chelsea.png", {"tabby cat", "tiger cat", "Egyptian Mau"}),
        ("coffee.png", {"espresso", "tea cup", "coffee mug"}),
        ("motorcycle_left.png", {"moped", "motor scooter"}),
        ("rocket.jpg", {"missile"}),
        ("china.jpg", {"palace", "bell tower", "monastery"}),
        ("flower.jpg", {"daisy"}),
    ],
)
def test_the_best_label_is_what_the_photograph_shows(
    classifier: EfficientNetClassifier, name: str, labels: set[str]
) -> None:
    (annotations,) = classifier.annotate([sample(photograph(name))])
    assert annotations.labels[0].label in labels


def test_labels_are_few_sorted_and_above_the_floor(classifier: EfficientNetClassifier) -> None:
    (annotations,) = classifier.annotate([sample(photograph("china.jpg"))])
    scores = [label.score for label in annotations.labels]
    assert isinstance(classifier, Annotator)
    assert 1 < len(scores) <= 5
    assert scores == sorted(scores, reverse=True)
    assert scores[-1] >= 0.02


def test_classes_of_one_name_are_one_label(classifier: EfficientNetClassifier) -> None:
    """ImageNet has two classes called missile; a rocket is both, and a label stands once."""
    (annotations,) = classifier.annotate([sample(photograph("rocket.jpg"))])
    names = [label.label for label in annotations.labels]
    assert len(names) == len(set(names))


def test_class_names_can_stand_in_a_sentence(network: EfficientNet) -> None:
    assert len(network.class_names) == NUM_CLASSES
    assert not [name for name in network.class_names if set(name) & set("(),/") or name.startswith(("a ", "an "))]
    assert network.class_names[281] == "tabby cat"  # ImageNet's own number for it


def test_probabilities_are_a_distribution_for_crops_of_any_size(network: EfficientNet) -> None:
    pixels = photograph("coffee.png")
    crops = [pixels[:1, :1], pixels[:300, :2], pixels[10:12], pixels]
    for fit in ("pad", "crop"):
        rows = network.probabilities(crops, fit=fit)  # type: ignore[arg-type]
        assert rows.shape == (4, NUM_CLASSES)
        assert rows.dtype == np.float32
        assert np.allclose(rows.sum(axis=1), 1, atol=1e-5)
    assert network.probabilities([]).shape == (0, NUM_CLASSES)


def test_a_row_does_not_depend_on_the_batch(network: EfficientNet) -> None:
    """Else the same crop would be ranked otherwise after a resume."""
    images = [photograph("coffee.png"), photograph("chelsea.png")]
    together = network.probabilities(images)
    assert np.array_equal(together[1], network.probabilities(images[1:])[0])
