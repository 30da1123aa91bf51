"""Small captioners of the real architectures: 32 px, untrained, and talkative."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from transformers import (
    BlipConfig,
    BlipForConditionalGeneration,
    BlipImageProcessorPil,
    BlipProcessor,
    CLIPImageProcessorPil,
    GenerationConfig,
    GitConfig,
    GitForCausalLM,
    GitProcessor,
)

from tests.annotators.hub.checkpoints_detection import bert_tokenizer

LAYERS: dict[str, Any] = {
    "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2,
}  # fmt: skip
END = 1.5
SQUARE = {"height": 32, "width": 32}


def build_blip(folder: Path) -> Path:
    """BLIP begins with a mark of its own, `[DEC]`, and ends with `[SEP]`."""
    words = bert_tokenizer()
    words.add_special_tokens({"bos_token": "[DEC]"})
    marks = {"bos_token_id": words.bos_token_id, "sep_token_id": words.sep_token_id, "pad_token_id": words.pad_token_id}
    text = {**LAYERS, "vocab_size": len(words), "encoder_hidden_size": 32, "max_position_embeddings": 64, **marks}
    vision = {**LAYERS, "image_size": 32, "patch_size": 8}
    torch.manual_seed(0)
    model = BlipForConditionalGeneration(BlipConfig(text_config=text, vision_config=vision))
    return _saved(model, BlipProcessor(BlipImageProcessorPil(size=SQUARE), words), folder)


def build_git(folder: Path) -> Path:
    words = bert_tokenizer()
    vision = {**LAYERS, "image_size": 32, "patch_size": 8}
    config = GitConfig(
        vision_config=vision, **LAYERS, vocab_size=len(words), max_position_embeddings=64,
        bos_token_id=words.cls_token_id, eos_token_id=words.sep_token_id, pad_token_id=words.pad_token_id,
    )  # fmt: skip
    torch.manual_seed(0)
    model = GitForCausalLM(config)
    model.generation_config = GenerationConfig.from_model_config(config)
    pictures = CLIPImageProcessorPil(size={"shortest_edge": 32}, crop_size=SQUARE)
    return _saved(model, GitProcessor(pictures, words), folder)


def _saved(model: Any, processor: Any, folder: Path) -> Path:
    """Weights far from their start, so that pictures differ, and what is said ends after some words."""
    with torch.no_grad():
        for weights in model.parameters():
            weights.add_(torch.randn_like(weights) * 0.15)
            if weights.shape == (len(processor.tokenizer),):  # of the words: the end is a likely one
                weights[processor.tokenizer.sep_token_id] += END
    model.eval().save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder
