"""A round over partitions: gold decides once for all, then every partition is edited on its own, by any worker.

No more than the gold images and one partition are in memory.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fld_engine.engine.export.facts import RoundFacts
from fld_engine.refinement.gate.before_after import on_trial
from fld_engine.refinement.gate.gate import GateDecision, GateRules
from fld_engine.refinement.gate.measured import EditsMeasured, Measured, measure, measure_edits
from fld_engine.refinement.gate.units import judge_gates
from fld_engine.refinement.labels.dependents import Attached
from fld_engine.refinement.labels.gold import Gold
from fld_engine.refinement.labels.image import LabelledImage
from fld_engine.refinement.labels.judgement import Judgement
from fld_engine.refinement.labels.ledger import Edit
from fld_engine.refinement.merge.calibration import Calibration, calibrate
from fld_engine.refinement.merge.image import merge_image
from fld_engine.refinement.merge.rules import MergeRules
from fld_engine.schemas.annotations import Frozen


@dataclass(frozen=True, slots=True)
class JudgedPartition:
    """The images of a partition, what the students thought of those that they got done with, and what gold says."""

    images: Sequence[LabelledImage]
    judged: Mapping[str, Judgement]
    gold: Mapping[str, Gold]


class Ruling(Frozen):
    """By what labels are edited: curves of scores, the units whose edits are accepted, and the rules of merging."""

    calibrations: tuple[Calibration, ...]
    accepted: frozenset[str]
    rules: MergeRules


@dataclass(frozen=True, slots=True)
class Settlement:
    """What gold decided about a round."""

    calibrations: tuple[Calibration, ...]
    gates: tuple[GateDecision, ...]
    measured: tuple[Measured, ...]
    edits_measured: tuple[EditsMeasured, ...]
    """Of each unit on the gate's images, as they were proposed."""

    def details(self) -> dict[str, Any]:
        """All of it as a round keeps it."""
        return {
            "gates": [gate.model_dump(mode="json") for gate in self.gates],
            "calibrations": [curve.model_dump(mode="json") for curve in self.calibrations],
            "measured": [figure.model_dump(mode="json") for figure in self.measured],
            "edits_measured": [edits.model_dump(mode="json") for edits in self.edits_measured],
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

    def ruling(self, rules: MergeRules) -> Ruling:
        """What is needed to edit a partition."""
        return Ruling(calibrations=self.calibrations, accepted=self.accepted, rules=rules)


Attach = Callable[[Sequence[str], Sequence[Edit]], Mapping[str, Attached]]
"""Image ids, edits → what hangs on the labels of these images after the edits, by image id."""


def settle(
    partitions: Iterable[JudgedPartition],
    *,
    merge: MergeRules,
    gate: GateRules,
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
    merged = [merge_image(image, judged[image.id], calibrations, merge) for image in tested]
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
        judge_gates(trial, gate, seed=seed + round_, prefix=prefix),
        tuple(figure.model_copy(update={"metric": prefix + figure.metric}) for figure in measured),
        measure_edits(trial),
    )


def edits_of(images: Sequence[LabelledImage], judged: Mapping[str, Judgement], ruling: Ruling) -> list[Edit]:
    """The accepted edits of images, one after another. An image whose student failed stays as it is."""
    edits: list[Edit] = []
    for image in images:
        if image.id in judged:
            merged = merge_image(image, judged[image.id], ruling.calibrations, ruling.rules)
            edits += [edit for edit in merged.edits if edit.unit in ruling.accepted]
    return edits
