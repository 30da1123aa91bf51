"""The students of a round as an annotator: each detects on the images of its fold, and scores the labels there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from pydantic import Field

from fld_engine.engine.data.records import ModelIdentity
from fld_engine.engine.plan.protocols import Resources, Sample
from fld_engine.refinement.labels.folds import EVERY_FOLD, fold_of
from fld_engine.refinement.labels.image import LabelledImage, RegionLabel, TextLabel
from fld_engine.refinement.labels.judgement import Judgement
from fld_engine.refinement.student.judging import judge_all
from fld_engine.refinement.student.kept_student import open_kept
from fld_engine.refinement.student.model import Student
from fld_engine.schemas.annotations import Annotations, Check, Frozen, Region, RegionText, Text
from fld_engine.schemas.kinds import Kind


class StudentAnnotator:
    """One student a fold, each for the images that it has not been trained on; a single one is for all images.

    Writes what the student detects (regions with the support of their boxes as score, a brief text with the probability
    of its words) and a check of every label that it can be asked about: `placed` for the box of a region, `holds` for
    its name and for a text. The likeliest other name of a region is one more phrase of it, with its probability.
    """

    class Params(Frozen):
        """`folders` hold the students, fold by fold, and `weights` the sha256 of each. `names` are candidates."""

        runtime: ClassVar[frozenset[str]] = frozenset({"folders"})
        folders: tuple[str, ...] = Field(min_length=1)
        weights: tuple[str, ...] = Field(min_length=1)
        names: tuple[str, ...] = ()
        max_answer_tokens: int = Field(default=256, gt=0)

    version = 2
    requires: frozenset[Kind] = frozenset({"pixels"})
    optional: frozenset[Kind] = frozenset({"objects", "brief_texts", "detailed_texts"})
    produces: frozenset[Kind] = frozenset({"objects", "brief_texts", "checks", "region_categories"})
    resources = Resources(cpus=1, memory_mb=3000)
    batch_size = 8
    libraries: ClassVar[tuple[str, ...]] = ("torch", "torchvision", "transformers", "tokenizers")

    def __init__(self, params: Params) -> None:
        self.params = params
        self.model = ModelIdentity(id="student", revision=params.weights[0][:12], sha256=params.weights[0])
        self._students: list[Student] = []

    def load(self) -> None:
        import torch

        self._students = [open_kept(folder) for folder in self.params.folders]
        if not torch.cuda.is_available():
            torch.set_num_threads(1)
            return
        for student in self._students:
            student.model.to("cuda")

    def annotate(self, batch: Sequence[Sample]) -> Sequence[Annotations]:
        """Detections in the order of the answer, then checks of the labels that the sample comes with."""
        pixels = {sample.id: sample.pixels for sample in batch if sample.pixels is not None}
        judged: dict[str, Judgement] = {}
        for fold, student in enumerate(self._students):
            mine = [_labelled(sample) for sample in batch if self._fold(sample) in (fold, EVERY_FOLD)]
            judged |= judge_all(
                student,
                mine,
                lambda image_id: pixels[image_id],
                self.params.names,
                round_=0,
                batch_size=len(batch),
                max_tokens=self.params.max_answer_tokens,
            )
        return [annotations_of(judged[sample.id]) for sample in batch]

    def _fold(self, sample: Sample) -> int:
        if len(self._students) == 1:
            return EVERY_FOLD
        return fold_of(sample.twin_group, sample.seed, len(self._students))


def _labelled(sample: Sample) -> LabelledImage:
    known = sample.known
    regions = tuple(
        RegionLabel(region.id, region.box_xyxy, region.texts[0].text, region.score, region.score)
        for region in known.regions
        if region.kind == "object" and region.texts
    )
    texts = tuple(TextLabel(text.id, text.granularity, text.text, (), text.score) for text in known.texts)
    return LabelledImage(sample.id, sample.twin_group, (sample.width, sample.height), regions, texts)


def annotations_of(judgement: Judgement) -> Annotations:
    """The output for one image: scores of the labels as checks, detections and texts as annotations of the student."""
    checks = [Check(subject_id=r.id, question="placed", score=r.p) for r in judgement.old if r.place_asked]
    checks += [Check(subject_id=r.id, question="holds", score=r.p_label) for r in judgement.old if r.name_asked]
    checks += [Check(subject_id=t.id, question="holds", score=t.p) for t in judgement.old_texts if t.asked]
    return Annotations(
        texts=tuple(Text(granularity=t.granularity, text=t.text, score=t.p) for t in judgement.seen_texts),
        regions=tuple(_region(region) for region in judgement.seen),
        region_texts=tuple(
            RegionText(region_id=r.id, kind="phrase", text=r.runner_up, score=r.p_runner_up)
            for r in judgement.old
            if r.runner_up
        ),
        checks=tuple(checks),
    )


def _region(seen: RegionLabel) -> Region:
    texts = [RegionText(kind="phrase", text=seen.label, score=seen.p_label)]
    if seen.runner_up:
        texts.append(RegionText(kind="phrase", text=seen.runner_up, score=seen.p_runner_up))
    return Region(kind="object", box_xyxy=seen.box_xyxy, score=seen.p, texts=tuple(texts))
