"""Probabilities of generated tokens, against a forward pass over the finished answer."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from transformers import (
    BartConfig,
    BartForConditionalGeneration,
    GenerationConfig,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedModel,
)

from fld_engine.annotators.checkpoints.generation import Generated, GenerationParams, generate
from fld_engine.annotators.checkpoints.loading import Loaded, load
from fld_engine.annotators.common.confidence import confidence
from tests.annotators.hub.checkpoints_chat import tokenizer

NUM_TOKENS = 24
PAD, BOS, EOS = 1, 2, 3
PROMPTS = [[12, 45, 78, 99], [201, 33, 64, 120], [77, 300, 18, 250], [150, 151, 9, 31], [5, 81, 222, 40]]
BIAS = {PAD: -100.0, BOS: -100.0, EOS: 3.0}
"""Added to logits by the checkpoint: so untrained models end their answers, each elsewhere, without marks."""


def build_llama(folder: Path) -> Path:
    config = LlamaConfig(
        vocab_size=len(tokenizer()), hidden_size=64, intermediate_size=128, num_hidden_layers=2, num_attention_heads=4,
        pad_token_id=PAD, bos_token_id=BOS, eos_token_id=EOS,
    )  # fmt: skip
    return saved(LlamaForCausalLM(config), folder)


def build_bart(folder: Path) -> Path:
    """Encoder and decoder, as Florence-2 has them: answers begin with a start token, and a forced mark."""
    config = BartConfig(
        vocab_size=len(tokenizer()), d_model=64, encoder_layers=2, decoder_layers=2, encoder_attention_heads=4,
        decoder_attention_heads=4, encoder_ffn_dim=128, decoder_ffn_dim=128, max_position_embeddings=64,
        pad_token_id=PAD, bos_token_id=BOS, eos_token_id=EOS, decoder_start_token_id=EOS, forced_eos_token_id=None,
    )  # fmt: skip
    return saved(BartForConditionalGeneration(config), folder, decoder_start_token_id=EOS, forced_bos_token_id=BOS)


def saved(model: PreTrainedModel, folder: Path, **generation: int) -> Path:
    """Wide weights: chances that differ from token to token."""
    torch.manual_seed(3)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter.copy_(2.0 * torch.randn_like(parameter) * parameter[0].numel() ** -0.5)
    model.generation_config = GenerationConfig(  # type: ignore[no-untyped-call]
        pad_token_id=PAD,
        bos_token_id=BOS,
        eos_token_id=EOS,
        sequence_bias=[[[token], bias] for token, bias in BIAS.items()],
        **generation,
    )
    model.save_pretrained(folder)
    tokenizer().save_pretrained(folder)
    return folder


def opened(folder: Path, **given: int) -> tuple[Loaded, GenerationParams]:
    params = GenerationParams.model_validate({"checkpoint": str(folder), "device": "cpu", **given})
    params = params.pinned(models_root="", strict=True)
    auto = "AutoModelForCausalLM" if "llama" in folder.name else "AutoModelForSeq2SeqLM"
    return load(params, role="writing", auto_model=auto, auto_processor="AutoTokenizer"), params


def asked(*prompts: list[int]) -> dict[str, torch.Tensor]:
    ids = torch.tensor(prompts)
    return {"input_ids": ids, "attention_mask": torch.ones_like(ids)}


def biased(logits: torch.Tensor) -> torch.Tensor:
    bias = torch.zeros(logits.shape[-1])
    bias[list(BIAS)] = torch.tensor(list(BIAS.values()))
    return logits + bias


def teacher_forced(loaded: Loaded, prompt: list[int], answer: Generated) -> list[float]:
    """The chance of each token of an answer, from one forward pass over all of them, without `generate`."""
    with torch.no_grad():
        if loaded.model.config.is_encoder_decoder:
            start = [EOS, BOS]
            decoded = torch.tensor([start + list(answer.ids)])
            logits = loaded.model(input_ids=torch.tensor([prompt]), decoder_input_ids=decoded).logits[0]
        else:
            start = prompt
            logits = loaded.model(input_ids=torch.tensor([start + list(answer.ids)])).logits[0]
    before = biased(logits[len(start) - 1 : -1]).softmax(-1)
    return [float(row[token]) for row, token in zip(before, answer.ids, strict=True)]


BUILDERS = [pytest.param(build_llama, id="decoder"), pytest.param(build_bart, id="encoder and decoder")]


@pytest.mark.parametrize("num_beams", [1, 3])
@pytest.mark.parametrize("build", BUILDERS)
def test_probabilities_are_those_of_a_forward_pass(
    build: Callable[[Path], Path], num_beams: int, tmp_path: Path
) -> None:
    loaded, params = opened(build(tmp_path / build.__name__), num_beams=num_beams, max_new_tokens=NUM_TOKENS)
    answers = generate(loaded, asked(*PROMPTS), params)
    assert len(answers) == len(PROMPTS)
    assert sum(len(answer.ids) for answer in answers) >= 20
    assert len({len(answer.ids) for answer in answers}) > 1, "answers of one length say nothing about trimming"
    for prompt, answer in zip(PROMPTS, answers, strict=True):
        assert not {PAD, BOS, EOS} & set(answer.ids)
        assert answer.probabilities == pytest.approx(teacher_forced(loaded, prompt, answer), rel=1e-3)
        assert answer.score == pytest.approx(confidence(teacher_forced(loaded, prompt, answer)), rel=1e-3)


@pytest.mark.parametrize("num_beams", [1, 3])
@pytest.mark.parametrize("build", BUILDERS)
def test_an_answer_is_the_librarys_own_and_does_not_depend_on_its_neighbours(
    build: Callable[[Path], Path], num_beams: int, tmp_path: Path
) -> None:
    loaded, params = opened(build(tmp_path / build.__name__), num_beams=num_beams, max_new_tokens=NUM_TOKENS)
    together = generate(loaded, asked(*PROMPTS), params)
    for prompt, answer in zip(PROMPTS, together, strict=True):
        (alone,) = generate(loaded, asked(prompt), params)
        assert alone.ids == answer.ids
        assert alone.probabilities == pytest.approx(answer.probabilities, rel=1e-3)
        with torch.no_grad():
            output = loaded.model.generate(
                **asked(prompt), do_sample=False, num_beams=num_beams, max_new_tokens=NUM_TOKENS
            )[0].tolist()
        start = 2 if loaded.model.config.is_encoder_decoder else len(prompt)
        assert [token for token in output[start:] if token not in (PAD, BOS, EOS)] == list(answer.ids)


def test_greedy_takes_the_likeliest_token_each_time(tmp_path: Path) -> None:
    loaded, params = opened(build_llama(tmp_path / "llama"), max_new_tokens=NUM_TOKENS)
    (answer,) = generate(loaded, asked(PROMPTS[0]), params)
    assert len(answer.ids) >= 5
    for i, (token, chance) in enumerate(zip(answer.ids, answer.probabilities, strict=True)):
        with torch.no_grad():
            logits = loaded.model(input_ids=torch.tensor([PROMPTS[0] + list(answer.ids[:i])])).logits[0, -1]
        assert int(biased(logits).argmax()) == token
        assert float(biased(logits).softmax(-1).max()) == pytest.approx(chance, rel=1e-3)


def test_an_answer_that_is_cut_off_keeps_all_its_tokens(tmp_path: Path) -> None:
    loaded, params = opened(build_llama(tmp_path / "llama"), max_new_tokens=3)
    longer = params.model_copy(update={"max_new_tokens": NUM_TOKENS})
    cut, whole = (generate(loaded, asked(*PROMPTS), given) for given in (params, longer))
    assert [answer.ids for answer in cut] == [answer.ids[:3] for answer in whole]
    assert any(len(answer.ids) > 3 for answer in whole)


def test_an_answer_ends_at_any_of_several_ends(tmp_path: Path) -> None:
    """As chat models have them: the end of a turn, and the end of the text."""
    loaded, params = opened(build_llama(tmp_path / "llama"), max_new_tokens=NUM_TOKENS)
    (before,) = generate(loaded, asked(PROMPTS[0]), params)
    loaded.model.generation_config.eos_token_id = [EOS, before.ids[3]]
    (after,) = generate(loaded, asked(PROMPTS[0]), params)
    assert after.ids == before.ids[: before.ids.index(before.ids[3])]
    assert len(after.probabilities) == len(after.ids)


@pytest.mark.parametrize(
    ("probabilities", "expected"),
    [
        ((), 0.0),
        ((1.0,), 1.0),
        ((0.25,), 0.25),
        ((0.5, 0.125), 0.25),  # sqrt(1/16)
        ((0.9, 0.9, 0.9), 0.9),  # the same for answers of every length
        ((0.8, 0.0), 0.0),
        ((1e-30,) * 100, 1e-30),  # whose product is no number
    ],
)
def test_confidence_is_the_geometric_mean(probabilities: tuple[float, ...], expected: float) -> None:
    assert confidence(probabilities) == pytest.approx(expected, rel=1e-9)
    assert Generated((7,) * len(probabilities), probabilities).score == confidence(probabilities)
