"""Images that a student has looked at: the vision tower has run once for each, and any number of questions follow."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from fld_engine.engine.geometry import Floats
from fld_engine.engine.protocols import RGB
from fld_engine.refinement.student.encoding import embed, encode_pixels, encode_prompts
from fld_engine.refinement.student.model import Student
from fld_engine.schemas.target_language import write_prompt
from fld_engine.schemas.tasks import Task


@dataclass(frozen=True, slots=True)
class Sight:
    """What `student` sees on a batch of images: `seen` is (images, image tokens, width)."""

    student: Student
    seen: Any
    sizes_wh: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class Question:
    """An image of the sight by its row, what is asked about it, and what must be answered."""

    image: int
    prompt: str
    answer: str


@dataclass(frozen=True, slots=True)
class Said:
    """Log-likelihoods of the (t,) tokens of an answer without the start mark, and support of its (l,) locations.

    The support of a location is the probability near it: `forced.BOX_TOLERANCE`.
    """

    logs: Floats
    support: Floats


def look(student: Student, images: Sequence[RGB]) -> Sight:
    """Run the vision tower over a batch of images, on the device that the student is on."""
    import torch

    model = student.model.eval()
    pixels = encode_pixels(student, images).to(model.device)
    with torch.inference_mode():
        seen = model.get_image_features(pixels).pooler_output
    return Sight(student, seen, tuple((image.shape[1], image.shape[0]) for image in images))


def understand(sight: Sight, asked: Sequence[tuple[int, str]]) -> tuple[Any, Any]:
    """Encoder states (n, longest, width) of (row of the image, prompt), and their attention mask (n, longest)."""
    import torch

    model = sight.student.model
    tokens = encode_prompts(sight.student, [prompt for _, prompt in asked])
    mask = tokens["attention_mask"].to(model.device)
    with torch.inference_mode():
        prompts = embed(model, tokens["input_ids"].to(model.device), sight.seen[[row for row, _ in asked]])
        states = model.get_encoder()(inputs_embeds=prompts, attention_mask=mask).last_hidden_state
    return states, mask


def answer(sight: Sight, task: Task, *, max_tokens: int) -> list[str]:
    """Greedy answers to a task without input, one an image, tokens of the target language included."""
    import torch
    from transformers.modeling_outputs import BaseModelOutput

    states, mask = understand(sight, [(row, write_prompt(task)) for row in range(len(sight.sizes_wh))])
    with torch.inference_mode():
        ids = sight.student.model.generate(
            encoder_outputs=BaseModelOutput(last_hidden_state=states),
            attention_mask=mask,
            max_new_tokens=max_tokens,
            num_beams=1,
            do_sample=False,
        )
    texts: list[str] = sight.student.processor.tokenizer.batch_decode(ids, skip_special_tokens=False)
    return texts
