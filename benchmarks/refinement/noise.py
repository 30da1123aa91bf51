"""Errors put into true labels at known rates, and a ledger of which label suffered what."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from benchmarks.refinement.labels import ImageLabels, Named
from benchmarks.refinement.scenes import Box, World, caption_of
from fld_engine.engine.data.geometry import pairwise_iou

Kind = Literal["missed", "jittered", "swapped", "spurious", "wrong_words"]
KINDS: tuple[Kind, ...] = ("missed", "jittered", "swapped", "spurious", "wrong_words")


@dataclass(frozen=True, slots=True)
class NoiseRates:
    """Shares of labels that each error befalls: of regions, of regions again for `spurious`, of captions.

    A region suffers one error at most.
    """

    missed: float = 0.10
    jittered: float = 0.10
    swapped: float = 0.15
    spurious: float = 0.10
    wrong_words: float = 0.15


@dataclass(frozen=True, slots=True)
class Injected:
    """One error. `label_id` is the label it befell; `true` is what should stand there, None for a spurious one."""

    image: int
    kind: Kind
    label_id: str
    true: Named | None


@dataclass(frozen=True, slots=True)
class NoisyLabels:
    """Labels with errors, one an image, and the truth about the errors."""

    labels: tuple[ImageLabels, ...]
    injected: tuple[Injected, ...]


def inject(truth: Sequence[ImageLabels], rates: NoiseRates, world: World, *, seed: int) -> NoisyLabels:
    """Spoil true labels of scenes. Every image has its own generator: more images change nothing before them."""
    noisy: list[ImageLabels] = []
    injected: list[Injected] = []
    for image, labels in enumerate(truth):
        rng = np.random.default_rng([seed, image])
        spoiled, errors = _spoil_image(rng, image, labels, rates, world)
        noisy.append(spoiled)
        injected.extend(errors)
    return NoisyLabels(tuple(noisy), tuple(injected))


def _spoil_image(
    rng: np.random.Generator, image: int, labels: ImageLabels, rates: NoiseRates, world: World
) -> tuple[ImageLabels, list[Injected]]:
    regions: list[Named] = []
    errors: list[Injected] = []
    for region in labels.regions:
        kind = _draw_kind(rng, rates)
        spoiled = _spoil_region(rng, region, kind, world)
        if kind:
            errors.append(Injected(image, kind, region.id, region))
        if spoiled:
            regions.append(spoiled)
    for i in range(rng.binomial(len(labels.regions), rates.spurious)):
        box = _empty_place(rng, [region.box_xyxy for region in labels.regions], world)
        if box:
            invented = Named(f"{image}/spurious {i}", str(rng.choice(world.names)), box)
            regions.append(invented)
            errors.append(Injected(image, "spurious", invented.id, None))
    caption = labels.caption
    if rng.random() < rates.wrong_words and labels.regions:
        said = [region.label for region in labels.regions]
        place = int(rng.integers(len(said)))
        said[place] = _other(rng, said[place], world.names)
        caption = caption_of(said)
        errors.append(Injected(image, "wrong_words", "caption", None))
    return ImageLabels(tuple(regions), caption), errors


def _draw_kind(rng: np.random.Generator, rates: NoiseRates) -> Kind | None:
    place = float(rng.random())
    for kind, rate in (("missed", rates.missed), ("jittered", rates.jittered), ("swapped", rates.swapped)):
        if place < rate:
            return kind  # type: ignore[return-value]
        place -= rate
    return None


def _spoil_region(rng: np.random.Generator, region: Named, kind: Kind | None, world: World) -> Named | None:
    if kind == "missed":
        return None
    if kind == "jittered":
        return replace(region, box_xyxy=_jitter(rng, region.box_xyxy, world.image_px))
    if kind == "swapped":
        return replace(region, label=_other(rng, region.label, world.names))
    return region


def _jitter(rng: np.random.Generator, box: Box, image_px: int) -> Box:
    """A box of IoU 0.3 to 0.5 with the true one: on the thing, and wrong by the usual measure."""
    x1, y1, x2, y2 = box
    best, distance = box, 1.0
    for _ in range(200):
        dx, dy = rng.uniform(-0.6, 0.6, size=2) * (x2 - x1, y2 - y1)
        scale = rng.uniform(0.8, 1.25, size=2) * (x2 - x1, y2 - y1) / 2
        cx, cy = (x1 + x2) / 2 + dx, (y1 + y2) / 2 + dy
        corners = np.clip([cx - scale[0], cy - scale[1], cx + scale[0], cy + scale[1]], 0, image_px)
        moved: Box = tuple(round(float(v), 2) for v in corners)  # type: ignore[assignment]
        if moved[2] - moved[0] < 2 or moved[3] - moved[1] < 2:
            continue
        iou = float(pairwise_iou(np.array([moved]), np.array([box]))[0, 0])
        if abs(iou - 0.4) < distance:
            best, distance = moved, abs(iou - 0.4)
        if distance < 0.1:
            break
    return best


def _empty_place(rng: np.random.Generator, taken: Sequence[Box], world: World) -> Box | None:
    """A box that overlaps no true thing by an IoU of more than 0.1."""
    for _ in range(50):
        side = rng.uniform(*world.sizes) * world.image_px
        x1, y1 = rng.uniform(0, world.image_px - side, size=2)
        box = (round(float(x1), 2), round(float(y1), 2), round(float(x1 + side), 2), round(float(y1 + side), 2))
        if not taken or pairwise_iou(np.array([box]), np.array(taken)).max() <= 0.1:
            return box
    return None


def _other(rng: np.random.Generator, name: str, names: Sequence[str]) -> str:
    return str(rng.choice([other for other in names if other != name]))
