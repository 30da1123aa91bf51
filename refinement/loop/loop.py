"""Rounds over a root, each under `ROOT/rounds/NNN`: train, annotate again, merge, and let the gate decide.

Everything is named by what it depends on, so that a killed round goes on where it was: trained students and their
checkpoints, the outputs of the annotator, and rounds that are finished are not made again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from fld_engine.engine.data.hashing import fingerprint
from fld_engine.engine.data.identity import identity_of
from fld_engine.engine.data.store import Store
from fld_engine.engine.data.work_set import WorkSet
from fld_engine.engine.plan.config import AnnotatorConfig, RunConfig
from fld_engine.engine.plan.plan import Plan, make_plan
from fld_engine.engine.plan.rounds import (
    RECORD,
    RoundPartition,
    RoundRecord,
    has_round,
    plan_of,
    plan_of_labels,
    read_round,
    round_folder,
)
from fld_engine.engine.plan.tasks import ARITHMETIC, Lane
from fld_engine.engine.run.pipeline import Pipeline
from fld_engine.engine.stages.annotate.stage import Annotate
from fld_engine.refinement.gate.drift import compare
from fld_engine.refinement.gate.final import final_figures
from fld_engine.refinement.gate.gating import JudgedPartition, MergeDecision, decide_round
from fld_engine.refinement.gate.proxy_gold import AGREEMENT
from fld_engine.refinement.labels.folds import EVERY_FOLD, fold_of
from fld_engine.refinement.labels.ledger import WHATS, Unit
from fld_engine.refinement.labels.survey import Survey, survey_of
from fld_engine.refinement.labels.tables import count_names
from fld_engine.refinement.loop.details import InitialDetails, RoundDetails
from fld_engine.refinement.loop.final_readings import FinalFigures, FinalReadings
from fld_engine.refinement.loop.partition_merge import MergedPartition, PartitionMerge, StudentOutput
from fld_engine.refinement.loop.proposal import Proposal
from fld_engine.refinement.loop.reference import Reference
from fld_engine.refinement.loop.round_files import RoundFiles
from fld_engine.refinement.loop.settings import RefineConfig
from fld_engine.refinement.loop.stopping import why_not_teach
from fld_engine.refinement.student.kept_student import KeptStudent, read_kept
from fld_engine.refinement.training.teaching import TRAINING, Teacher, student_folder
from fld_engine.refinement.training.training_log import TensorBoardLog
from fld_engine.schemas.annotations import Source
from fld_engine.schemas.errors import RootError
from fld_engine.schemas.names import name_key
from fld_engine.schemas.origins import Origin

VERSION = 4
"""Version of what a round makes of the same labels and settings."""
EVERYTHING = WorkSet(min_score=0.0, nms_iou=1.0, max_regions=1000)
"""Students judge every label: what is weak is what they are asked about."""


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
    def files(self) -> RoundFiles:
        again = plan_of_labels(self.store, self.config, ()).annotators
        remade = frozenset(kind for annotator in again.values() for kind in annotator.produces)
        return RoundFiles(self.store, self.config.images, remade, frozenset(again), self.config.seed)

    @cached_property
    def reference(self) -> Reference:
        return Reference(self.store, self.config, self.files)

    @property
    def final_readings(self) -> FinalReadings:
        return FinalReadings(self.store)

    def described(self) -> dict[str, Any]:
        """What a round depends on, but for the labels it begins with."""
        return {"version": VERSION, "settings": identity_of(self.settings), "seed": self.config.seed}

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

    def initial_round(self) -> RoundRecord:
        """Round 0: what the filters keep, as labels that a round can begin with."""
        plan = plan_of(self.store, self.config)
        known = {record.id: plan.fingerprints["verdicts", record.id] for record in plan.partitions}
        identity = fingerprint({"version": VERSION, "verdicts": known, "remade": sorted(self.files.remade)})
        if (there := self.finished(0, identity)) is not None:
            return there
        partitions = tuple(self.files.initial(plan, record) for record in plan.partitions)
        num_gold = sum(len(self.files.gold(partition)) for partition in partitions)
        details = InitialDetails(num_gold=num_gold).model_dump()
        said = {record.id: record.annotations_fingerprint for record in plan.partitions}
        record = RoundRecord(number=0, fingerprint=identity, partitions=partitions, details=details, said=said)
        self.store.create_model(f"{round_folder(0)}/{RECORD}", record)
        return record

    # ------------------------------------------------------------------ a round

    def round(self, number: int, before: RoundRecord) -> RoundRecord:
        """Train on the labels of the round before, annotate again, and merge what gold finds better."""
        labels = [partition.unseen.annotations_fingerprint for partition in before.partitions]
        identity = fingerprint({**self.described(), "number": number, "labels": labels})
        if (there := self.finished(number, identity)) is not None:
            return there
        self.train(number, before, identity)
        plan = self.annotate_again(number, before)
        return self.merge(number, before, plan, identity)

    def taught_folds(self, before: RoundRecord) -> set[int]:
        """Folds with images to learn from, in sample `EVERY_FOLD`; once these are enough, no more is looked for."""
        rules, found = self.settings.rules, set[int]()
        for partition in before.partitions:
            groups = self.files.learnable(partition)
            if rules.in_sample:
                found |= {EVERY_FOLD for _ in groups}
            else:
                found |= {fold_of(group, self.config.seed, rules.num_folds) for group in groups}
            if not why_not_teach(found):
                break
        return found

    def students(self, number: int) -> list[tuple[str, KeptStudent]]:
        """The students of a round that are trained, fold by fold; (folder, record) of each."""
        folders = (student_folder(number, str(place)) for place in range(self.settings.num_students))
        kept = ((folder, read_kept(self.store, folder)) for folder in folders)
        return [(folder, record) for folder, record in kept if record is not None]

    def train(self, number: int, before: RoundRecord, identity: str) -> None:
        """A fresh student a fold; one that is there already is not trained again."""
        standing, training = self.teacher.standing(before), self.settings.training
        for place in range(self.settings.num_students):
            training_set = self.teacher.training_set(standing, EVERY_FOLD if self.settings.rules.in_sample else place)
            seeded = training.model_copy(update={"seed": training.seed + place})
            self.teacher.teach(number, str(place), training_set, seeded, identity=identity)

    def annotate_again(self, number: int, before: RoundRecord) -> Plan:
        """The students as an annotator on all images; returns the plan of their outputs."""
        plan = self.plan_of_students(number, before)
        self.pipeline.complete(plan, Annotate())
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
        """The most frequent names of the labels, by falling number and then by name.

        All spellings of a name count together, and it is written as most labels write it.
        """
        counts = sum((count_names(self.files.labels(p)) for p in before.partitions), start=count_names({}))
        spelled: dict[str, str] = {}
        together: Counter[str] = Counter()
        for name in sorted(counts, key=lambda name: (-counts[name], name)):
            together[spelled.setdefault(name_key(name), name)] += counts[name]
        return sorted(together, key=lambda name: (-together[name], name))[: self.settings.max_names]

    def merge(self, number: int, before: RoundRecord, plan: Plan, identity: str) -> RoundRecord:
        """Calibrate, let the gate decide, and write the labels of the round with their ledger."""
        rules = self.settings.rules
        prefix = "" if self.reference.has_gold else AGREEMENT
        source = Source(annotator=Origin.REFINEMENT, model="student", revision=identity, round=number)
        decision = decide_round(
            self.judged(before, plan), merge=rules.merge, gate=rules.gate, round_=number, seed=self.config.seed,
            prefix=prefix, dependents_after=Proposal(self.pipeline, self.files, number, before, source),
        )  # fmt: skip
        merged = self.merge_partitions(number, before, plan, decision.merge_decision(rules.merge), source)
        counts = {what: sum(partition.edits.get(what, 0) for partition in merged) for what in WHATS}
        not_asked = sum((Counter(partition.not_asked) for partition in merged), start=Counter[Unit]())
        now = sum((partition.survey for partition in merged), start=Survey())
        first = (survey_of(self.files.images(partition)) for partition in read_round(self.store, 0).partitions)
        drifts = compare(sum(first, start=Survey()).portrait(), now.portrait(), self.settings.drift)
        record = RoundRecord(
            number=number,
            fingerprint=identity,
            partitions=tuple(partition.partition for partition in merged),
            gates=decision.facts(number),
            details=RoundDetails(
                gates=decision.gates,
                calibrations=decision.calibrations,
                measured=decision.measured,
                edits=counts,
                edits_measured=decision.edits_measured,
                drift=drifts,
                not_asked=not_asked,
            ).as_json(),
        )
        self.store.create_model(f"{round_folder(number)}/{RECORD}", record)
        log = TensorBoardLog(f"{self.store.url}/{TRAINING}/gold")
        log.scalars({f"gold/{figure.unit}/{figure.metric}": figure.after for figure in decision.measured}, number)
        return record

    def merge_partitions(
        self, number: int, before: RoundRecord, plan: Plan, decision: MergeDecision, source: Source
    ) -> list[MergedPartition]:
        """Every partition merged, on the runner, in their order."""
        files = self.files
        tasks = [
            PartitionMerge(
                number=number, partition=partition, output=output, decision=decision, source=source,
                limits=files.limits, remade=files.remade, makers=files.makers, seed=files.seed,
            ).task(self.store.url)
            for partition, output in self._outputs(before, plan)
        ]  # fmt: skip
        step = f"round {number}: merge"
        self.pipeline.watch(step, 0, len(tasks))
        done: dict[str, MergedPartition] = {}
        lane = Lane(name=step, resources=ARITHMETIC, tasks=tasks)
        for task, result in self.pipeline.answers(lane, MergedPartition):
            done[task.label] = result
            self.pipeline.watch(step, 1, len(tasks))
        return [done[task.label] for task in tasks]

    # ------------------------------------------------------------------ reading

    def judged(self, before: RoundRecord, plan: Plan) -> Iterator[JudgedPartition]:
        """Partition after partition, with the judgements of the students, and gold or its proxy."""
        for partition, output in self._outputs(before, plan):
            images, gold = self.reference.of(partition, before)
            yield JudgedPartition(images, output.judged(self.store, partition, images), gold)

    def _outputs(self, before: RoundRecord, plan: Plan) -> Iterator[tuple[RoundPartition, StudentOutput]]:
        """Each partition, and where the students of a plan wrote their output for it."""
        (student,) = plan.graph.order
        names = tuple(plan.config.annotators[student].params["names"])
        for partition in before.partitions:
            output = plan.fingerprints[student, partition.unseen.id]
            yield partition, StudentOutput(annotator=student, fingerprint=output, names=names)

    # ------------------------------------------------------------------ the end

    def final(self, rounds: Sequence[RoundRecord]) -> dict[str, tuple[float, float]]:
        """Figures of the labels on the `final` split before and after; the only place that reads it.

        Read once a loop: asked again about the same labels, it says what is written down.
        """
        number, kept = rounds[-1].number, self.final_readings.kept(rounds[-1].number)
        labels = [[part.standing.annotations_fingerprint for part in rounds[end].partitions] for end in (0, -1)]
        identity = fingerprint({"labels": labels})
        if kept is None or kept.identity != identity:
            first, last = (self.reference.final(record) for record in (rounds[0], rounds[-1]))
            found = FinalFigures(images=len(first), metrics=final_figures(first, last), identity=identity)
            if kept is None or found.model_copy(update={"identity": ""}) != kept:  # an old root does not name them
                self.final_readings.keep(number, found)
            kept = found
        return dict(kept.metrics)
