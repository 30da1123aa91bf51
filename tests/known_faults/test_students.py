"""A student is taken for another one, because it stands where that one would."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import pytest
import ray

from fld_engine.engine.run.pipeline import Pipeline
from fld_engine.refinement.loop.loop import Loop
from fld_engine.refinement.loop.settings import RefineConfig
from fld_engine.refinement.student.kept_student import read_kept
from fld_engine.refinement.student.model import make_student
from fld_engine.refinement.student.settings import StudentConfig
from fld_engine.refinement.training.examples import HeldImages
from fld_engine.refinement.training.teaching import BASE, Teacher
from fld_engine.refinement.training.training_set import RootTrainingSet
from tests.refinement.tiny import training_set
from tests.roots import fake_config, opened

WORDS = ["a dog", "a red circle"]


@dataclass(frozen=True)
class FewImages:
    """Four plain scenes, whatever the fold."""

    fold: int = 0

    def open(self) -> HeldImages:
        return training_set(4)


FEW_IMAGES = cast(RootTrainingSet, FewImages())


@contextmanager
def teaching(root: Path, **student: Any) -> Iterator[Teacher]:
    """A teacher of a root without images, whose students start as `student` says."""
    trained = {"num_steps": 1, "batch_images": 2, "warmup_steps": 1, "seed": 2}
    settings = RefineConfig.model_validate({"student": student, "training": trained})
    with opened(root, fake_config(root / "photos")) as pipeline:
        assert isinstance(pipeline, Pipeline)
        yield Loop(pipeline, settings).teacher


def test_a_base_of_another_size_is_another_base(tmp_path: Path) -> None:
    """What all students begin from is a function of `refine.student`: asked for another size, they are of that size.

    Who tries with `tiny` and then trains `small` for a week has trained `tiny` for a week.
    """
    with teaching(tmp_path / "root", preset="tiny") as teacher:
        tiny = teacher.base(FEW_IMAGES)()
    with teaching(tmp_path / "root", preset="small") as teacher:
        small = teacher.base(FEW_IMAGES)()
    wanted = make_student(StudentConfig(preset="small"), WORDS).model.config.text_config.d_model
    assert tiny.model.config.text_config.d_model < wanted
    assert small.model.config.text_config.d_model == wanted


@pytest.mark.long
@pytest.mark.filterwarnings("ignore::DeprecationWarning:ray.data.context")  # Ray warns of itself
def test_a_student_of_other_settings_is_trained_anew(tmp_path: Path) -> None:
    """One step at a learning rate of 1e-4, then, under another identity, one at 1e-2: two students, other weights.

    Who stops a short trial and starts the real training under other settings gets the round of the trial.
    """
    with teaching(tmp_path / "root", preset="tiny") as teacher:
        training = teacher.settings.training
        weights = []
        for identity, rate in (("trial", 1e-4), ("real", 1e-2)):
            settings = training.model_copy(update={"learning_rate": rate})
            folder = teacher.teach(1, "0", FEW_IMAGES, settings, identity=identity)
            kept = read_kept(teacher.store, folder)
            assert kept is not None, "nothing was trained"
            weights.append(kept.weights)
    ray.shutdown()
    assert read_kept(teacher.store, BASE) is not None
    assert len(set(weights)) == 2
