from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers.utils import is_torchvision_available

from fld_engine.annotators.checkpoints.generation import GenerationParams, generate
from fld_engine.annotators.checkpoints.loading import Loaded, load
from fld_engine.annotators.common.prompts import marked
from fld_engine.annotators.hub.chat_model import ChatModel, answer_ids, yes_shares
from fld_engine.annotators.hub.chat_verifier import HubChatVerifier
from fld_engine.schemas.errors import ModelError
from tests.annotators.hub.chat_cases import scenes
from tests.annotators.hub.checkpoints_chat import IMAGE_SIDE, PATCH, build_qwen2_vl, build_smolvlm, tokenizer

NUM_TOKENS = 12


def opened(folder: Path) -> tuple[Loaded, GenerationParams]:
    """The model with its tokenizer in place of the processor."""
    params = GenerationParams(checkpoint=str(folder), device="cpu", max_new_tokens=NUM_TOKENS)
    params = params.pinned(models_root="", strict=True)
    return load(params, role="chat", auto_model="AutoModelForImageTextToText", auto_processor="AutoTokenizer"), params


def prompt_ids(words: Any, num_image_tokens: int, text: str) -> list[int]:
    ids: list[int] = words.encode("<|user|>" + "<image>" * num_image_tokens + text + "<|end|><|assistant|>")
    return ids


def padded(rows: list[list[int]], pad: int) -> dict[str, torch.Tensor]:
    """As processors pad for generation: on the left."""
    longest = max(map(len, rows))
    ids = torch.tensor([[pad] * (longest - len(row)) + row for row in rows])
    return {"input_ids": ids, "attention_mask": (ids != pad).long()}


def smolvlm(words: Any) -> list[dict[str, torch.Tensor]]:
    """Inputs of prompts as the processor of SmolVLM makes them, of one tile each, and all of them together."""
    torch.manual_seed(1)
    texts = ["is it a dog", "a red box on grass is it true", "no"]
    pixels = torch.randn(len(texts), 1, 3, IMAGE_SIDE, IMAGE_SIDE)
    rows = [prompt_ids(words, (IMAGE_SIDE // PATCH // 2) ** 2, text) for text in texts]
    alone = [{**padded([row], words.pad_token_id), "pixel_values": pixels[i : i + 1]} for i, row in enumerate(rows)]
    return [*alone, {**padded(rows, words.pad_token_id), "pixel_values": pixels}]


def qwen2_vl(words: Any) -> list[dict[str, torch.Tensor]]:
    """Inputs as the processor of Qwen2-VL makes them: the patches of all images in one row, and their grids."""
    torch.manual_seed(1)
    texts = ["is it a dog", "a red box on grass is it true", "no"]
    grids = torch.tensor([[1, 4, 4], [1, 2, 4], [1, 4, 6]])
    patches = [torch.randn(int(grid.prod()), 3 * 2 * PATCH * PATCH) for grid in grids]
    rows = [prompt_ids(words, int(grid.prod()) // 4, text) for grid, text in zip(grids, texts, strict=True)]
    image = words.convert_tokens_to_ids("<image>")

    def inputs(which: list[int]) -> dict[str, torch.Tensor]:
        found = padded([rows[i] for i in which], words.pad_token_id)
        found["mm_token_type_ids"] = (found["input_ids"] == image).int()
        return {**found, "pixel_values": torch.cat([patches[i] for i in which]), "image_grid_thw": grids[which]}

    return [*(inputs([i]) for i in range(3)), inputs([0, 1, 2])]


CASES = [pytest.param(build_smolvlm, smolvlm, id="smolvlm"), pytest.param(build_qwen2_vl, qwen2_vl, id="qwen2-vl")]


@pytest.mark.parametrize(("build", "inputs"), CASES)
def test_generated_text_is_that_of_the_library(build: Any, inputs: Any, tmp_path: Path) -> None:
    loaded, params = opened(build(tmp_path))
    *alone, together = inputs(loaded.processor)
    answers = generate(loaded, together, params)
    assert sum(len(answer.ids) for answer in answers) >= 5
    for given, answer in zip(alone, answers, strict=True):
        with torch.no_grad():
            output = loaded.model.generate(**given, do_sample=False, max_new_tokens=NUM_TOKENS)
        ids = output[0, given["input_ids"].shape[1] :].tolist()
        assert list(answer.ids) == [token for token in ids if token != loaded.processor.eos_token_id]


@pytest.mark.parametrize(("build", "inputs"), CASES)
def test_share_of_yes_is_that_of_the_library(build: Any, inputs: Any, tmp_path: Path) -> None:
    loaded, _ = opened(build(tmp_path))
    *alone, together = inputs(loaded.processor)
    yes, no = answer_ids(loaded.processor)
    found = yes_shares(loaded, together, yes, no)
    for given, share in zip(alone, found, strict=True):
        with torch.no_grad():
            chances = loaded.model(**given).logits[0, -1].softmax(-1)
        assert share == pytest.approx(float(chances[yes].sum() / (chances[yes].sum() + chances[no].sum())), abs=1e-5)
    assert len({round(share, 4) for share in found}) == 3


def with_processor(folder: Path, processor: str) -> Path:
    """What a checkpoint on the hub has beside the model: names of the classes that prepare its inputs."""
    (folder / "processor_config.json").write_text(json.dumps({"processor_class": processor}))
    image_processor = {"image_processor_type": processor.replace("Processor", "ImageProcessor")}
    (folder / "preprocessor_config.json").write_text(json.dumps({**image_processor, "processor_class": processor}))
    return folder


PROCESSORS = [
    pytest.param(build_smolvlm, "SmolVLMProcessor", id="smolvlm"),
    pytest.param(build_qwen2_vl, "Qwen2VLProcessor", id="qwen2-vl"),
]


@pytest.mark.skipif(not is_torchvision_available(), reason="their processors need torchvision, which is not there")
@pytest.mark.parametrize(("build", "processor"), PROCESSORS)
def test_end_to_end_with_the_processor(build: Any, processor: str, tmp_path: Path) -> None:
    params = HubChatVerifier.Params(checkpoint=str(with_processor(build(tmp_path), processor)), device="cpu")
    verifier = HubChatVerifier(params.pinned(models_root="", strict=True))
    verifier.load()
    assert sum(len(found.checks) for found in verifier.annotate(scenes(2))) >= 5


@pytest.mark.skipif(is_torchvision_available(), reason="torchvision is there, and their processors load")
@pytest.mark.parametrize(("build", "processor"), PROCESSORS)
def test_a_processor_that_needs_torchvision_says_so(build: Any, processor: str, tmp_path: Path) -> None:
    params = GenerationParams(checkpoint=str(with_processor(build(tmp_path), processor)), device="cpu")
    with pytest.raises(ModelError, match=r"(?s)has no processor that loads here.*Torchvision"):
        ChatModel(params.pinned(models_root="", strict=True))


def test_ways_to_write_yes_and_no() -> None:
    words = tokenizer()
    yes, no = answer_ids(words)
    assert {words.decode([token]).strip() for token in yes} == {"yes", "Yes"}  # YES is several tokens
    assert {words.decode([token]).strip() for token in no} == {"no", "No"}


class Pieces:
    """A tokenizer that cuts every word into the same pieces."""

    unk_token_id = 0

    def __init__(self, *length: int) -> None:
        self._length = length

    def encode(self, word: str, add_special_tokens: bool) -> list[int]:
        return [ord(letter) for letter in word.strip()[slice(*self._length)]]


def test_words_of_several_tokens_are_told_apart_by_their_first() -> None:
    assert answer_ids(Pieces(0, 2)) == ([ord("Y"), ord("y")], [ord("N"), ord("n")])


def test_a_tokenizer_that_does_not_tell_yes_from_no_is_refused() -> None:
    class Blind(Pieces):
        def encode(self, word: str, add_special_tokens: bool) -> list[int]:
            return [7, *super().encode(word, add_special_tokens)]  # every word starts with the same mark

    with pytest.raises(ModelError, match="choose another"):
        answer_ids(Blind(0, 2))


FAMILIES: dict[str, tuple[str, ...]] = {
    "ChatML (Qwen-VL, LLaVA-NeXT)": ("<|im_start|>", "<|im_end|>", "<|vision_start|>", "<|image_pad|>"),
    "Idefics3, SmolVLM": ("<image>", "<fake_token_around_image>", "<global-img>", "<end_of_utterance>"),
    "LLaVA 1.5": ("<image>", "<s>", "</s>", "<unk>", "<pad>"),
    "Mistral, Pixtral": ("[INST]", "[/INST]", "[IMG]", "[IMG_BREAK]", "[IMG_END]", "[TOOL_CALLS]", "[SYSTEM_PROMPT]"),
    "Llama 3": ("<|begin_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>", "<|image|>"),
    "Gemma": ("<start_of_turn>", "<end_of_turn>", "<start_of_image>", "<image_soft_token>", "<bos>", "<eos>"),
    "Phi": ("<|user|>", "<|end|>", "<|assistant|>", "<|image_1|>", "<|endoftext|>"),
    "DeepSeek, Janus": ("<\uff5cUser\uff5c>", "<\uff5cAssistant\uff5c>", "<begin_of_image>", "<|ref|>", "<|/det|>"),
    "GLM": ("<|begin_of_image|>", "[gMASK]", "<sop>", "<|observation|>"),
}  # fmt: skip
"""What the templates of chat families mark turns and pictures with, by their published tokenizers."""


@pytest.mark.parametrize("family", FAMILIES)
def test_no_text_of_a_picture_becomes_a_token_of_the_template(family: str) -> None:
    """A sign that reads `<|im_end|>` would end the user's turn, and whoever wrote it would speak to the model."""
    tokens = FAMILIES[family]
    words = tokenizer()
    words.add_tokens(list(tokens), special_tokens=True)
    special = set(words.convert_tokens_to_ids(list(tokens)))
    assert special <= set(words.encode(" ".join(tokens))), "the tokenizer knows them wherever they stand"
    said = marked({"text": " ".join(tokens), "label": "".join(tokens)})
    assert not special & set(words.encode(said))
