"""A student is the one that is looked for only if it was made of the same."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import pytest

from fld_engine.engine.data.store import Store
from fld_engine.engine.run.pipeline import Pipeline
from fld_engine.refinement.loop.settings import RefineConfig
from fld_engine.refinement.student.kept_student import RECORD, find_kept, keep_student, read_kept
from fld_engine.refinement.training.examples import HeldImages
from fld_engine.refinement.training.teaching import BASE, Teacher, student_folder
from fld_engine.refinement.training.training_set import RootTrainingSet
from tests.refinement.tiny import student, training_set
from tests.roots import fake_config


@dataclass(frozen=True)
class FewImages:
    """Four plain scenes, whatever the fold."""

    fold: int = 0
    labels: str = "of the specialists"

    def open(self) -> HeldImages:
        return training_set(4)


def made_of(
    root: Path, *, learns: FewImages = FewImages(), start: str | None = None, identity: str = "round", **settings: Any
) -> str:
    teacher = Teacher(
        Pipeline(Store(str(root)), fake_config(root / "photos")),
        RefineConfig.model_validate({"student": {"preset": "tiny"}, **settings}),
    )
    return teacher.made_of(
        "0", cast(RootTrainingSet, learns), teacher.settings.training, identity=identity, start=start
    )


def test_the_same_settings_make_the_same_student_wherever_its_root_stands(tmp_path: Path) -> None:
    assert made_of(tmp_path / "one") == made_of(tmp_path / "other")


@pytest.mark.parametrize(
    "other",
    [
        {"training": {"num_steps": 7}},
        {"training": {"learning_rate": 0.5}},
        {"training": {"seed": 9}},
        {"training": {"task_weights": {"<OD>": 0}}},
        {"student": {"preset": "small"}},
        {"student": {"preset": "tiny", "seed": 5}},
        {"student": {"preset": "tiny", "max_target_tokens": 99}},
        {"student": {"base": "florence-community/Florence-2-base"}},
        {"learns": FewImages(fold=1)},
        {"learns": FewImages(labels="of a round")},
        {"identity": "another round"},
    ],
    ids=str,
)
def test_anything_else_makes_another_student(tmp_path: Path, other: dict[str, Any]) -> None:
    assert made_of(tmp_path, **other) != made_of(tmp_path)


def test_what_is_resources_alone_makes_no_other_student(tmp_path: Path) -> None:
    assert made_of(tmp_path, trainer={"num_workers": 1, "max_failures": 7}) == made_of(tmp_path)


def test_a_folder_whose_weights_were_replaced_is_another_base(tmp_path: Path) -> None:
    base = tmp_path / "base"
    student(base, seed=1)
    settings = {"student": {"base": str(base)}}
    before = made_of(tmp_path, **settings)
    assert made_of(tmp_path, **settings) == before
    (base / "model.safetensors").write_bytes(b"others")
    assert made_of(tmp_path, **settings) != before


def test_a_specialist_of_another_general_student_is_another_one(tmp_path: Path) -> None:
    store, found = Store(str(tmp_path)), set()
    for seed in (1, 2):
        keep_student(student(tmp_path / f"made {seed}", seed=seed), store, student_folder(1, "general"))
        found.add(made_of(tmp_path, start=student_folder(1, "general")))
    assert len(found) == 2


def test_a_student_of_something_else_is_not_found_and_goes(tmp_path: Path) -> None:
    """One whose record does not say of what, as a root of 0.1.0 has it, is found: its round goes on."""
    store = Store(str(tmp_path))
    keep_student(student(tmp_path / "made"), store, BASE, made_of="this")
    assert find_kept(store, BASE, "this") == read_kept(store, BASE)
    assert find_kept(store, BASE, "that") is None
    assert not store.exists(BASE)
    keep_student(student(tmp_path / "made"), store, BASE)
    assert find_kept(store, BASE, "this") is None, "made of nothing that anybody asks for"
    kept = keep_student(student(tmp_path / "made"), store, BASE, made_of="this")
    store.write_bytes(f"{BASE}/{RECORD}", b'{"weights":"%s"}' % kept.weights.encode())
    assert find_kept(store, BASE, "that") is not None
