"""Images, prompts and answers as the tensors that a student takes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fld_engine.engine.data.images import RGB
from fld_engine.refinement.student.model import Student

IGNORED = -100
"""Label of a position that the loss passes over, in torch and transformers."""


def encode(student: Student, images: Sequence[RGB], asked: Sequence[tuple[int, str]]) -> dict[str, Any]:
    """Model inputs of questions about images: `asked` are (row of `images`, prompt).

    Several prompts may share an image, whose pixels are then encoded once: the rows of `pixel_values` are those of
    `images`, `image_rows` says which one belongs to which prompt.
    """
    import torch

    return {
        **encode_prompts(student, [prompt for _, prompt in asked]),
        "pixel_values": encode_pixels(student, images),
        "image_rows": torch.tensor([row for row, _ in asked]),
    }


def encode_pixels(student: Student, images: Sequence[RGB]) -> Any:
    """(n, 3, height, width) pixels as the vision tower takes them."""
    from PIL import Image

    return student.processor.image_processor([Image.fromarray(image) for image in images], return_tensors="pt")[
        "pixel_values"
    ]


def encode_prompts(student: Student, prompts: Sequence[str]) -> dict[str, Any]:
    """`input_ids` and `attention_mask`, (n, longest) each, of prompts in the frame `Florence2Processor` gives them."""
    processor = student.processor
    tokenizer = processor.tokenizer
    frame = processor.image_token * processor.num_image_tokens + tokenizer.bos_token
    texts = [f"{frame}{prompt}{tokenizer.eos_token}" for prompt in prompts]
    tokens = tokenizer(texts, add_special_tokens=False, padding=True, return_tensors="pt")
    return {name: tokens[name] for name in ("input_ids", "attention_mask")}


def encode_targets(student: Student, targets: Sequence[str]) -> Any:
    """(n, longest) token ids that the decoder is to say, `IGNORED` where a shorter target is padded."""
    tokenizer = student.processor.tokenizer
    ids = tokenizer(
        list(targets), padding=True, truncation=True, max_length=student.max_target_tokens, return_tensors="pt"
    )["input_ids"]
    return ids.masked_fill(ids == tokenizer.pad_token_id, IGNORED)


def embed(model: Any, input_ids: Any, seen: Any) -> Any:
    """(n, longest, width) embeddings of prompts; (n, image tokens, width) features of their images stand in them."""
    words = model.get_input_embeddings()(input_ids)
    places = (input_ids == model.config.image_token_id).unsqueeze(-1)
    return words.masked_scatter(places, seen.to(words.dtype))


def shifted(labels: Any, config: Any) -> Any:
    """Decoder inputs that predict `labels`: the start token, then the labels but the last."""
    inputs = labels.new_full(labels.shape, config.decoder_start_token_id)
    inputs[:, 1:] = labels[:, :-1]
    return inputs.masked_fill(inputs == IGNORED, config.pad_token_id)
