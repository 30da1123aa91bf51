"""Training of students on the labels of a round: each is kept in the root and trained once, whatever is killed.

A student is found by what it is made of, not by where it stands: other settings, labels or a base of another size make
another student, in the place of the one that stood there.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from pydantic_core import to_jsonable_python

from fld_engine.engine.data.hashing import fingerprint, sha256_hex
from fld_engine.engine.data.identity import identity_of
from fld_engine.engine.data.store import Store
from fld_engine.engine.plan.plan import Plan
from fld_engine.engine.plan.protocols import Resources
from fld_engine.engine.plan.rounds import RoundRecord, has_round, plan_of, read_round, round_folder
from fld_engine.engine.run.pipeline import Pipeline
from fld_engine.engine.stages.annotate.stage import Annotate
from fld_engine.engine.stages.coverage.stage import committed
from fld_engine.engine.stages.filter.stage import Filter
from fld_engine.refinement.labels.folds import EVERY_FOLD
from fld_engine.refinement.student.kept_student import find_kept, keep_student, open_kept, read_kept
from fld_engine.refinement.student.model import Student, load_student, make_student
from fld_engine.refinement.student.settings import SCRATCH, StudentConfig
from fld_engine.refinement.training.examples import corpus
from fld_engine.refinement.training.progress import Progress, Report
from fld_engine.refinement.training.ray_trainer import TrainingJob, train_on_ray
from fld_engine.refinement.training.settings import TrainerResources, TrainingConfig
from fld_engine.refinement.training.training_log import TensorBoardLog
from fld_engine.refinement.training.training_set import RootTrainingSet
from fld_engine.schemas.annotations import Granularity

BASE = "rounds/base"
TRAINING = "training"
"""Folder of the curves of all trainings, and of gold metrics by round, as TensorBoard reads them; and where their costs
are counted."""
CHECKPOINTS, RAY = "-checkpoints", "-ray"
"""Ends of the names of two more folders that a student has while it is trained."""

MADE_OF = "made-of"
"""File beside the checkpoints of a training that says what its student is made of."""
VERSION = 1
"""Version of what training makes of the same labels and settings."""

OpenStudent = Callable[[], Student]
"""How a worker opens what a training starts from; picklable."""


class Folds(Protocol):
    """How many folds the images of a root are dealt to."""

    @property
    def num_folds(self) -> int: ...


class TeachingSettings(Protocol):
    """What a teacher goes by: what students begin from, how long they learn, and on what machines."""

    @property
    def student(self) -> StudentConfig: ...
    @property
    def training(self) -> TrainingConfig: ...
    @property
    def trainer(self) -> TrainerResources: ...
    @property
    def rules(self) -> Folds: ...


@dataclass(frozen=True, slots=True)
class Teacher:
    """Trains students of one root, under the lease of its pipeline."""

    pipeline: Pipeline
    settings: TeachingSettings

    @property
    def store(self) -> Store:
        return self.pipeline.store

    def standing(self, before: RoundRecord) -> Plan:
        """The root as it stands after a round, annotated and decided: what students are trained on."""
        standing = plan_of(self.store, self.pipeline.config, before.number)
        self.pipeline.complete(standing, Annotate())
        self.pipeline.record(standing.lanes(Filter()))
        return standing

    def training_set(self, standing: Plan, fold: int, granularities: tuple[Granularity, ...] = ()) -> RootTrainingSet:
        """All that the student of a fold may learn, or its texts of some granularities alone."""
        config = self.pipeline.config
        return RootTrainingSet(
            root=self.store.url,
            partitions=tuple(standing.partitions),
            covers=tuple(committed(standing, record) for record in standing.partitions),
            limits=config.images,
            max_target_tokens=min(
                config.export.max_target_tokens,
                self.settings.student.max_target_tokens - 2,  # its begin and end marks
            ),
            fold=fold,
            num_folds=self.settings.rules.num_folds,
            seed=config.seed,
            granularities=granularities,
            own_merges=self.settings.student.base == SCRATCH,
        )

    def teach(
        self,
        number: int,
        name: str,
        training_set: RootTrainingSet,
        training: TrainingConfig,
        *,
        identity: str,
        start: str | None = None,
    ) -> str:
        """Train the student `name` of a round, unless it is kept there already; returns its folder.

        It begins from the kept student in folder `start`, by default from the base of `refine.student`. `identity` is
        that of the round. A training that was killed goes on from its latest checkpoint where all that its student is
        made of is the same; where anything is not, it begins anew, and what stood in the folder is deleted.
        """
        folder = student_folder(number, name)
        made_of = self.made_of(name, training_set, training, identity=identity, start=start)
        if find_kept(self.store, folder, made_of) is None:
            self._leave_no_other(folder, made_of)
            job = TrainingJob(
                open_student=self.base(training_set) if start is None else self._opener(start),
                open_data=training_set.open,
                config=training,
                store_url=self.store.url,
                checkpoints=folder + CHECKPOINTS,
                fingerprint=made_of,
                output=folder,
            )
            records = folder + RAY
            self.pipeline.release_workers()
            train_on_ray(
                job,
                self.settings.trainer,
                storage=self.store.path(records) if self.store.local else f"{self.store.url}/{records}",
                address=self.pipeline.config.runner.ray_address,
                report=self._report(number, name, training.num_steps),
                held=self._held,
            )
        for suffix in (CHECKPOINTS, RAY):
            self.store.delete_folder(folder + suffix)
        return folder

    def _held(self, seconds: float) -> None:
        """Count what the workers of a training cost."""
        each, number = self.settings.trainer, self.settings.trainer.num_workers
        together = Resources(cpus=each.cpus_per_worker * number, gpus=each.gpus_per_worker * number)
        self.pipeline.meter.held(TRAINING, together, seconds)

    def made_of(
        self,
        name: str,
        training_set: RootTrainingSet,
        training: TrainingConfig,
        *,
        identity: str,
        start: str | None = None,
    ) -> str:
        """Fingerprint of everything that a student is made of; parameters as `teach` takes them."""
        kept = read_kept(self.store, start) if start else None
        return fingerprint(
            {
                "version": VERSION,
                "round": identity,
                "name": name,
                "start": kept.weights if kept else self._base_made_of(training_set),
                "training": identity_of(training),
                "max_target_tokens": self.settings.student.max_target_tokens,
                "learns": _described(training_set),
            }
        )

    def base(self, training_set: RootTrainingSet) -> OpenStudent:
        """What training starts from. A student from scratch is made once for all rounds, of the words of round 0."""
        student = self.settings.student
        if student.base != SCRATCH:
            return partial(load_student, student.base, student.revision, max_target_tokens=student.max_target_tokens)
        made_of = self._base_made_of(training_set)
        if find_kept(self.store, BASE, made_of) is None:
            words = corpus(self._first_words(training_set).open().images)
            keep_student(make_student(student, words), self.store, BASE, made_of=made_of)
        return self._opener(BASE)

    def _base_made_of(self, training_set: RootTrainingSet) -> str:
        """Fingerprint of the base: its settings and, where it is from scratch, the labels whose words it can say."""
        student = self.settings.student
        parts: dict[str, Any] = {"version": VERSION, "student": identity_of(student)}
        if student.base == SCRATCH:
            initial = read_round(self.store, 0).fingerprint if has_round(self.store, 0) else None
            parts["words"] = initial or _described(replace(training_set, fold=EVERY_FOLD))
        elif (local := Path(student.base)).is_dir():
            parts["files"] = {file.name: sha256_hex(file.read_bytes()) for file in local.iterdir() if file.is_file()}
        return fingerprint(parts)

    def _first_words(self, training_set: RootTrainingSet) -> RootTrainingSet:
        if not has_round(self.store, 0):
            return replace(training_set, fold=EVERY_FOLD)
        return self.training_set(self.standing(read_round(self.store, 0)), EVERY_FOLD)

    def _opener(self, folder: str) -> OpenStudent:
        """How a worker opens a student that is kept in a folder of the root."""
        tokens = self.settings.student.max_target_tokens
        return partial(open_kept, f"{self.store.url}/{folder}", max_target_tokens=tokens)

    def _leave_no_other(self, folder: str, made_of: str) -> None:
        """Delete what another training of that student, which never ended, has left."""
        note = f"{folder}{CHECKPOINTS}/{MADE_OF}"
        if self.store.exists(note) and self.store.read_bytes(note).decode() == made_of:
            return
        for suffix in (CHECKPOINTS, RAY):
            self.store.delete_folder(folder + suffix)
        self.store.write_bytes(note, made_of.encode())

    def _report(self, number: int, name: str, total: int) -> Report:
        """Tells the watch of the pipeline and TensorBoard how a training goes; steps done again count once."""
        log = TensorBoardLog(f"{self.store.url}/{TRAINING}/round-{number:03d}/student-{name}")
        step, done = f"round {number}: student {name}", 0
        self.pipeline.watch(step, 0, total)

        def report(progress: Progress) -> None:
            nonlocal done
            log(progress)
            if progress.step > done:
                self.pipeline.watch(step, progress.step - done, total)
                done = progress.step

        return report


def student_folder(number: int, name: str) -> str:
    return f"{round_folder(number)}/students/{name}"


def _described(training_set: RootTrainingSet) -> Any:
    """What a training set holds, wherever its root stands. How tokens are counted follows from the student's base."""
    named = ((field.name, getattr(training_set, field.name)) for field in fields(training_set))
    return to_jsonable_python({name: value for name, value in named if name not in ("root", "count")})
