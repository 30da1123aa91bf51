"""A round over partitions: gold decides once for all, then every partition is edited on its own.

No more than the gold images and one partition are in memory.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from engine.export.facts import RoundFacts
from refinement.attached import Attached
from refinement.calibration import Calibration
from refinement.dataset import Gold, LabelledImage, boxes_of
from refinement.drift import Portrait, portrait
from refinement.gate import GateDecision
from refinement.judging import Judgement
from refinement.ledger import Edit
from refinement.measured import EditsMeasured, Measured, measure, measure_edits
from refinement.round import RoundRules, calibrate, judge_gates, merge_image
from refinement.trial import on_trial


@dataclass(frozen=True, slots=True)
class JudgedPartition:
    """The images of a partition, what the students thought of those that they got done with, and what gold says."""

    images: Sequence[LabelledImage]
    judged: Mapping[str, Judgement]
    gold: Mapping[str, Gold]


@dataclass(frozen=True, slots=True)
class Settlement:
    """What gold decided about a round."""

    calibrations: tuple[Calibration, ...]
    gates: tuple[GateDecision, ...]
    measured: tuple[Measured, ...]
    edits_measured: EditsMeasured
    """Of the regions of the gate's images, as they were proposed."""

    def details(self) -> dict[str, Any]:
        """All of it as a round keeps it."""
        return {
            "gates": [gate.model_dump(mode="json") for gate in self.gates],
            "calibrations": [curve.model_dump(mode="json") for curve in self.calibrations],
            "measured": [figure.model_dump(mode="json") for figure in self.measured],
            "edits_measured": self.edits_measured.model_dump(mode="json"),
        }

    def facts(self, number: int) -> tuple[RoundFacts, ...]:
        """What was measured, for manifest and card; a gate that had no image has measured nothing."""
        return tuple(
            RoundFacts(
                number=number, specialist=g.unit, metric=g.metric, before=g.before, after=g.after, accepted=g.accepted
            )
            for g in self.gates
            if g.num_images
        )

    @property
    def accepted(self) -> frozenset[str]:
        return frozenset(gate.unit for gate in self.gates if gate.accepted)


Attach = Callable[[Sequence[str], Sequence[Edit]], Mapping[str, Attached]]
"""Image ids, edits → what hangs on the labels of these images after the edits, by image id."""


def settle(
    partitions: Iterable[JudgedPartition],
    rules: RoundRules,
    *,
    round_: int,
    seed: int,
    prefix: str = "",
    attach: Attach | None = None,
) -> Settlement:
    """Calibrate on the `calibrate` images of all partitions, and let the `gate` images decide.

    `prefix` goes before the names of metrics, to say what stands in for gold. `attach` is asked about images on which
    gold speaks of what hangs on labels: as they are, and as all edits together would leave them. Without it that is not
    measured.
    """
    reference: list[LabelledImage] = []
    judged: dict[str, Judgement] = {}
    gold: dict[str, Gold] = {}
    for partition in partitions:
        for image in partition.images:
            if (
                image.gold_split in ("calibrate", "gate")
                and image.id in partition.judged
                and image.id in partition.gold
            ):
                reference.append(image)
                judged[image.id] = partition.judged[image.id]
                gold[image.id] = partition.gold[image.id]
    calibrations = calibrate(reference, judged, gold)
    tested = [image for image in reference if image.gold_split == "gate"]
    merged = [merge_image(image, judged[image.id], calibrations, rules.merge) for image in tested]
    proposed = [result.image for result in merged]
    edits = [edit for result in merged for edit in result.edits]
    hanging = [image.id for image in tested if gold[image.id].says_attached]
    attached = None
    if attach and hanging:
        standing = attach(hanging, ())
        attached = standing, attach(hanging, edits) if edits else standing
    trial = on_trial(tested, proposed, gold, attached)
    measured = measure(trial)
    return Settlement(
        calibrations,
        judge_gates(trial, rules.gate, seed=seed + round_, prefix=prefix),
        tuple(figure.model_copy(update={"metric": prefix + figure.metric}) for figure in measured),
        measure_edits(tested, proposed, gold),
    )


def edits_of(partition: JudgedPartition, settlement: Settlement, rules: RoundRules) -> list[Edit]:
    """The accepted edits of a partition, image by image. An image whose student failed stays as it is."""
    edits: list[Edit] = []
    for image in partition.images:
        if image.id in partition.judged:
            merged = merge_image(image, partition.judged[image.id], settlement.calibrations, rules.merge)
            edits += [edit for edit in merged.edits if edit.unit in settlement.accepted]
    return edits


@dataclass(slots=True)
class Survey:
    """What the labels of a round look like as a whole, and those of the `final` gold images; added to by partition."""

    num_images: int = 0
    boxes: list[np.ndarray[tuple[int, ...], np.dtype[np.float64]]] = field(default_factory=list)
    areas: list[float] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    final: dict[str, tuple[LabelledImage, Gold]] = field(default_factory=dict)

    def add(self, images: Sequence[LabelledImage], gold: Mapping[str, Gold], *, with_final: bool) -> None:
        """Count the images; keep those of the `final` split where it is time to read it."""
        for image in images:
            if not image.gold_split:
                self._look(image)
            elif with_final and image.gold_split == "final" and image.id in gold:
                self.final[image.id] = image, gold[image.id]

    def portrait(self) -> Portrait:
        boxes = np.concatenate(self.boxes) if self.boxes else np.zeros((0, 4))
        return portrait(self.num_images, boxes, np.array(self.areas), self.names, self.texts)

    def _look(self, image: LabelledImage) -> None:
        self.num_images += 1
        boxes = boxes_of(image.regions)
        self.boxes.append(boxes.xyxy)
        self.areas += [float(image.image_wh[0] * image.image_wh[1])] * len(boxes.labels)
        self.names += boxes.labels
        self.texts += [text.text for text in image.texts]


def final_figures(first: Survey, last: Survey) -> dict[str, tuple[float, float]]:
    """Metric → (in the first survey, in the last one) on the `final` split; nothing where there is no such image.

    Masks, read text and groundings are not among them: the labels alone are compared.
    """
    gold = {identity: truth for identity, (_, truth) in first.final.items()}
    before, after = ([survey.final[identity][0] for identity in gold] for survey in (first, last))
    return {figure.metric: (figure.before, figure.after) for figure in measure(on_trial(before, after, gold))}
