"""Rounds of train, look again, merge and gate over a root, each under `ROOT/rounds/NNN`.

Everything is named by what it depends on, so that a killed round goes on where it was: trained students and their
checkpoints, the outputs of the annotator, and rounds that are finished are not made again.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import pyarrow.compute as pc

from engine.config import AnnotatorConfig, RunConfig
from engine.export.facts import RoundFacts
from engine.hashing import canonical_json, fingerprint
from engine.partition import load_view, read_output, read_tables
from engine.pipeline import Pipeline
from engine.plan import Plan, make_plan
from engine.protocols import Kind, WorkSet
from engine.rounds import (
    RECORD,
    RoundPartition,
    RoundRecord,
    has_round,
    plan_of,
    read_round,
    round_folder,
    standing_config,
)
from engine.store import Store
from engine.tasks import CoverStep
from refinement.config import RefineConfig
from refinement.dataset import Gold, LabelledImage
from refinement.drift import compare
from refinement.folds import EVERY_FOLD
from refinement.kept_student import KeptStudent, read_kept
from refinement.labels import count_names, judgements
from refinement.ledger import WHATS
from refinement.round_files import RoundFiles
from refinement.settle import JudgedPartition, Settlement, Survey, edits_of, settle
from refinement.stand_in import AGREEMENT, NUM_IMAGES, agreed_objects, as_reference
from refinement.teaching import TRAINING, Teacher, student_folder
from refinement.training_log import TensorBoardLog
from schemas.annotations import Frozen, Source
from schemas.errors import RootError
from schemas.tables import ANNOTATION_TABLES

VERSION = 2
"""Version of what a round makes of the same labels and settings."""
EVERYTHING = WorkSet(min_score=0.0, nms_iou=1.0, max_regions=1000)
"""Students judge every label: what is weak is what they are asked about."""


class RefineSummary(Frozen):
    """Rounds that stand, and why the loop ended. `final` maps metric → (round 0, last round) on the `final` split."""

    rounds: tuple[RoundRecord, ...]
    ended: str
    final: Mapping[str, tuple[float, float]]


@dataclass
class Loop:
    """One root being refined, under the lease of its pipeline."""

    pipeline: Pipeline
    settings: RefineConfig

    @property
    def store(self) -> Store:
        return self.pipeline.store

    @property
    def config(self) -> RunConfig:
        return self.pipeline.config

    @cached_property
    def teacher(self) -> Teacher:
        return Teacher(self.pipeline, self.settings)

    @cached_property
    def remade(self) -> frozenset[Kind]:
        """Kinds that are made again from the labels of a round."""
        plan = make_plan(self.store, standing_config(self.config), ())
        return frozenset(kind for annotator in plan.annotators.values() for kind in annotator.produces)

    @cached_property
    def files(self) -> RoundFiles:
        return RoundFiles(self.store, self.config.images, self.remade, self.config.seed)

    def described(self) -> dict[str, Any]:
        """What a round depends on beside the labels it begins with."""
        settings = self.settings.model_dump(mode="json", exclude={"annotator", "trainer", "sparse"})
        return {"version": VERSION, "settings": settings, "seed": self.config.seed}

    def finished(self, number: int, identity: str) -> RoundRecord | None:
        """The round if it is there. Raises `RootError` where it was made of other labels or with other settings."""
        if not has_round(self.store, number):
            return None
        record = read_round(self.store, number)
        if record.fingerprint != identity:
            raise RootError(
                f"round {number} of {self.store.url} was made of other labels or with other settings of `refine`; "
                "rounds are never changed: refine a copy of the root, or delete "
                f"{self.store.url}/{round_folder(number)} and the rounds after it"
            )
        return record

    # ------------------------------------------------------------------ round 0

    def carry(self) -> RoundRecord:
        """Round 0: what the filters keep, as labels that a round can begin with."""
        plan = plan_of(self.store, self.config)
        known = {record.id: plan.fingerprints["verdicts", record.id] for record in plan.partitions}
        identity = fingerprint({"version": VERSION, "verdicts": known, "remade": sorted(self.remade)})
        if (there := self.finished(0, identity)) is not None:
            return there
        partitions = tuple(self.files.carry(plan, record) for record in plan.partitions)
        num_gold = sum(len(self.files.gold(partition)) for partition in partitions)
        record = RoundRecord(number=0, fingerprint=identity, partitions=partitions, details={"num_gold": num_gold})
        self.store.write_model(f"{round_folder(0)}/{RECORD}", record)
        return record

    # ------------------------------------------------------------------ a round

    def round(self, number: int, before: RoundRecord) -> RoundRecord:
        """Train on the labels of the round before, look again, and merge what gold finds better."""
        labels = [partition.unseen.annotations_fingerprint for partition in before.partitions]
        identity = fingerprint({**self.described(), "number": number, "labels": labels})
        if (there := self.finished(number, identity)) is not None:
            return there
        self.train(number, before, identity)
        plan = self.look_again(number, before)
        return self.merge(number, before, plan, identity)

    def students(self, number: int) -> list[tuple[str, KeptStudent]]:
        """The students of a round that are trained, fold by fold; (folder, record) of each."""
        folders = (student_folder(number, str(place)) for place in range(self._num_students))
        kept = ((folder, read_kept(self.store, folder)) for folder in folders)
        return [(folder, record) for folder, record in kept if record is not None]

    @property
    def _num_students(self) -> int:
        return 1 if self.settings.rules.in_sample else self.settings.rules.num_folds

    def train(self, number: int, before: RoundRecord, identity: str) -> None:
        """A fresh student a fold; one that is there already is not trained again."""
        standing, training = self.teacher.standing(before), self.settings.training
        for place in range(self._num_students):
            lessons = self.teacher.lessons(standing, EVERY_FOLD if self.settings.rules.in_sample else place)
            seeded = training.model_copy(update={"seed": training.seed + place})
            self.teacher.teach(number, str(place), lessons, seeded, identity=identity)

    def look_again(self, number: int, before: RoundRecord) -> Plan:
        """The students as an annotator on all images; returns the plan of their outputs."""
        plan = self.plan_of_students(number, before)
        self.pipeline.annotate(plan)
        return plan

    def plan_of_students(self, number: int, before: RoundRecord) -> Plan:
        """Where the outputs of a round's students stand, or will."""
        students = self.students(number)
        params = {
            "folders": [f"{self.store.url}/{folder}" for folder, _ in students],
            "weights": [kept.weights for _, kept in students],
            "names": self._names(before),
            "max_answer_tokens": self.settings.max_answer_tokens,
        }
        annotator = AnnotatorConfig(
            use="student", params=params, resources=self.settings.annotator, work_set=EVERYTHING
        )  # fmt: skip
        config = self.config.model_copy(update={"annotators": {f"student-{number}": annotator}, "filters": {}})
        return make_plan(self.store, config, [partition.unseen for partition in before.partitions])

    def _names(self, before: RoundRecord) -> list[str]:
        """The most frequent names of the labels, by falling number and then by name."""
        counts = sum((count_names(self.files.labels(p)) for p in before.partitions), start=count_names({}))
        return sorted(counts, key=lambda name: (-counts[name], name))[: self.settings.max_names]

    def merge(self, number: int, before: RoundRecord, plan: Plan, identity: str) -> RoundRecord:
        """Calibrate, let the gate decide, and write the labels of the round with their ledger."""
        rules = self.settings.rules
        prefix = "" if self.has_gold else AGREEMENT
        settlement = settle(self.judged(before, plan), rules, round_=number, seed=self.config.seed, prefix=prefix)
        source = Source(annotator="refinement", model="student", revision=identity, round=number)
        partitions, counts, survey = [], dict.fromkeys(WHATS, 0), Survey()
        for partition, judged in zip(before.partitions, self.judged(before, plan), strict=True):
            edits = edits_of(judged, settlement, rules)
            for edit in edits:
                counts[edit.what] += 1
            after = self.files.edit(number, partition, edits, source)
            partitions.append(after)
            survey.add(self.files.images(after), {}, with_final=False)
        drifts = compare(self._survey(read_round(self.store, 0)).portrait(), survey.portrait(), self.settings.drift)
        record = RoundRecord(
            number=number,
            fingerprint=identity,
            partitions=tuple(partitions),
            gates=_gate_facts(number, settlement),
            details={
                "gates": [gate.model_dump(mode="json") for gate in settlement.gates],
                "calibrations": [curve.model_dump(mode="json") for curve in settlement.calibrations],
                "measured": [figure.model_dump(mode="json") for figure in settlement.measured],
                "edits": counts,
                "edits_measured": settlement.edits.model_dump(mode="json"),
                "drift": [drift.model_dump(mode="json") for drift in drifts],
            },
        )
        self.store.write_model(f"{round_folder(number)}/{RECORD}", record)
        log = TensorBoardLog(f"{self.store.url}/{TRAINING}/gold")
        log.scalars({f"gold/{gate.unit}/{gate.metric}": gate.after for gate in settlement.gates}, number)
        return record

    # ------------------------------------------------------------------ reading

    def judged(self, before: RoundRecord, plan: Plan) -> Iterator[JudgedPartition]:
        """Partition after partition, with what the students said, and gold or what stands in for it."""
        (student,) = plan.graph.order
        names = plan.config.annotators[student].params["names"]
        share = NUM_IMAGES / sum(partition.standing.num_images for partition in before.partitions)
        for partition in before.partitions:
            images, gold = self._reference(partition, share)
            output = read_output(
                self.store, student, partition.unseen.id, plan.fingerprints[student, partition.unseen.id]
            )
            tables = read_tables(self.store, output)
            done = set(tables["status"]["image_id"].filter(pc.equal(tables["status"]["status"], "done")).to_pylist())
            said = {name: tables.get(name, schema.empty_table()) for name, schema in ANNOTATION_TABLES.items()}
            yield JudgedPartition(images, judgements([i for i in images if i.id in done], said, names), gold)

    @cached_property
    def has_gold(self) -> bool:
        return bool(read_round(self.store, 0).details["num_gold"])

    @cached_property
    def _annotated(self) -> dict[str, CoverStep]:
        """Where the outputs of the specialists stand, by partition."""
        plan = plan_of(self.store, self.config)
        return {record.id: plan.cover_step(record) for record in plan.partitions}

    def _reference(self, partition: RoundPartition, share: float) -> tuple[list[LabelledImage], Mapping[str, Gold]]:
        images = self.files.images(partition)
        if self.has_gold:
            return images, self.files.gold(partition)
        agreed = agreed_objects(load_view(self.store, partition.standing, self._annotated[partition.standing.id]))
        return as_reference(images, agreed, share=share, seed=self.config.seed), agreed

    def _survey(self, record: RoundRecord, *, with_final: bool = False) -> Survey:
        survey = Survey()
        for partition in record.partitions:
            survey.add(self.files.images(partition), self.files.gold(partition), with_final=with_final)
        return survey

    # ------------------------------------------------------------------ the end

    def final(self, rounds: Sequence[RoundRecord]) -> dict[str, tuple[float, float]]:
        """F1 on the `final` split before and after; the only place that reads it."""
        first, last = (self._survey(record, with_final=True) for record in (rounds[0], rounds[-1]))
        found = {
            f"f1@{iou:g}": (round(first.final[iou].f1, 4), round(last.final[iou].f1, 4)) for iou in first.final
        } if first.num_final else {}  # fmt: skip
        self.store.write_bytes(
            f"rounds/final-{rounds[-1].number:03d}.json",
            canonical_json({"images": first.num_final, "metrics": found}).encode(),
        )
        return found


def _gate_facts(number: int, settlement: Settlement) -> tuple[RoundFacts, ...]:
    return tuple(
        RoundFacts(
            number=number, specialist=g.unit, metric=g.metric, before=g.before, after=g.after, accepted=g.accepted
        )
        for g in settlement.gates
    )


def why_stop(record: RoundRecord) -> str:
    """Why there should be no further round; empty where there should."""
    drifts = [drift for drift in record.details["drift"] if not drift["within"]]
    if not any(gate.accepted for gate in record.gates):
        reasons = "; ".join(f"{gate['unit']}: {gate['why']}" for gate in record.details["gates"])
        return f"round {record.number} made nothing better, and its labels are those of the round before ({reasons})"
    if drifts:
        figures = ", ".join(drift["figure"] for drift in drifts)
        return f"the labels of round {record.number} drifted beyond the limits of `refine.drift`: {figures}"
    return ""
