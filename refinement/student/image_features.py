"""Images that a student has encoded: the vision tower runs once for each, and any number of questions follow."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from fld_engine.engine.data.geometry import Floats
from fld_engine.engine.data.images import RGB
from fld_engine.refinement.student.encoding import embed, encode_pixels, encode_prompts
from fld_engine.refinement.student.model import Student
from fld_engine.schemas.target_language import write_prompt
from fld_engine.schemas.tasks import Task


@dataclass(frozen=True, slots=True)
class ImageFeatures:
    """Features of a batch of images from the vision tower of `student`: `tokens` is (images, image tokens, width)."""

    student: Student
    tokens: Any
    sizes_wh: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class Question:
    """One question about an image: its row among the features, the prompt, and the answer to score."""

    image: int
    prompt: str
    answer: str


@dataclass(frozen=True, slots=True)
class AnswerScore:
    """Log-likelihoods of the (t,) tokens of an answer without the start mark, and support of its (l,) locations.

    The support of a location is the probability near it: `teacher_forcing.BOX_TOLERANCE`.
    """

    logs: Floats
    support: Floats


def extract_features(student: Student, images: Sequence[RGB]) -> ImageFeatures:
    """Run the vision tower over a batch of images, on the device that the student is on."""
    import torch

    model = student.model.eval()
    pixels = encode_pixels(student, images).to(model.device)
    with torch.inference_mode():
        tokens = model.get_image_features(pixels).pooler_output
    return ImageFeatures(student, tokens, tuple((image.shape[1], image.shape[0]) for image in images))


def encode_questions(features: ImageFeatures, prompts: Sequence[tuple[int, str]]) -> tuple[Any, Any]:
    """Encoder states (n, longest, width) of (row of the image, prompt), and their attention mask (n, longest)."""
    import torch

    model = features.student.model
    encoded = encode_prompts(features.student, [prompt for _, prompt in prompts])
    mask = encoded["attention_mask"].to(model.device)
    with torch.inference_mode():
        embedded = embed(model, encoded["input_ids"].to(model.device), features.tokens[[row for row, _ in prompts]])
        states = model.get_encoder()(inputs_embeds=embedded, attention_mask=mask).last_hidden_state
    return states, mask


def answer(features: ImageFeatures, task: Task, *, max_tokens: int) -> list[str]:
    """Greedy answers to a task without input, one an image, tokens of the target language included."""
    import torch
    from transformers.modeling_outputs import BaseModelOutput

    states, mask = encode_questions(features, [(row, write_prompt(task)) for row in range(len(features.sizes_wh))])
    with torch.inference_mode():
        ids = features.student.model.generate(
            encoder_outputs=BaseModelOutput(last_hidden_state=states),
            attention_mask=mask,
            max_new_tokens=max_tokens,
            num_beams=1,
            do_sample=False,
        )
    texts: list[str] = features.student.processor.tokenizer.batch_decode(ids, skip_special_tokens=False)
    return texts
