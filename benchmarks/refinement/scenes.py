"""Scenes whose every label is known exactly, because they were drawn; here, plain shapes on a plain ground."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from PIL import Image, ImageDraw

from fld_engine.engine.data.geometry import pairwise_iou
from fld_engine.engine.data.images import RGB

Box = tuple[float, float, float, float]

COLOURS = {
    "circle": (214, 39, 40),
    "square": (44, 160, 44),
    "triangle": (31, 88, 200),
    "diamond": (240, 205, 30),
    "bar": (148, 60, 180),
    "disc": (30, 200, 210),
}
"""Form and colour go together: a class can be told by either, which a small student learns soonest."""
LABELS = tuple(COLOURS)
SUPERSAMPLE = 4
"""Shapes are drawn this much larger and scaled down, so that their edges lie between pixels."""
MAX_OVERLAP = 0.05
"""IoU of two shapes of a scene; more hides what the labels say."""
SIZES = (0.25, 0.5)
"""Sides of a shape, in shares of the image."""


@dataclass(frozen=True, slots=True)
class Thing:
    """One object of a scene: `label` in words, where it is in pixels, its outline `[x1 y1 x2 y2 …]`."""

    label: str
    box_xyxy: Box
    polygon: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Scene:
    """An image and the whole truth about it; things in raster order, caption in the same order."""

    pixels: RGB
    things: tuple[Thing, ...]
    caption: str


class World(Protocol):
    """Where scenes come from: the names of all classes, and scenes drawn from a generator.

    `sizes` are the least and the greatest side of a thing, in shares of the image.
    """

    image_px: int
    names: tuple[str, ...]
    sizes: tuple[float, float]

    def draw(self, rng: np.random.Generator, num_things: int) -> Scene:
        """A square scene of up to `num_things` things: fewer where no room is left."""
        ...


@dataclass(frozen=True, slots=True)
class PlainWorld:
    """Plain shapes: six classes that a small student tells apart within a minute."""

    image_px: int
    names: tuple[str, ...] = LABELS
    sizes: tuple[float, float] = SIZES

    def draw(self, rng: np.random.Generator, num_things: int) -> Scene:
        image_px = self.image_px
        canvas = image_px * SUPERSAMPLE
        image = Image.new("RGB", (canvas, canvas), (int(rng.integers(100, 200)),) * 3)
        boxes: list[Box] = []
        things = []
        for _ in range(num_things):
            box = _free_place(rng, boxes, image_px, self.sizes)
            if box is None:
                continue
            boxes.append(box)
            label = LABELS[rng.integers(len(LABELS))]
            things.append(Thing(label, box, _draw(ImageDraw.Draw(image), label, box, rng)))
        noise = rng.normal(0.0, 6.0, size=(image_px, image_px, 3))
        small = np.asarray(image.resize((image_px, image_px), Image.Resampling.BOX), dtype=np.float64)
        things.sort(key=lambda thing: (thing.box_xyxy[1], thing.box_xyxy[0]))
        return Scene(
            np.clip(small + noise, 0, 255).astype(np.uint8), tuple(things), caption_of([t.label for t in things])
        )


def caption_of(labels: Sequence[str]) -> str:
    """One sentence that names everything in order: "A circle, a square and a bar."."""
    named = [f"a {label}" for label in labels]
    words = " and ".join([", ".join(named[:-1]), named[-1]]) if len(named) > 1 else "".join(named)
    return f"{words[:1].upper()}{words[1:]}."


def _free_place(
    rng: np.random.Generator, taken: Sequence[Box], image_px: int, sizes: tuple[float, float]
) -> Box | None:
    for _ in range(30):
        side = rng.uniform(*sizes) * image_px
        width, height = side, side * rng.uniform(0.8, 1.25)
        x1, y1 = rng.uniform(0, image_px - width), rng.uniform(0, max(image_px - height, 1e-6))
        box = (round(x1, 2), round(y1, 2), round(min(x1 + width, image_px), 2), round(min(y1 + height, image_px), 2))
        if not taken or pairwise_iou(np.array([box]), np.array(taken)).max() <= MAX_OVERLAP:
            return box
    return None


def _draw(draw: ImageDraw.ImageDraw, label: str, box: Box, rng: np.random.Generator) -> tuple[float, ...]:
    fill = tuple(int(np.clip(v + rng.integers(-18, 19), 0, 255)) for v in COLOURS[label])
    outline = _outline(label, box)
    draw.polygon([(x * SUPERSAMPLE, y * SUPERSAMPLE) for x, y in outline], fill=fill)
    return tuple(round(v, 2) for point in outline for v in point)


def _outline(label: str, box: Box) -> list[tuple[float, float]]:
    """Corners clockwise from the top; their bounds are the box."""
    x1, y1, x2, y2 = box
    cx, cy, rx, ry = (x1 + x2) / 2, (y1 + y2) / 2, (x2 - x1) / 2, (y2 - y1) / 2
    if label in ("square", "bar"):
        return [(x1, y1), (x2, y1), (x2, y2), (x1, y2)]
    if label == "triangle":
        return [(cx, y1), (x2, y2), (x1, y2)]
    if label == "diamond":
        return [(cx, y1), (x2, cy), (cx, y2), (x1, cy)]
    angles = np.linspace(0, 2 * np.pi, 32, endpoint=False)  # 4 divides 32: the four extremes are corners
    return [(float(cx + rx * np.sin(a)), float(cy - ry * np.cos(a))) for a in angles]
