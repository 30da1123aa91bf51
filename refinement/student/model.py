"""The student: one native Florence-2, opened from a hub, from a folder, or made from nothing."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fld_engine.refinement.student.presets import preset
from fld_engine.refinement.student.scratch import make_scratch
from fld_engine.refinement.student.settings import SCRATCH, StudentConfig
from fld_engine.schemas.errors import ModelError


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
