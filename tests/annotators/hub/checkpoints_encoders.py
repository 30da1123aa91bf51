"""Small dual encoders of the real architectures, with random weights: 32 px in patches of 8."""

from __future__ import annotations

import string
from pathlib import Path
from typing import Any

import torch
from transformers import (
    CLIPConfig,
    CLIPImageProcessorPil,
    CLIPModel,
    CLIPProcessor,
    GemmaTokenizer,
    Siglip2Config,
    Siglip2ImageProcessorPil,
    Siglip2Model,
    Siglip2Processor,
    Siglip2Tokenizer,
    SiglipConfig,
    SiglipImageProcessorPil,
    SiglipModel,
    SiglipProcessor,
)

from tests.annotators.hub.checkpoints_detection import clip_tokenizer

LAYERS: dict[str, Any] = {
    "hidden_size": 32, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2,
}  # fmt: skip
SQUARE = {"height": 32, "width": 32}
PIECES = ["<pad>", "<eos>", "<bos>", "<unk>", "<mask>", "▁", *string.ascii_lowercase, *string.punctuation]


def build_clip(folder: Path) -> Path:
    words = clip_tokenizer()
    text = {**LAYERS, "vocab_size": len(words), "max_position_embeddings": 16, "projection_dim": 24}
    marks = {"bos_token_id": words.bos_token_id, "eos_token_id": words.eos_token_id, "pad_token_id": words.pad_token_id}
    vision = {**LAYERS, "image_size": 32, "patch_size": 8, "projection_dim": 24}
    pictures = CLIPImageProcessorPil(size={"shortest_edge": 32}, crop_size=SQUARE)
    config = CLIPConfig(text_config={**text, **marks}, vision_config=vision, projection_dim=24)
    return _saved(CLIPModel, config, CLIPProcessor(pictures, words), folder)


def build_siglip(folder: Path) -> Path:
    """As the checkpoints of SigLIP 2 with a fixed size are: SigLIP with Gemma's tokenizer."""
    words = GemmaTokenizer(vocab=_vocabulary(), merges=[], model_input_names=["input_ids"])
    text = {**LAYERS, "vocab_size": len(PIECES), "max_position_embeddings": 16}
    vision = {**LAYERS, "image_size": 32, "patch_size": 8}
    pictures = SiglipImageProcessorPil(size=SQUARE)
    config = SiglipConfig(text_config=text, vision_config=vision)
    return _saved(SiglipModel, config, SiglipProcessor(pictures, words), folder)


def build_siglip2(folder: Path) -> Path:
    """As those that keep the proportions of a picture (NaFlex): 16 patches at most."""
    words = Siglip2Tokenizer(vocab=_vocabulary(), merges=[], model_input_names=["input_ids"])
    text = {**LAYERS, "vocab_size": len(PIECES), "max_position_embeddings": 16}
    vision = {**LAYERS, "num_patches": 16, "patch_size": 8}
    pictures = Siglip2ImageProcessorPil(patch_size=8, max_num_patches=16)
    config = Siglip2Config(text_config=text, vision_config=vision)
    return _saved(Siglip2Model, config, Siglip2Processor(pictures, words), folder)


def _vocabulary() -> dict[str, int]:
    return {piece: n for n, piece in enumerate(PIECES)}


def _saved(model_class: Any, config: Any, processor: Any, folder: Path) -> Path:
    """With weights far from their start, so that different pictures and texts point different ways."""
    torch.manual_seed(0)
    model = model_class(config)
    with torch.no_grad():
        for weights in model.parameters():
            weights.add_(torch.randn_like(weights) * 0.2)
    model.eval().save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder
