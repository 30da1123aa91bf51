"""Labels of a scene as a training set: what an export of them would teach a student."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from fld_engine.engine.data.images import RGB
from fld_engine.engine.plan.export_settings import MAX_TARGET_TOKENS
from fld_engine.engine.stages.export.targets import write_targets
from fld_engine.refinement.labels.image import Images, LabelledImage
from fld_engine.refinement.training.examples import TrainingImage
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


def targets_of(image: LabelledImage) -> TrainingImage:
    """What a student is taught about an image: exactly what an export of these labels would teach."""
    return TrainingImage(image.id, len(image.regions), write_targets(sample_of(image), MAX_TARGET_TOKENS).targets)


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
