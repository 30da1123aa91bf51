"""Which classes of an image a text may state, and whose word counts first."""

from __future__ import annotations

import pytest

from fld_engine.annotators.composed.captioner import ComposedCaptioner
from fld_engine.annotators.composed.classes import classes_of
from fld_engine.annotators.composed.scene import SceneParams, scene_of
from fld_engine.engine.plan.graph import build_graph
from fld_engine.schemas.annotations import Absence, Annotations, Label, Source
from fld_engine.schemas.errors import ConfigError
from tests.annotators.builders import thing

WH = (100, 100)


def by(annotator: str) -> Source:
    return Source(annotator=annotator, model=annotator, revision="1")


def label(name: str, annotator: str, score: float = 1.0) -> Label:
    return Label(label=name, score=score, source=by(annotator))


def absent(name: str, annotator: str = "human") -> Absence:
    return Absence(label=name, score=1.0, source=by(annotator))


def names(*labels: Label, absences: tuple[Absence, ...] = ()) -> list[str]:
    return [one.label for one in classes_of(Annotations(labels=labels, absences=absences))]


def test_people_come_before_folders_and_folders_before_models() -> None:
    said = [
        label("dog", "seer", 0.4),
        label("cat", "seer", 0.9),
        label("tench", "class_folder"),
        label("fish", "human"),
    ]
    assert names(*said) == ["fish", "tench", "cat", "dog"]


@pytest.mark.parametrize(
    ("folder", "stated"),
    [
        ("tench", ["tench"]),
        ("dogs", ["dog"]),  # "a dogs" is no English
        ("golden_retriever", ["golden retriever"]),
        ("2024", []),
        ("holiday", []),  # no thing
        ("train", []),  # a split far more often than a railway
        ("Images", []),
        ("n99999999", []),
        ("281", []),  # a number from a `.cls`
    ],
)
def test_a_folder_names_a_class_only_where_its_name_is_one_of_a_thing(folder: str, stated: list[str]) -> None:
    """Most folders of photographs are called after a year, a journey or a split."""
    assert names(label(folder, "class_folder")) == stated


def test_what_people_say_is_absent_no_model_can_state() -> None:
    known = Annotations(
        labels=(label("Tabby Cat", "seer"), label("dog", "human")),
        absences=(absent("tabby cat"), absent("dog"), absent("cup"), absent("person", "seer")),
        regions=(
            thing("cup", (0, 0, 20, 20)).model_copy(update={"source": by("nanodet")}),
            thing("person", (30, 0, 90, 90)).model_copy(update={"source": by("nanodet")}),
        ),
    )
    assert [one.label for one in classes_of(known)] == ["dog"]
    assert {one.noun for one in scene_of(known, WH, SceneParams()).things} >= {"person"}
    assert "cup" not in {one.noun for one in scene_of(known, WH, SceneParams()).things}


def test_a_person_is_believed_whatever_the_threshold() -> None:
    known = Annotations(labels=(label("maze", "human", 0.1),))
    assert [one.noun for one in scene_of(known, WH, SceneParams()).things] == ["maze"]


def test_the_captioner_runs_with_whichever_classes_there_are_and_no_other_annotator_that_requires_them() -> None:
    """A folder that may be no class at all must not stand in for a classifier."""
    build_graph({"captioner": ComposedCaptioner()}, frozenset({"objects"}))

    class Reader(ComposedCaptioner):
        requires = frozenset({"labels"})

    with pytest.raises(ConfigError, match="requires 'labels', and no annotator"):
        build_graph({"reader": Reader()}, frozenset({"objects"}))
