"""A round over partitions: gold decides once for all, then every partition is edited on its own.

No more than the gold images and one partition are in memory.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from refinement.calibration import Calibration
from refinement.dataset import Gold, LabelledImage, boxes_of
from refinement.drift import Portrait, portrait
from refinement.gate import GateDecision
from refinement.judging import Judgement
from refinement.ledger import Edit
from refinement.measured import EditsMeasured, Measured, measure_edits, measure_regions
from refinement.metrics_boxes import IOUS, Counts, count_matches
from refinement.round import RoundRules, calibrate, judge_gates, merge_image


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
    edits: EditsMeasured
    """Of the regions of the gate's images, as they were proposed."""

    @property
    def accepted(self) -> frozenset[str]:
        return frozenset(gate.unit for gate in self.gates if gate.accepted)


def settle(
    partitions: Iterable[JudgedPartition], rules: RoundRules, *, round_: int, seed: int, prefix: str = ""
) -> Settlement:
    """Calibrate on the `calibrate` images of all partitions, and let the `gate` images decide.

    `prefix` goes before the names of metrics, to say what stands in for gold.
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
    gates = judge_gates(tested, merged, gold, rules.gate, seed=seed + round_, prefix=prefix)
    measured = measure_regions(tested, proposed, gold)
    return Settlement(
        calibrations,
        gates,
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
    """What the labels of a round look like as a whole, and how the `final` gold images score; added to by partition."""

    num_images: int = 0
    boxes: list[np.ndarray[tuple[int, ...], np.dtype[np.float64]]] = field(default_factory=list)
    areas: list[float] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    final: dict[float, Counts] = field(default_factory=lambda: dict.fromkeys(IOUS, Counts()))
    num_final: int = 0

    def add(self, images: Sequence[LabelledImage], gold: Mapping[str, Gold], *, with_final: bool) -> None:
        """Count the images; those of the `final` split only where it is time to read it."""
        for image in images:
            if not image.gold_split:
                self._look(image)
            elif with_final and image.gold_split == "final" and image.id in gold:
                self.num_final += 1
                for iou in IOUS:
                    self.final[iou] += count_matches(boxes_of(image.regions), gold[image.id].regions, min_iou=iou)

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
