"""Facts are taken from annotations only where they are sure."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from fld_engine.annotators.common.places import place
from fld_engine.annotators.composed.scene import SceneParams, Thing, relation, scene_of
from fld_engine.schemas.annotations import Annotations
from tests.annotators.builders import label, thing

WH = (100, 100)
fractions = st.tuples(st.floats(0, 0.9), st.floats(0, 0.9), st.floats(0.02, 0.1), st.floats(0.02, 0.1)).map(
    lambda b: (b[0], b[1], b[0] + b[2], b[1] + b[3])
)


def test_things_are_counted_by_class_and_ordered_by_prominence() -> None:
    regions = (thing("cup", (0, 0, 5, 5)), thing("cup", (10, 0, 15, 5)), thing("person", (20, 10, 90, 90)))
    scene = scene_of(Annotations(regions=regions), WH, SceneParams())
    assert [(t.noun, t.count) for t in scene.things] == [("person", 1), ("cup", 2)]


def test_a_place_is_a_setting_beside_things_and_a_thing_alone() -> None:
    beach = (label("beach", 0.8),)
    with_dog = scene_of(Annotations(labels=beach, regions=(thing("dog", (0, 0, 50, 50)),)), WH, SceneParams())
    alone = scene_of(Annotations(labels=beach), WH, SceneParams())
    assert (with_dog.setting, [t.noun for t in with_dog.things]) == ("on a beach", ["dog"])
    assert (alone.setting, [t.noun for t in alone.things]) == ("", ["beach"])


def test_what_is_unsure_is_left_out() -> None:
    known = Annotations(labels=(label("maze", 0.29),), regions=(thing("dog", (0, 0, 50, 50), 0.39),))
    assert scene_of(known, WH, SceneParams()).things == ()
    assert len(scene_of(known, WH, SceneParams(min_object_score=0.3)).things) == 1


def test_a_region_without_a_phrase_is_no_thing() -> None:
    nameless = thing("dog", (0, 0, 50, 50)).model_copy(update={"texts": ()})
    assert scene_of(Annotations(regions=(nameless,)), WH, SceneParams()).things == ()


@given(fractions)
def test_mirroring_a_box_mirrors_its_place(box: tuple[float, float, float, float]) -> None:
    x1, y1, x2, y2 = box
    if abs((x1 + x2) / 2 - 1 / 3) < 1e-9 or abs((x1 + x2) / 2 - 2 / 3) < 1e-9:
        return
    mirrored = place((1 - x2, y1, 1 - x1, y2))
    side, level = place(box)
    assert mirrored == ({"left": "right", "right": "left", "center": "center"}[side], level)


@given(fractions, fractions)
def test_above_and_below_are_each_others_opposite(
    a: tuple[float, float, float, float], b: tuple[float, float, float, float]
) -> None:
    one, other = Thing("dog", "dog", 1.0, (a,)), Thing("cat", "cat", 1.0, (b,))
    opposite = {"above": "below", "below": "above", "next to": "next to"}
    how, back = relation(one, other), relation(other, one)
    if how in opposite:
        assert back == opposite[how]


def test_a_thing_without_a_box_stands_in_no_relation() -> None:
    assert relation(Thing("beach", "beach", 1.0), Thing("cat", "cat", 1.0, ((0, 0, 0.5, 0.5),))) is None
