"""What is said about memory before a training, against a real student on a real batch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from fld_engine.refinement.student.presets import PRESETS, PresetName
from fld_engine.refinement.student.scratch import florence2_config
from fld_engine.refinement.student.settings import StudentConfig
from fld_engine.refinement.training.memory import (
    MIB,
    PROMPT_TOKENS,
    Shape,
    activations,
    count_parameters,
    shape_of,
    training_memory,
)
from fld_engine.refinement.training.settings import TrainingConfig
from fld_engine.refinement.training.step import TeacherForcing
from fld_engine.schemas.errors import ModelError
from tests.refinement import tiny

NUM_IMAGES, PER_IMAGE, ANSWER = 2, 2, 30


@pytest.mark.parametrize("name", ["tiny", "small"])
def test_activations_are_those_that_autograd_keeps(name: PresetName) -> None:
    """A fifth too much or too little; the exact number depends on the versions of the libraries."""
    from transformers import Florence2ForConditionalGeneration

    size = PRESETS[name]
    config = florence2_config(size, vocab_size=1500, image_token_id=1499)
    model = Florence2ForConditionalGeneration(config).train()
    kept = _kept_bytes(model, size.image_px, size.num_image_tokens)
    values, logits = activations(Shape(config, size.image_px), NUM_IMAGES, NUM_IMAGES * PER_IMAGE, ANSWER)
    assert 4 * (values + logits) == pytest.approx(kept, rel=0.2)


def _kept_bytes(model: Any, image_px: int, num_image_tokens: int) -> int:
    """Bytes of all that the forward pass of a batch keeps for the backward one, parameters left out."""
    num_samples = NUM_IMAGES * PER_IMAGE
    ids = torch.full((num_samples, num_image_tokens + PROMPT_TOKENS), 5)
    ids[:, :num_image_tokens] = model.config.image_token_id
    inputs = {
        "input_ids": ids,
        "attention_mask": torch.ones_like(ids),
        "pixel_values": torch.zeros(NUM_IMAGES, 3, image_px, image_px),
        "image_rows": torch.arange(num_samples) // PER_IMAGE,
    }
    storages: dict[int, Any] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        storages[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        TeacherForcing(model)(inputs, torch.full((num_samples, ANSWER), 5))
    for parameter in model.parameters():
        storages.pop(parameter.untyped_storage().data_ptr(), None)
    return sum(storage.nbytes() for storage in storages.values())


def test_parameters_of_a_folder_are_those_of_its_model(tmp_path: Path) -> None:
    model = tiny.student(tmp_path).model
    shape = shape_of(StudentConfig(base=str(tmp_path)))
    assert count_parameters(shape.config) == sum(parameter.numel() for parameter in model.parameters())
    assert shape.image_px == PRESETS["tiny"].image_px


def test_more_workers_and_parts_need_less_for_their_share() -> None:
    """Sixteen bytes a parameter in one worker, twenty in each of several; activations follow the images at once."""
    student, training = StudentConfig(preset="tiny"), TrainingConfig()
    alone = training_memory(student, training, num_workers=1)
    shared = training_memory(student, training.model_copy(update={"accumulate": 2}), num_workers=2)
    fixed = alone.total_mb - alone.activations_mb
    assert fixed == pytest.approx(16 * alone.parameters / MIB)
    assert shared.total_mb - shared.activations_mb == pytest.approx(20 * alone.parameters / MIB)
    assert shared.activations_mb == pytest.approx(alone.activations_mb / 4)


def test_a_base_that_is_not_here_is_an_error_that_names_it(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="save_pretrained"):
        shape_of(StudentConfig(base=str(tmp_path)))
