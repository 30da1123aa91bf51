"""Sizes of a Florence-2 that is made from nothing."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Literal

from fld_engine.schemas.errors import ConfigError, unknown_name

PresetName = Literal["tiny", "small", "medium", "base"]


@dataclass(frozen=True, slots=True)
class Preset:
    """The numbers that make a size; everything else follows from them.

    `stage_widths`, `stage_depths` and `stage_strides` are those of the four stages of the vision tower, whose heads
    are `head_width` channels wide; `text_width`, `text_layers` (encoder and decoder each) and `text_heads` are those
    of the language model. Images are squares of `image_px` pixels.
    """

    image_px: int
    stage_widths: tuple[int, int, int, int]
    stage_depths: tuple[int, int, int, int]
    stage_strides: tuple[int, int, int, int]
    window: int
    head_width: int
    text_width: int
    text_layers: int
    text_heads: int
    vocab_size: int
    max_positions: int
    dropout: float

    @property
    def grid(self) -> int:
        """Cells of the image on one side, as the language model sees it."""
        return self.image_px // prod(self.stage_strides)

    @property
    def num_image_tokens(self) -> int:
        """One token a cell and one for the whole image."""
        return self.grid**2 + 1


PRESETS: dict[PresetName, Preset] = {
    "tiny": Preset(
        image_px=32,
        stage_widths=(8, 16, 16, 32),
        stage_depths=(1, 1, 1, 1),
        stage_strides=(4, 2, 1, 1),
        window=4,
        head_width=8,
        text_width=32,
        text_layers=1,
        text_heads=2,
        vocab_size=400,
        max_positions=256,
        dropout=0.0,
    ),
    "small": Preset(
        image_px=48,
        stage_widths=(24, 32, 48, 64),
        stage_depths=(1, 1, 1, 1),
        stage_strides=(4, 2, 1, 1),
        window=6,
        head_width=8,
        text_width=96,
        text_layers=2,
        text_heads=4,
        vocab_size=600,
        max_positions=512,
        dropout=0.0,
    ),
    "medium": Preset(
        image_px=96,
        stage_widths=(48, 96, 192, 256),
        stage_depths=(1, 1, 2, 1),
        stage_strides=(4, 2, 1, 1),
        window=12,
        head_width=16,
        text_width=256,
        text_layers=3,
        text_heads=8,
        vocab_size=4000,
        max_positions=1024,
        dropout=0.1,
    ),
    "base": Preset(  # the published Florence-2-base: arXiv 2311.06242, Table 14
        image_px=768,
        stage_widths=(128, 256, 512, 1024),
        stage_depths=(1, 1, 9, 1),
        stage_strides=(4, 2, 2, 2),
        window=12,
        head_width=32,
        text_width=768,
        text_layers=6,
        text_heads=12,
        vocab_size=50265,
        max_positions=4096,
        dropout=0.1,
    ),
}
"""`tiny` is for tests, `small` learns simple scenes on a CPU within minutes, `medium` wants hours or a GPU."""


def preset(name: str) -> Preset:
    """The size of that name. Raises `ConfigError` for one that does not exist."""
    for known, size in PRESETS.items():
        if known == name:
            return size
    raise ConfigError(unknown_name("student size", name, PRESETS))
