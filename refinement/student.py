"""The student: one native Florence-2, opened from a hub, from a folder, or made from nothing."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

from pydantic import Field

from fld_engine.engine.data.identity import Fields
from fld_engine.engine.data.images import RGB
from fld_engine.refinement.presets import preset
from fld_engine.refinement.scratch import make_scratch
from fld_engine.schemas.annotations import Frozen
from fld_engine.schemas.errors import ModelError

SCRATCH = "scratch"
IGNORED = -100
"""Label of a position that the loss passes over, in torch and transformers."""


class StudentConfig(Frozen):
    """Where a student starts. `base` is a hub id, a local folder, or `scratch`, which is made in size `preset`."""

    in_fingerprints: ClassVar[Fields] = Fields(always=("base", "preset", "revision", "seed", "max_target_tokens"))

    base: str = SCRATCH
    preset: Literal["tiny", "small", "medium", "base"] = "small"
    revision: str = ""
    """Of a hub id. Pin a commit: a branch moves, and with it what the same config means."""
    seed: int = 0
    max_target_tokens: int = Field(default=512, gt=0)


@dataclass(slots=True)
class Student:
    """A model and its processor, as transformers opens them."""

    model: Any
    processor: Any
    max_target_tokens: int = 512

    def save(self, folder: Path) -> None:
        """Write in the native format: `Florence2ForConditionalGeneration.from_pretrained(folder)` opens it."""
        words = self.processor.tokenizer.backend_tokenizer
        words.no_truncation()  # what a training last asked of it would be kept in the file
        words.no_padding()
        self.model.save_pretrained(folder)
        self.processor.save_pretrained(folder)


def open_student(config: StudentConfig, folder: Path, corpus: Iterable[str]) -> Student:
    """Open the base of a student. A scratch one is made in `folder` first, unless it stands there already.

    Raises `ModelError` where the base cannot be opened.
    """
    if config.base != SCRATCH:
        return load_student(config.base, config.revision, max_target_tokens=config.max_target_tokens)
    if not (folder / "processor_config.json").exists():  # written last
        make_scratch(folder, preset(config.preset), corpus, seed=config.seed)
    return load_student(str(folder), max_target_tokens=config.max_target_tokens)


def make_student(config: StudentConfig, corpus: Iterable[str]) -> Student:
    """A student from nothing, held in memory alone."""
    with tempfile.TemporaryDirectory(prefix="fld-scratch-") as folder:
        return open_student(config, Path(folder), corpus)


def load_student(base: str, revision: str = "", *, max_target_tokens: int = 512) -> Student:
    """Open a native Florence-2 by hub id or folder. Raises `ModelError` where it cannot be opened."""
    import transformers
    from transformers import Florence2ForConditionalGeneration, Florence2Processor

    transformers.utils.logging.disable_progress_bar()  # type: ignore[no-untyped-call]

    with _opening(base):
        model = Florence2ForConditionalGeneration.from_pretrained(base, revision=revision or "main")
        processor = Florence2Processor.from_pretrained(base, revision=revision or "main")
    return Student(model, processor, max_target_tokens)


def load_config(base: str, revision: str = "") -> tuple[Any, Any]:
    """Config and processor of a native Florence-2, without weights. Raises `ModelError` like `load_student`."""
    from transformers import Florence2Config, Florence2Processor

    with _opening(base):
        config = Florence2Config.from_pretrained(base, revision=revision or "main")
        return config, Florence2Processor.from_pretrained(base, revision=revision or "main")


@contextmanager
def _opening(base: str) -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError) as error:
        raise ModelError(
            f"student base {base!r} cannot be opened as a native Florence-2: {error}; give a hub id such as "
            f"florence-community/Florence-2-base, a folder that save_pretrained wrote, or {SCRATCH!r}"
        ) from error


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
    """What the decoder has heard before it says each label: the start token, then the labels but the last."""
    heard = labels.new_full(labels.shape, config.decoder_start_token_id)
    heard[:, 1:] = labels[:, :-1]
    return heard.masked_fill(heard == IGNORED, config.pad_token_id)
