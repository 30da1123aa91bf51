"""The decision on a round: gold decides once for all partitions, then any worker edits any of them.

No more than the gold images and one partition are in memory.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from fld_engine.engine.data.round_facts import RoundFacts
from fld_engine.refinement.gate.before_after import before_after
from fld_engine.refinement.gate.gate import GateDecision, GateRules
from fld_engine.refinement.gate.measured import EditsMeasured, Measured, measure, measure_edits
from fld_engine.refinement.gate.units import judge_gates
from fld_engine.refinement.labels.dependents import Dependents
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
    """The images of a partition, the judgements of those that the students finished, and gold by image id."""

    images: Sequence[LabelledImage]
    judged: Mapping[str, Judgement]
    gold: Mapping[str, Gold]


class MergeDecision(Frozen):
    """What a worker needs to edit labels: curves of scores, the units whose edits are accepted, and the merge rules."""

    calibrations: tuple[Calibration, ...]
    accepted: frozenset[str]
    rules: MergeRules


@dataclass(frozen=True, slots=True)
class RoundDecision:
    """What gold decided about a round, and all that was measured for it."""

    calibrations: tuple[Calibration, ...]
    gates: tuple[GateDecision, ...]
    measured: tuple[Measured, ...]
    edits_measured: tuple[EditsMeasured, ...]
    """Of each unit on the gate's images, as they were proposed."""

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

    def merge_decision(self, rules: MergeRules) -> MergeDecision:
        """What a worker needs to edit a partition."""
        return MergeDecision(calibrations=self.calibrations, accepted=self.accepted, rules=rules)


DependentsAfter = Callable[[Sequence[str], Sequence[Edit]], Mapping[str, Dependents]]
"""Image ids, edits → what depends on the labels of these images after the edits, by image id."""


def decide_round(
    partitions: Iterable[JudgedPartition],
    *,
    merge: MergeRules,
    gate: GateRules,
    round_: int,
    seed: int,
    prefix: str = "",
    dependents_after: DependentsAfter | None = None,
) -> RoundDecision:
    """Calibrate on the `calibrate` images of all partitions, and let the `gate` images decide.

    `prefix` goes before the names of metrics, to name the proxy of gold. `dependents_after` is called for images whose
    gold has dependents (masks, read text, groundings): without edits, and with all of them. Without it these are not
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
    with_dependents = [image.id for image in tested if gold[image.id].has_dependents]
    dependents = None
    if dependents_after and with_dependents:
        unedited = dependents_after(with_dependents, ())
        dependents = unedited, dependents_after(with_dependents, edits) if edits else unedited
    pairs = before_after(tested, proposed, gold, dependents)
    measured = measure(pairs)
    return RoundDecision(
        calibrations,
        judge_gates(pairs, gate, seed=seed + round_, prefix=prefix),
        tuple(figure.model_copy(update={"metric": prefix + figure.metric}) for figure in measured),
        measure_edits(pairs),
    )


def edits_of(images: Sequence[LabelledImage], judged: Mapping[str, Judgement], decision: MergeDecision) -> list[Edit]:
    """The accepted edits of images, one after another. An image whose student failed stays as it is."""
    edits: list[Edit] = []
    for image in images:
        if image.id in judged:
            merged = merge_image(image, judged[image.id], decision.calibrations, decision.rules)
            edits += [edit for edit in merged.edits if edit.unit in decision.accepted]
    return edits
