"""The labels that a round works on: images with their regions and texts, and the gold that judges them."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np

from fld_engine.engine.data.images import RGB
from fld_engine.engine.plan.config import MAX_TARGET_TOKENS
from fld_engine.engine.stages.export.targets import write_targets
from fld_engine.refinement.attached import NO_BOXES
from fld_engine.refinement.examples import TrainingImage
from fld_engine.refinement.merge_regions import RegionLabel
from fld_engine.refinement.merge_texts import TextLabel
from fld_engine.refinement.metrics_boxes import Boxes, Grounded
from fld_engine.schemas.annotations import Polygon
from fld_engine.schemas.sample import (
    NOT_MEASURED,
    SAMPLE_VERSION,
    ImageEntry,
    RegionEntry,
    RegionTextEntry,
    Sample,
    SourceEntry,
    StatusEntry,
    TextEntry,
)

GoldSplit = Literal["", "calibrate", "gate", "final"]
GOLD_SPLITS: tuple[GoldSplit, ...] = ("calibrate", "gate", "final")


@dataclass(frozen=True, slots=True)
class LabelledImage:
    """One image and what is said about it. `gold_split` is empty where no person has labelled it as reference."""

    id: str
    twin_group: str
    image_wh: tuple[int, int]
    regions: tuple[RegionLabel, ...] = ()
    texts: tuple[TextLabel, ...] = ()
    gold_split: GoldSplit = ""


@dataclass(frozen=True, slots=True)
class Gold:
    """What people said about a gold image: the reference, never trained on, merged or filtered.

    What is empty was not said, and judges nothing: a gold image with captions alone does not say that it shows no
    object. `masks` stand in the order of `regions`, empty for those without, or there are none at all; `read` is scene
    text with its boxes; `phrases` are those of texts.
    """

    regions: Boxes
    texts: tuple[str, ...] = ()
    masks: tuple[tuple[Polygon, ...], ...] = ()
    read: Boxes = NO_BOXES
    phrases: tuple[Grounded, ...] = ()

    @property
    def says_attached(self) -> bool:
        """Whether anything was said that hangs on labels rather than being one that a round edits."""
        return bool(any(self.masks) or self.read.labels or self.phrases)

    def without_attached(self) -> Gold:
        return Gold(self.regions, self.texts)


class Images(Protocol):
    """Pixels by image id."""

    def __call__(self, image_id: str) -> RGB: ...


def gold_split_of(twin_group: str, seed: int) -> GoldSplit:
    """The split of a gold image, a third each, by twin group: near-twins never judge on both sides."""
    digest = hashlib.sha256(f"gold:{seed}:{twin_group}".encode()).digest()
    return GOLD_SPLITS[int.from_bytes(digest[:8]) % len(GOLD_SPLITS)]


def boxes_of(regions: Sequence[RegionLabel]) -> Boxes:
    """Labels as the metrics take them."""
    xyxy = np.array([region.box_xyxy for region in regions], dtype=np.float64).reshape(-1, 4)
    return Boxes(xyxy, [region.label for region in regions], np.array([region.p for region in regions]))


def targets_of(image: LabelledImage) -> TrainingImage:
    """What a student is taught about an image: exactly what an export of these labels would teach."""
    return TrainingImage(image.id, len(image.regions), write_targets(sample_of(image), MAX_TARGET_TOKENS))


def sample_of(image: LabelledImage) -> Sample:
    """The labels as a sample of the export, as far as targets need it."""
    width, height = image.image_wh
    source = SourceEntry(annotator="refinement", model="", revision="", round=0)
    regions = tuple(
        RegionEntry(
            id=region.id, kind="object", box=region.box_xyxy, quad=(), mask=(), score=region.p, source=source,
            texts=(
                RegionTextEntry(
                    id=f"{region.id}/name", kind="phrase", text=region.label, similarity=NOT_MEASURED, chosen=True,
                    source=source,
                ),
            ),
        )
        for region in image.regions
    )  # fmt: skip
    texts = tuple(
        TextEntry(id=text.id, granularity=text.granularity, text=text.text, score=text.p, source=source)
        for text in image.texts
    )
    return Sample(
        schema_=SAMPLE_VERSION,
        id=image.id,
        image=ImageEntry(
            width=width, height=height, sha256="", original_sha256="", reencoded=False, source="", uri="", licence="",
            split="",
        ),
        status=StatusEntry(texts="done", regions="done", groundings="not_run"),
        texts=texts, regions=regions, groundings=(), targets=(),
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class LabelledSet:
    """Labelled images as a training set."""

    images: Sequence[TrainingImage]
    read: Images

    def pixels(self, index: int) -> RGB:
        return self.read(self.images[index].id)


def training_set(images: Sequence[LabelledImage], read: Images) -> LabelledSet:
    """What may be trained on: everything that is not gold."""
    return LabelledSet([targets_of(image) for image in images if not image.gold_split], read)
