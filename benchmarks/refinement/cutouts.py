"""Photographed cut-outs on photographs: real imagery whose caption, boxes and masks are known exactly.

The cut-outs are those of Debian's `tuxpaint-stamps-default`, photographs with an alpha matte; the grounds are the
photographs of installed packages. Both are read where they are installed and nothing of them is stored.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image, ImageEnhance

from benchmarks.refinement.scenes import Box, Scene, Thing, caption_of
from fld_engine.engine.data.geometry import pairwise_iou
from fld_engine.engine.data.images import RGB

STAMPS = Path("/usr/share/tuxpaint/stamps")
CLASSES = {"fruit": "food/fruit", "flower": "plants/flowers", "animal": "animals", "coin": "symbols/money"}
"""Name of a class → folder of the package: those that 48 pixels tell apart, with photographs for two halves."""

MIN_COLOURS = 800
"""Drawings have a few flat colours, photographs thousands: what has fewer than this is left out."""
SOLID = 0.5
"""Coverage from which a pixel belongs to a thing."""
MIN_VISIBLE = 0.6
"""Share of a thing that must remain in sight; a thing that a later one hides further is not put there."""
SIZES = (0.4, 0.75)
"""Longer side of a thing, in shares of the image."""
LIGHT = (0.7, 1.3)
"""Factors on the light of a thing, and on each colour of the light of a ground."""

Half = Literal["base", "benchmark"]
Alpha = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Cutout:
    """A photographed thing."""

    label: str
    path: Path


class CutoutWorld:
    """Scenes of one half of the cut-outs and grounds: base and benchmark share no picture.

    `split` chooses among 32 ways to halve the cut-outs. Raises `FileNotFoundError` where a half has no picture of a
    class, or no ground.
    """

    sizes = SIZES

    def __init__(
        self,
        half: Half,
        image_px: int,
        *,
        stamps: Path = STAMPS,
        grounds: Sequence[Path] | None = None,
        split: int = 0,
    ) -> None:
        self.image_px, self._half = image_px, half
        cutouts = [cutout for cutout in find_cutouts(stamps) if _half_of(cutout.path.name, split) == half]
        self._by_label = {name: [c for c in cutouts if c.label == name] for name in CLASSES}
        places = sorted(grounds if grounds is not None else find_grounds())
        self._grounds = places[0 if half == "base" else 1 :: 2]
        missing = [name for name, found in self._by_label.items() if not found]
        if missing or not self._grounds:
            raise FileNotFoundError(
                f"no photographed cut-outs of {', '.join(missing) or 'any class'} under {stamps}, or no grounds "
                f"({len(self._grounds)}): apt-get install tuxpaint-stamps-default, or give --stamps and --grounds"
            )
        self.names = tuple(self._by_label)

    def __repr__(self) -> str:
        """All that its scenes depend on, files by name."""
        cutouts = {name: [cutout.path.name for cutout in found] for name, found in self._by_label.items()}
        grounds = [path.name for path in self._grounds]
        return f"CutoutWorld({self._half!r}, {self.image_px}, {SIZES}, {LIGHT}, {cutouts}, {grounds})"

    def draw(self, rng: np.random.Generator, num_things: int) -> Scene:
        """A square scene of up to `num_things` cut-outs, with light, scale, rotation and some occlusion."""
        canvas = self._ground(rng)
        placed: list[tuple[str, Alpha]] = []
        for _ in range(num_things):
            label = self.names[rng.integers(len(self.names))]
            cutout = self._by_label[label][rng.integers(len(self._by_label[label]))]
            _paste(rng, canvas, placed, cutout)
        things = [Thing(label, _bounds(alpha), _outline(alpha)) for label, alpha in placed]
        things.sort(key=lambda thing: (thing.box_xyxy[1], thing.box_xyxy[0]))
        pixels: RGB = np.clip(np.round(canvas), 0, 255).astype(np.uint8)
        return Scene(pixels, tuple(things), caption_of([thing.label for thing in things]))

    def _ground(self, rng: np.random.Generator) -> Alpha:
        photo = _photo(self._grounds[rng.integers(len(self._grounds))])
        side = int(min(photo.size) * rng.uniform(0.4, 1.0))
        left, top = (int(rng.integers(extent - side + 1)) for extent in photo.size)
        crop = photo.crop((left, top, left + side, top + side)).resize((self.image_px, self.image_px))
        turned = np.rot90(np.asarray(crop, dtype=np.float64), k=int(rng.integers(4)))
        return np.ascontiguousarray(turned[:, :: rng.choice([-1, 1])] * rng.uniform(*LIGHT, size=3))


def find_cutouts(stamps: Path) -> list[Cutout]:
    """Photographed cut-outs of the known classes, by path; cartoons and drawings are left out."""
    found = []
    for label, folder in CLASSES.items():
        for path in sorted((stamps / folder).rglob("*.png")):
            if "cartoon" not in path.parts and _is_photograph(path):
                found.append(Cutout(label, path))
    return found


def find_grounds() -> list[Path]:
    """Photographs that the Python packages carry: scikit-image's and scikit-learn's."""
    skimage = Path(str(resources.files("skimage"))) / "data"
    sklearn = Path(str(resources.files("sklearn"))) / "datasets" / "images"
    names = (
        "astronaut.png", "brick.png", "camera.png", "chelsea.png", "clock_motion.png", "coffee.png", "grass.png",
        "gravel.png", "hubble_deep_field.jpg", "ihc.png", "motorcycle_left.png", "retina.jpg", "rocket.jpg",
    )  # fmt: skip
    return [path for path in (*(skimage / name for name in names), *sorted(sklearn.glob("*.jpg"))) if path.exists()]


def _half_of(name: str, split: int) -> Half:
    digest = hashlib.sha256(name.encode()).digest()
    return "base" if digest[split % len(digest)] % 2 else "benchmark"


@lru_cache(1024)
def _is_photograph(path: Path) -> bool:
    with Image.open(path) as image:
        if "A" not in image.getbands() or min(image.size) < 40:
            return False
        pixels = np.asarray(image.convert("RGBA")).reshape(-1, 4)
    solid = pixels[pixels[:, 3] > 127, :3]
    return len(np.unique(solid, axis=0)) >= MIN_COLOURS


@lru_cache(64)
def _photo(path: Path) -> Image.Image:
    return Image.open(path).convert("RGB")


@lru_cache(1024)
def _cutout(path: Path, max_px: int) -> Image.Image:
    """A cut-out without the empty margin round it, no larger than `max_px`: turning large ones takes the time."""
    picture = Image.open(path).convert("RGBA")
    picture = picture.crop(picture.getchannel("A").getbbox())
    picture.thumbnail((max_px, max_px), Image.Resampling.LANCZOS)
    return picture


def _paste(rng: np.random.Generator, canvas: Alpha, placed: list[tuple[str, Alpha]], cutout: Cutout) -> None:
    """Put a cut-out on the canvas where it hides nothing too far; where there is no such place, nothing happens."""
    size = len(canvas)
    picture = _posed(rng, cutout, size)
    for _ in range(20):
        left, top = (int(rng.integers(max(size - extent, 0) + 1)) for extent in picture.size)
        layer = Image.new("RGBA", (size, size))
        layer.paste(picture, (left, top))
        pixels = np.asarray(layer, dtype=np.float64)
        alpha: Alpha = pixels[:, :, 3] / 255
        hidden = [(label, np.minimum(old, 1 - alpha)) for label, old in placed]
        apart = all(_iou(old, alpha) < 0.3 for _, old in placed)
        if (
            (alpha >= SOLID).sum() >= 12
            and apart
            and all(_visible(o, n) for (_, o), (_, n) in zip(placed, hidden, strict=True))
        ):
            canvas[:] = canvas * (1 - alpha[:, :, None]) + pixels[:, :, :3] * alpha[:, :, None]
            placed[:] = [*hidden, (cutout.label, alpha)]
            return


def _posed(rng: np.random.Generator, cutout: Cutout, size: int) -> Image.Image:
    picture = _cutout(cutout.path, 2 * size)
    picture = picture.rotate(float(rng.uniform(-25, 25)), expand=True, resample=Image.Resampling.BICUBIC)
    if rng.random() < 0.5:
        picture = picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    picture = picture.crop(picture.getchannel("A").getbbox())
    scale = float(rng.uniform(*SIZES)) * size / max(picture.size)
    wh = tuple(max(2, round(extent * scale)) for extent in picture.size)
    small = picture.resize((wh[0], wh[1]), Image.Resampling.LANCZOS)
    return ImageEnhance.Brightness(small).enhance(float(rng.uniform(*LIGHT)))


def _visible(before: Alpha, after: Alpha) -> bool:
    return bool((after >= SOLID).sum() >= MIN_VISIBLE * (before >= SOLID).sum())


def _bounds(alpha: Alpha) -> Box:
    """Box of the pixels that are in sight, edges between pixels."""
    rows, columns = np.nonzero(alpha >= SOLID)
    return float(columns.min()), float(rows.min()), float(columns.max() + 1), float(rows.max() + 1)


def _iou(a: Alpha, b: Alpha) -> float:
    if not (b >= SOLID).any() or not (a >= SOLID).any():
        return 0.0
    return float(pairwise_iou(np.array([_bounds(a)]), np.array([_bounds(b)]))[0, 0])


def _outline(alpha: Alpha) -> tuple[float, ...]:
    """The longest contour of the pixels in sight, as a polygon."""
    contours, _ = cv2.findContours((alpha >= SOLID).astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    longest = max(contours, key=cv2.contourArea)
    return tuple(float(v) for v in longest.reshape(-1))
