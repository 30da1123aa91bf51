from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fld_engine.annotators.common import prompts
from fld_engine.annotators.hub.chat_model import answer_ids
from fld_engine.annotators.hub.chat_verifier import HubChatVerifier
from fld_engine.engine.plan.protocols import Sample
from fld_engine.schemas.annotations import Annotations
from tests.annotators.builders import thing
from tests.annotators.hub.chat_cases import BUILDERS, Build, Library, SmallDevice, scenes
from tests.annotators.hub.checkpoints_chat import build_llava


def loaded(folder: Path, **params: Any) -> HubChatVerifier:
    given = {"checkpoint": str(folder), "device": "cpu", **params}
    built = HubChatVerifier(HubChatVerifier.Params.model_validate(given).pinned(models_root="", strict=True))
    built.load()
    return built


@pytest.mark.parametrize("build", BUILDERS)
def test_scores_are_those_of_the_library(build: Build, tmp_path: Path) -> None:
    model, library = loaded(build(tmp_path)), Library(tmp_path)
    yes, no = answer_ids(library.processor.tokenizer)
    num_checks, scores = 0, set()
    for sample, found in zip(scenes(), model.annotate(scenes()), strict=True):
        assert sample.pixels is not None
        doubts = prompts.doubts(sample, model.params)
        assert [(c.subject_id, c.question) for c in found.checks] == [(d.subject_id, d.question) for d in doubts]
        for doubt, check in zip(doubts, found.checks, strict=True):
            chances = library.next_token(sample.pixels, doubt.prompt)
            expected = float(chances[yes].sum() / (chances[yes].sum() + chances[no].sum()))
            assert check.score == pytest.approx(expected, abs=1e-4)
            num_checks += 1
            scores.add(check.score)
    assert num_checks >= 20  # three or four regions and a phrase on each of six images
    assert len(scores) > 10  # what is looked at matters


@pytest.mark.parametrize("build", BUILDERS)
def test_batches_of_one_and_of_eight_agree(build: Build, tmp_path: Path) -> None:
    """Within 1e-4: views of different sizes and questions of different lengths share a pass."""
    many = loaded(build(tmp_path), items_per_pass=8).annotate(scenes())
    one = loaded(tmp_path, items_per_pass=1)
    for together, sample in zip(many, scenes(), strict=True):
        apart = one.annotate([sample])[0]
        assert [c.score for c in together.checks] == pytest.approx([c.score for c in apart.checks], abs=1e-4)


def test_out_of_memory_loses_nothing(tmp_path: Path) -> None:
    model = loaded(build_llava(tmp_path), items_per_pass=8)
    whole = model.annotate(scenes())
    assert model._chat is not None
    model._chat.loaded.model = small = SmallDevice(model._chat.loaded.model, 3)
    again = model.annotate(scenes())
    assert model.reduced
    assert max(small.passes) == 2  # a half of eight is too many, a half of that is not
    for before, after in zip(whole, again, strict=True):
        assert [c.score for c in after.checks] == pytest.approx([c.score for c in before.checks], abs=1e-4)


def test_bfloat16(tmp_path: Path) -> None:
    exact, coarse = loaded(build_llava(tmp_path)), loaded(tmp_path, dtype="bfloat16")
    pairs = zip(exact.annotate(scenes(2)), coarse.annotate(scenes(2)), strict=True)
    for whole, rounded in pairs:
        assert [c.score for c in rounded.checks] == pytest.approx([c.score for c in whole.checks], abs=0.05)


def test_work_set(tmp_path: Path) -> None:
    model = loaded(build_llava(tmp_path), max_regions=2, questions=["holds"])
    assert (model.requires, model.optional) == ({"pixels", "objects"}, {"scene_text"})
    assert [len(found.checks) for found in model.annotate(scenes(3))] == [2, 2, 2]


@pytest.mark.parametrize("build", BUILDERS)
def test_nothing_to_ask_and_a_tiny_image(build: Build, tmp_path: Path) -> None:
    model, pixels = loaded(build(tmp_path)), np.zeros((1, 1, 3), dtype=np.uint8)
    tiny = Sample(id="t", width=1, height=1, pixels=pixels, known=Annotations(regions=(thing("dog", (0, 0, 1, 1)),)))
    nothing = Sample(id="n", width=1, height=1, pixels=pixels, known=Annotations())
    assert [len(found.checks) for found in model.annotate([tiny, nothing])] == [1, 0]
    assert model.annotate([]) == []


def test_equal_questions_are_asked_once(tmp_path: Path) -> None:
    model = loaded(build_llava(tmp_path), questions=["complete"])
    sample = scenes(1)[0]
    same = tuple(sample.known.phrases[0].model_copy(update={"id": f"p{i}"}) for i in range(5))
    twice = Sample(id="i", width=100, height=80, pixels=sample.pixels, known=Annotations(phrases=same))
    assert model._chat is not None
    model._chat.loaded.model = small = SmallDevice(model._chat.loaded.model, 8)
    checks = model.annotate([twice])[0].checks
    assert small.passes == [1]
    assert [check.subject_id for check in checks] == ["p0", "p1", "p2", "p3", "p4"]


def test_constructor_is_cheap_and_picklable() -> None:
    built = pickle.loads(pickle.dumps(HubChatVerifier(HubChatVerifier.Params(checkpoint="org/name"))))
    assert (built.model.id, built.produces) == ("org/name", {"checks"})
