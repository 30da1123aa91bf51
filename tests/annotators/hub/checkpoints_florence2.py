"""A small native Florence-2 of the real architecture, taught on the spot to answer each task in its language."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import Florence2Config, Florence2ForConditionalGeneration

from fld_engine.schemas.target_language import write_prompt
from fld_engine.schemas.tasks import Task
from tests.annotators.hub.shared import image_samples
from tests.florence2_processor import build_processor

SIDE = 96
CAPTION = "A cat on a wooden chair."
DOG = "<loc_62><loc_83><loc_500><loc_833>"
"""Where a region is that the tasks about regions ask for."""


def _locs(*bins: int) -> str:
    return "".join(f"<loc_{n}>" for n in bins)


ANSWERS: Mapping[tuple[Task, str], str] = {
    ("<CAPTION>", ""): CAPTION,
    ("<DETAILED_CAPTION>", ""): "Two people ride a red motorcycle down the street.",
    ("<MORE_DETAILED_CAPTION>", ""): "The rocket is being launched into a clear blue sky beside a flag.",
    ("<OD>", ""): f"cat{_locs(10, 20, 500, 600)}{_locs(300, 40, 900, 700)}chair{_locs(100, 200, 800, 990)}"
    f"cup{_locs(5, 5, 100, 100)}{_locs(600, 600, 650, 700)}",
    ("<DENSE_REGION_CAPTION>", ""): f"red motorcycle{_locs(10, 20, 500, 600)}{_locs(300, 40, 900, 700)}"
    f"white shirts{_locs(100, 200, 800, 990)}{_locs(5, 5, 100, 100)}{_locs(600, 600, 650, 700)}",
    ("<OCR_WITH_REGION>", ""): f"STOP{_locs(10, 20, 200, 20, 200, 60, 10, 60)}"
    f"EXIT{_locs(500, 520, 700, 530, 700, 600, 500, 590)}",
    ("<OPEN_VOCABULARY_DETECTION>", "cat"): f"cat{_locs(10, 20, 500, 600)}{_locs(300, 40, 900, 700)}"
    f"{_locs(100, 200, 800, 990)}{_locs(5, 5, 100, 100)}{_locs(600, 600, 650, 700)}",
    ("<OPEN_VOCABULARY_DETECTION>", "flag"): f"flag<poly>{_locs(30, 20, 500, 600, 20, 900)}</poly>",
    ("<CAPTION_TO_PHRASE_GROUNDING>", CAPTION): f"A cat{_locs(10, 20, 500, 600)}{_locs(300, 40, 900, 700)}"
    f"a wooden chair{_locs(100, 200, 800, 990)}{_locs(5, 5, 100, 100)}{_locs(600, 600, 650, 700)}",
    ("<REFERRING_EXPRESSION_SEGMENTATION>", "cat"): f"<poly>{_locs(30, 20, 500, 600, 20, 900)}</poly>"
    f"<poly>{_locs(600, 600, 700, 600, 650, 800)}</poly>",
    ("<REFERRING_EXPRESSION_SEGMENTATION>", "wooden chair"): _locs(100, 200, 800, 200, 800, 990, 100, 990),
    ("<REGION_TO_SEGMENTATION>", DOG): f"{_locs(62, 83, 500, 83, 500, 833)}<sep>{_locs(100, 100, 200, 100, 150, 200)}",
    ("<REGION_TO_CATEGORY>", DOG): "cat",
    ("<REGION_TO_DESCRIPTION>", DOG): "a cat sleeping",
    ("<REGION_TO_OCR>", DOG): "OPEN",
}


def build_florence2(folder: Path, answers: Mapping[tuple[Task, str], str] = ANSWERS, steps: int = 60) -> Path:
    """A few hundred thousand weights; what it was taught it says of any picture, in its own words at times."""
    processor = build_processor(image_size=SIDE, image_seq_length=10)
    tokenizer = processor.tokenizer
    torch.manual_seed(0)
    config = Florence2Config(
        vision_config={
            "embed_dim": [8, 16, 32, 32], "depths": [1, 1, 1, 1], "num_heads": [1, 2, 2, 2],
            "num_groups": [1, 2, 2, 2], "patch_stride": [4, 2, 2, 2], "window_size": 3, "projection_dim": 64,
        },
        text_config={
            "vocab_size": len(tokenizer), "d_model": 64, "encoder_layers": 1, "decoder_layers": 2,
            "encoder_attention_heads": 2, "decoder_attention_heads": 2, "encoder_ffn_dim": 64, "decoder_ffn_dim": 128,
            "max_position_embeddings": 128, "bos_token_id": 0, "pad_token_id": 1, "eos_token_id": 2,
            "decoder_start_token_id": 2, "forced_eos_token_id": None, "dropout": 0.0, "attention_dropout": 0.0,
        },
        image_token_id=tokenizer.image_token_id, is_encoder_decoder=True,
        bos_token_id=0, pad_token_id=1, eos_token_id=2, decoder_start_token_id=2,
    )  # fmt: skip
    model = Florence2ForConditionalGeneration(config)
    _teach(model, processor, list(answers.items()), steps)
    model.eval().save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder


def _teach(model: Any, processor: Any, answers: Sequence[tuple[tuple[Task, str], str]], steps: int) -> None:
    pictures = [sample.pixels for sample in image_samples([(60, 80)] * len(answers))]
    prompts = [write_prompt(task, input_) for (task, input_), _ in answers]
    inputs = processor(images=pictures, text=prompts, padding=True, return_tensors="pt")
    said = processor.tokenizer([answer for _, answer in answers], padding=True, return_tensors="pt")
    labels = said["input_ids"].masked_fill(said["attention_mask"] == 0, -100)
    optimizer = torch.optim.AdamW(model.parameters(), lr=5e-3)
    model.train()
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # more of them wait for each other, on a busy machine for minutes
    for _ in range(steps):
        loss = model(**inputs, labels=labels).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    torch.set_num_threads(threads)
