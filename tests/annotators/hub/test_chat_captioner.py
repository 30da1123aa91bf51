from __future__ import annotations

import math
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import GenerationConfig, LlamaConfig, LlamaForCausalLM

from fld_engine.annotators.common import prompts
from fld_engine.annotators.hub.chat_captioner import HubChatCaptioner
from fld_engine.engine.plan.protocols import Sample
from fld_engine.schemas.annotations import Annotations
from fld_engine.schemas.errors import ModelError
from tests.annotators.hub.chat_cases import BUILDERS, Build, Library, SmallDevice, scenes
from tests.annotators.hub.checkpoints_chat import build_llava, text_config, tokenizer

NUM_TOKENS = 24


def loaded(folder: Path, **params: Any) -> HubChatCaptioner:
    given = {"checkpoint": str(folder), "max_new_tokens": NUM_TOKENS, "device": "cpu", **params}
    built = HubChatCaptioner(HubChatCaptioner.Params.model_validate(given).pinned(models_root="", strict=True))
    built.load()
    return built


@pytest.mark.parametrize("build", BUILDERS)
def test_texts_and_scores_are_those_of_the_library(build: Build, tmp_path: Path) -> None:
    model, library = loaded(build(tmp_path)), Library(tmp_path)
    num_tokens = num_texts = 0
    for sample, found in zip(scenes(), model.annotate(scenes()), strict=True):
        assert sample.pixels is not None
        expected = []
        for name, prompt in prompts.descriptions(sample, model.params, with_image=True):
            words, ids = library.write(sample.pixels, prompt, NUM_TOKENS)
            said = prompts.described(words, whole=len(ids) < NUM_TOKENS)
            num_tokens += len(ids)
            if said:
                expected.append((name, said))
        assert [(text.granularity, text.text) for text in found.texts] == expected
        assert all(0 < text.score < 1 for text in found.texts)
        num_texts += len(expected)
    assert num_texts >= 5
    assert num_tokens >= 50


def test_score_is_the_geometric_mean_of_token_probabilities(tmp_path: Path) -> None:
    """By the library's forward pass over prompt and answer, with the checkpoint's own bias of some tokens."""
    config = GenerationConfig.from_pretrained(build_llava(tmp_path))
    config.no_repeat_ngram_size = None
    config.save_pretrained(tmp_path)
    model, library = loaded(tmp_path), Library(tmp_path)
    sample = scenes(2)[1]
    assert sample.pixels is not None
    _, prompt = prompts.descriptions(sample, model.params, with_image=True)[0]
    _, ids = library.write(sample.pixels, prompt, NUM_TOKENS)
    assert len(ids) >= 5
    inputs = library.inputs(sample.pixels, prompt)
    asked = inputs["input_ids"]
    answer = torch.cat([asked, torch.tensor([ids])], dim=1)
    with torch.no_grad():
        logits = library.model(
            input_ids=answer, attention_mask=torch.ones_like(answer), pixel_values=inputs["pixel_values"]
        ).logits[0]
    for token, bias in library.model.generation_config.sequence_bias:
        logits[:, token[0]] += bias
    logs = logits.log_softmax(-1)
    chances = [float(logs[asked.shape[1] - 1 + i, token]) for i, token in enumerate(ids)]
    found = {text.granularity: text for text in model.annotate([sample])[0].texts}
    assert found["detailed"].score == pytest.approx(math.exp(sum(chances) / len(chances)), abs=1e-3)


@pytest.mark.parametrize("build", BUILDERS)
def test_batches_of_one_and_of_eight_agree(build: Build, tmp_path: Path) -> None:
    """Within 1e-4 in score: prompts of a pass are padded to the longest."""
    many = loaded(build(tmp_path), items_per_pass=8).annotate(scenes())
    one = loaded(tmp_path, items_per_pass=1)
    alone = [one.annotate([sample])[0] for sample in scenes()]
    assert sum(len(found.texts) for found in many) >= 5
    for together, apart in zip(many, alone, strict=True):
        assert [t.text for t in together.texts] == [t.text for t in apart.texts]
        assert [t.score for t in together.texts] == pytest.approx([t.score for t in apart.texts], abs=1e-4)


def test_out_of_memory_loses_nothing(tmp_path: Path) -> None:
    model = loaded(build_llava(tmp_path), items_per_pass=8)
    whole = model.annotate(scenes())
    assert not model.reduced
    assert model._chat is not None
    model._chat.loaded.model = small = SmallDevice(model._chat.loaded.model, 2)
    again = model.annotate(scenes())
    assert model.reduced
    assert set(small.passes) <= {1, 2}
    assert [[t.text for t in found.texts] for found in again] == [[t.text for t in found.texts] for found in whole]


def test_bfloat16(tmp_path: Path) -> None:
    found = loaded(build_llava(tmp_path), dtype="bfloat16").annotate(scenes())
    assert len(found) == 6
    assert any(of_image.texts for of_image in found)


def test_beams_are_those_of_the_library(tmp_path: Path) -> None:
    model, library = loaded(build_llava(tmp_path), num_beams=3), Library(tmp_path)
    greedy = loaded(tmp_path).annotate(scenes(3))
    found = model.annotate(scenes(3))
    for sample, of_image in zip(scenes(3), found, strict=True):
        assert sample.pixels is not None
        expected = []
        for _, prompt in prompts.descriptions(sample, model.params, with_image=True):
            words, ids = library.write(sample.pixels, prompt, NUM_TOKENS, num_beams=3)
            expected.append(prompts.described(words, whole=len(ids) < NUM_TOKENS))
        assert [text.text for text in of_image.texts] == expected
    assert [t.text for f in found for t in f.texts] != [t.text for f in greedy for t in f.texts]


@pytest.mark.parametrize("build", BUILDERS)
def test_nothing_known_and_a_tiny_image(build: Build, tmp_path: Path) -> None:
    """An image speaks for itself, however small."""
    pixels = np.zeros((1, 1, 3), dtype=np.uint8)
    model = loaded(build(tmp_path))
    assert len(model.annotate([Sample(id="tiny", width=1, height=1, pixels=pixels, known=Annotations())])) == 1
    assert model.annotate([]) == []


def test_granularities_are_chosen(tmp_path: Path) -> None:
    found = loaded(build_llava(tmp_path), granularities=["more_detailed"]).annotate(scenes())
    assert {text.granularity for of_image in found for text in of_image.texts} == {"more_detailed"}


def test_a_checkpoint_of_another_kind_is_refused(tmp_path: Path) -> None:
    words = tokenizer()
    words.save_pretrained(tmp_path)
    LlamaForCausalLM(LlamaConfig(**text_config(words))).save_pretrained(tmp_path)
    with pytest.raises(ModelError, match=r"of kind 'llama', which does not do chat about images; .*idefics3, .*llava"):
        loaded(tmp_path)


def test_a_checkpoint_without_a_chat_template_is_refused(tmp_path: Path) -> None:
    build_llava(tmp_path)
    removed = list(tmp_path.glob("chat_template*"))
    assert removed
    for path in removed:
        path.unlink()
    with pytest.raises(ModelError, match="has no chat template: expected one that was tuned for chat"):
        loaded(tmp_path)


def test_constructor_is_cheap_and_picklable() -> None:
    params = HubChatCaptioner.Params(checkpoint="org/name", revision="a" * 40)
    built = pickle.loads(pickle.dumps(HubChatCaptioner(params)))
    assert built.model.id == "org/name"
    assert not built.reduced
