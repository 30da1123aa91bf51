"""Region briefs are short, true of the crop, and one per object."""

from __future__ import annotations

import pytest

from fld_engine.annotators.composed.describer import ComposedDescriber
from fld_engine.engine.plan.protocols import Annotator
from fld_engine.schemas.annotations import Annotations, RegionText
from tests.annotators.builders import detections, line, seen, thing

NAMES = ("chelsea.png", "coffee.png", "motorcycle_left.png", "astronaut.png", "camera.png")


@pytest.fixture(scope="module")
def describer() -> ComposedDescriber:
    made = ComposedDescriber()
    made.load()
    return made


def briefs(describer: ComposedDescriber, name: str) -> dict[str, RegionText]:
    """Brief of each detected region of a photograph, by region id."""
    known = Annotations(regions=detections(name))
    return {text.region_id: text for text in describer.annotate([seen(name, known)])[0].region_texts}


def test_it_keeps_the_contract() -> None:
    assert isinstance(ComposedDescriber(), Annotator)


@pytest.mark.parametrize("name", NAMES)
def test_every_object_gets_one_short_brief(describer: ComposedDescriber, name: str) -> None:
    texts = briefs(describer, name)
    assert list(texts) == [region.id for region in detections(name)]
    for text in texts.values():
        assert text.kind == "brief"
        assert text.text.split()[0] in ("a", "an", "some")
        assert 2 <= len(text.text.split()) <= 7
        assert 0 <= text.score <= 1


@pytest.mark.parametrize(
    ("name", "phrase", "expected"),
    [
        ("chelsea.png", "cat", {"a brown cat", "a brown tabby cat", "a brown tiger cat"}),
        ("motorcycle_left.png", "motorcycle", {"a moped", "a motor scooter"}),
        ("coffee.png", "cup", {"a cup", "a tea cup", "a coffee mug", "a white cup"}),
    ],
)
def test_what_the_crop_shows_is_said(describer: ComposedDescriber, name: str, phrase: str, expected: set[str]) -> None:
    region = next(region for region in detections(name) if region.texts[0].text == phrase)
    assert briefs(describer, name)[region.id].text in expected


def test_nothing_is_said_of_a_persons_color(describer: ComposedDescriber) -> None:
    people = [region.id for region in detections("astronaut.png") if region.texts[0].text == "person"]
    assert people
    for region_id in people:
        assert briefs(describer, "astronaut.png")[region_id].text.startswith("a person")


def test_a_black_and_white_photograph_gives_no_colors(describer: ComposedDescriber) -> None:
    texts = {text.text for text in briefs(describer, "camera.png").values()}
    assert not any(word in text.split() for text in texts for word in ("gray", "black", "white"))


@pytest.mark.parametrize(
    ("name", "phrase", "is_kind"),
    [
        ("tabby cat", "cat", True),
        ("airliner", "airplane", True),  # by meaning alone
        ("moped", "motorcycle", True),
        ("Beagle", "dog", True),
        ("tabby cat", "dog", False),
        ("hot dog", "dog", False),
        ("restaurant", "dining table", False),  # a place, though near in meaning
        ("cowboy hat", "horse", False),
    ],
)
def test_only_kinds_of_the_detected_class_refine_it(
    describer: ComposedDescriber, name: str, phrase: str, is_kind: bool
) -> None:
    assert describer._is_kind_of(name, phrase) is is_kind


def test_scene_text_and_nameless_regions_get_no_brief(describer: ComposedDescriber) -> None:
    nameless = thing("cat", (0, 0, 50, 50)).model_copy(update={"texts": ()})
    known = Annotations(regions=(line("EXIT", (0, 0, 50, 20)), nameless))
    results = describer.annotate([seen("chelsea.png", known), seen("chelsea.png", Annotations())])
    assert results == [Annotations(), Annotations()]
