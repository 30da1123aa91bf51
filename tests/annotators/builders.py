"""Short ways to build what annotators of texts are shown."""

from __future__ import annotations

from functools import cache

from fld_engine.annotators.packaged.nanodet import NanoDet
from fld_engine.engine.plan.protocols import Sample
from fld_engine.schemas.annotations import Annotations, Granularity, Label, Quad, Region, RegionText, Text
from tests.annotators.photographs import photograph, sample


@cache
def detections(name: str, min_score: float = 0.3) -> tuple[Region, ...]:
    """What NanoDet sees on a photograph, with ids as the engine would give them."""
    detector = NanoDet()
    detector.load()
    regions = detector.annotate([sample(photograph(name))])[0].regions
    kept = [region for region in regions if region.score >= min_score]
    return tuple(_with_ids(region, f"r{i}") for i, region in enumerate(kept))


def _with_ids(region: Region, identity: str) -> Region:
    texts = tuple(text.model_copy(update={"id": f"{identity}-{text.kind}"}) for text in region.texts)
    return region.model_copy(update={"id": identity, "texts": texts})


def seen(name: str, known: Annotations) -> Sample:
    """A photograph and what is known of it."""
    pixels = photograph(name)
    return Sample(id=name, width=pixels.shape[1], height=pixels.shape[0], pixels=pixels, known=known)


def blank(known: Annotations, identity: str = "image", seed: int = 0) -> Sample:
    """An image of 100 × 100 px without pixels: boxes read as percentages."""
    return Sample(id=identity, width=100, height=100, known=known, seed=seed)


def thing(phrase: str, box: tuple[float, float, float, float], score: float = 0.8, identity: str = "") -> Region:
    text = RegionText(id=f"{identity}-phrase", kind="phrase", text=phrase, score=score)
    return Region(id=identity or f"{phrase} {box}", kind="object", box_xyxy=box, score=score, texts=(text,))


def line(read: str, box: tuple[float, float, float, float], score: float = 0.9) -> Region:
    x1, y1, x2, y2 = box
    quad: Quad = (x1, y1, x2, y1, x2, y2, x1, y2)
    text = RegionText(kind="ocr", text=read, score=score)
    return Region(id=f"line {read}", kind="text", box_xyxy=box, quad=quad, score=score, texts=(text,))


def label(name: str, score: float) -> Label:
    return Label(label=name, score=score)


def text(words: str, identity: str = "t", granularity: Granularity = "brief", composed: bool = False) -> Text:
    return Text(id=identity, granularity=granularity, text=words, score=1.0, composed=composed)
