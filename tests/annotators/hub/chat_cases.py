"""What the adapters of chat models are shown in tests, and what the library itself makes of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers

from fld_engine.annotators.common.prompts import Prompt
from fld_engine.engine.data.images import RGB
from fld_engine.engine.plan.protocols import Sample
from fld_engine.schemas.annotations import Annotations, Phrase, PhraseRegion
from tests.annotators.builders import line, text, thing
from tests.annotators.hub.checkpoints_chat import build_idefics3, build_llava

Build = Callable[[Path], Path]
BUILDERS: tuple[Build, ...] = (build_llava, build_idefics3)
BOXES = ((8.0, 10.0, 50.0, 60.0), (60.0, 50.0, 90.0, 75.0), (30.0, 5.0, 44.0, 30.0))
SIZES = ((100, 80), (60, 90), (120, 50), (40, 40), (100, 80), (75, 75))  # several tiles for Idefics3, or one


def scenes(num: int = 6) -> list[Sample]:
    """Pictures of different sizes and content, with facts that make prompts of different lengths."""
    random = np.random.default_rng(0)
    found = []
    for i in range(num):
        width, height = SIZES[i % len(SIZES)]
        pixels = random.integers(0, 256, (height // 10, width // 10, 3), dtype=np.uint8).repeat(10, 0).repeat(10, 1)
        found.append(Sample(id=f"i{i}", width=pixels.shape[1], height=pixels.shape[0], pixels=pixels, known=_known(i)))
    return found


def _known(i: int) -> Annotations:
    boxes = tuple(PhraseRegion(box_xyxy=box, score=0.9) for box in BOXES[: 1 + i % 3])
    return Annotations(
        texts=(text("A dog and a ball" + " on grass" * i + "."),),
        regions=(*(thing(name, box, 0.9, name) for name, box in zip(("dog", "ball", "cat"), BOXES, strict=True)),)
        + ((line("REX", (20, 15, 32, 19)),) if i % 2 else ()),
        phrases=(Phrase(id="p0", text_id="t", phrase="a dog", start=0, end=5, score=0.9, regions=boxes),),
    )


class Library:
    """Direct use of `transformers`, one prompt at a time: nothing is padded, nothing shares a pass."""

    def __init__(self, folder: Path) -> None:
        self.processor = transformers.AutoProcessor.from_pretrained(folder)
        self.model = transformers.AutoModelForImageTextToText.from_pretrained(folder).eval()

    def inputs(self, pixels: RGB, prompt: Prompt) -> Any:
        assert prompt.view is not None
        image = {"type": "image", "image": prompt.view.of(pixels)}
        turn = {"role": "user", "content": [image, {"type": "text", "text": prompt.text}]}
        return self.processor.apply_chat_template(
            [turn],
            add_generation_prompt=True,
            tokenize=True,
            return_dict=True,
            return_tensors="pt",
            processor_kwargs={"input_data_format": "channels_last"},  # else a view three pixels high is ambiguous
        )

    def write(self, pixels: RGB, prompt: Prompt, max_new_tokens: int, num_beams: int = 1) -> tuple[str, list[int]]:
        """The words, and the tokens without the end."""
        inputs = self.inputs(pixels, prompt)
        with torch.no_grad():
            output = self.model.generate(**inputs, do_sample=False, num_beams=num_beams, max_new_tokens=max_new_tokens)
        ids = output[0, inputs["input_ids"].shape[1] :].tolist()
        ids = ids[:-1] if ids[-1] == self.model.generation_config.eos_token_id else ids
        return self.processor.decode(ids, skip_special_tokens=True), ids

    def next_token(self, pixels: RGB, prompt: Prompt) -> torch.Tensor:
        """Probabilities of the first token of the answer."""
        with torch.no_grad():
            return self.model(**self.inputs(pixels, prompt)).logits[0, -1].softmax(-1)


class SmallDevice:
    """A model on a device without room for more than `most` prompts a pass."""

    def __init__(self, model: Any, most: int) -> None:
        self._model, self._most = model, most
        self.passes: list[int] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._model, name)

    def generate(self, **inputs: Any) -> Any:
        if len(inputs["input_ids"]) > self._most:
            raise torch.OutOfMemoryError("no room")
        self.passes.append(len(inputs["input_ids"]))
        return self._model.generate(**inputs)
