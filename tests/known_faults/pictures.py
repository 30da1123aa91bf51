"""Small pictures for sources: coarse colours, each seed its own."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from PIL import Image

WH = (160, 120)


def picture(seed: int, wh: tuple[int, int] = WH) -> Image.Image:
    """Eight by six fields of colour that run into each other."""
    coarse = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize(wh, Image.Resampling.BICUBIC)


def as_bytes(image: Image.Image, format: str = "JPEG", **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format, **options)
    return buffer.getvalue()


def jpeg(seed: int, wh: tuple[int, int] = WH, **options: Any) -> bytes:
    return as_bytes(picture(seed, wh), "JPEG", **options)
