"""How much memory training takes of one worker, before anything is trained."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import accumulate
from operator import mul
from typing import Any

from fld_engine.refinement.student.model import load_config
from fld_engine.refinement.student.presets import preset
from fld_engine.refinement.student.scratch import florence2_config
from fld_engine.refinement.student.settings import SCRATCH, StudentConfig
from fld_engine.refinement.training.settings import TrainingConfig
from fld_engine.schemas.annotations import Frozen
from fld_engine.schemas.tokens import SPECIAL_TOKENS

MIB = 2**20
PROMPT_TOKENS = 32
"""Of a question, without the image: a region's is shorter, one that quotes a caption may be longer."""
LAYER_VALUES = 20
"""Values that the backward pass needs of a token and channel of a layer: 17 by the 34 bytes at two bytes each of
Korthikanti et al. 2022 (arXiv:2205.05198, equation 1), the 5as/h of unfused attention left out, and up to 3 for what
dropout and the convolutions of the vision tower keep. Counted on the presets: 17.2 to 20.0."""
DECODER_VALUES = 26
"""The same for a layer that also attends to the encoder, whose keys and values are 2 more of each encoder token.
Counted: 22.0 to 25.8."""
LOGIT_BYTES = 12
"""Logits, their log-softmax and their gradient, in float32."""


class TrainingMemory(Frozen):
    """Memory of a training worker in MiB, and the parameters of the student.

    In float32, weights and gradients are 4 bytes a parameter each, the two moments of AdamW 8 (Rajbhandari et al. 2020,
    arXiv:1910.02054, section 3.1); several workers exchange gradients through buckets of as many bytes again.
    Activations are those of the largest batch: every answer as long as `max_target_tokens`. What the libraries
    themselves take, half a GB, and decoded images are not in it.
    """

    parameters: int
    weights_mb: float
    gradients_mb: float
    optimiser_mb: float
    activations_mb: float

    @property
    def total_mb(self) -> float:
        return self.weights_mb + self.gradients_mb + self.optimiser_mb + self.activations_mb


@dataclass(frozen=True, slots=True)
class Shape:
    """A student on paper: its config in transformers, and the side of its images."""

    config: Any
    image_px: int


def shape_of(student: StudentConfig) -> Shape:
    """Shape of a student's base; of one from scratch with the largest vocabulary that its size allows.

    Raises `ModelError` where the base cannot be opened.
    """
    if student.base == SCRATCH:
        size = preset(student.preset)
        vocabulary = size.vocab_size + len(SPECIAL_TOKENS) + 1  # and <image>
        return Shape(florence2_config(size, vocab_size=vocabulary, image_token_id=vocabulary - 1), size.image_px)
    config, processor = load_config(student.base, student.revision)
    return Shape(config, processor.image_processor.size["height"])


def training_memory(student: StudentConfig, training: TrainingConfig, *, num_workers: int) -> TrainingMemory:
    """Memory of one of `num_workers` workers that train such a student.

    Raises `ModelError` where the base cannot be opened.
    """
    shape = shape_of(student)
    parameters = count_parameters(shape.config)
    images = math.ceil(math.ceil(training.batch_images / num_workers) / training.accumulate)
    values, logits = activations(shape, images, images * training.targets_per_image, student.max_target_tokens)
    return TrainingMemory(
        parameters=parameters,
        weights_mb=4 * parameters / MIB,
        gradients_mb=(8 if num_workers > 1 else 4) * parameters / MIB,
        optimiser_mb=8 * parameters / MIB,
        activations_mb=(values * (4 if training.precision == "float32" else 2) + LOGIT_BYTES * logits) / MIB,
    )


def count_parameters(config: Any) -> int:
    """Parameters of a Florence-2 of this config, those that are shared once. No memory is taken for them."""
    import torch
    from transformers import Florence2ForConditionalGeneration

    with torch.device("meta"):
        model = Florence2ForConditionalGeneration(config)
    return sum(parameter.numel() for parameter in model.parameters())


def activations(shape: Shape, num_images: int, num_samples: int, answer_tokens: int) -> tuple[int, int]:
    """Values that the backward pass needs of a batch, and its logits.

    A stage of the vision tower has two blocks a layer, one over places and one over channels.
    """
    vision, text = shape.config.vision_config, shape.config.text_config
    sides = [shape.image_px // stride for stride in accumulate(vision.patch_stride, mul)]
    seen = sum(2 * n * width * side**2 for n, width, side in zip(vision.depths, vision.embed_dim, sides, strict=True))
    encoder_tokens = num_samples * (sides[-1] ** 2 + 1 + PROMPT_TOKENS)
    answered = num_samples * answer_tokens
    layers = LAYER_VALUES * (num_images * seen + encoder_tokens * text.d_model * text.encoder_layers)
    decoder = (DECODER_VALUES * answered + 2 * encoder_tokens) * text.d_model * text.decoder_layers
    return layers + decoder, answered * text.vocab_size
