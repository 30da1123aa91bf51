"""Training of students on the labels of a round: each is kept in the root and trained once, whatever is killed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

from fld_engine.engine.data.store import Store
from fld_engine.engine.plan.plan import Plan
from fld_engine.engine.plan.rounds import RoundRecord, plan_of, round_folder
from fld_engine.engine.run.pipeline import Pipeline
from fld_engine.engine.stages.annotate.stage import Annotate
from fld_engine.engine.stages.coverage.stage import committed
from fld_engine.engine.stages.filter.stage import Filter
from fld_engine.refinement.labels.folds import EVERY_FOLD
from fld_engine.refinement.student.kept_student import keep_student, open_kept, read_kept
from fld_engine.refinement.student.model import Student, load_student, make_student
from fld_engine.refinement.student.settings import SCRATCH, StudentConfig
from fld_engine.refinement.training.examples import corpus
from fld_engine.refinement.training.progress import Progress, Report
from fld_engine.refinement.training.ray_trainer import TrainingJob, train_on_ray
from fld_engine.refinement.training.settings import TrainerResources, TrainingConfig
from fld_engine.refinement.training.training_log import TensorBoardLog
from fld_engine.refinement.training.training_set import RootTrainingSet
from fld_engine.schemas.annotations import Granularity
from fld_engine.schemas.tokens import most_tokens, num_tokens

BASE = "rounds/base"
TRAINING = "training"
"""Folder of the curves of all trainings, and of gold metrics by round, as TensorBoard reads them."""
CHECKPOINTS, RAY = "-checkpoints", "-ray"
"""Ends of the names of two more folders that a student has while it is trained."""

OpenStudent = Callable[[], Student]
"""How a worker opens what a training starts from; picklable."""


@dataclass(frozen=True, slots=True)
class Teacher:
    """Trains students of one root, under the lease of its pipeline. `student` says what they begin from."""

    pipeline: Pipeline
    student: StudentConfig
    trainer: TrainerResources
    num_folds: int

    @property
    def store(self) -> Store:
        return self.pipeline.store

    def standing(self, before: RoundRecord) -> Plan:
        """The root as it stands after a round, annotated and decided: what students are trained on."""
        standing = plan_of(self.store, self.pipeline.config, before.number)
        self.pipeline.record(standing.lanes(Annotate()))
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
                self.student.max_target_tokens - 2,  # its begin and end marks
            ),
            fold=fold,
            num_folds=self.num_folds,
            seed=config.seed,
            granularities=granularities,
            count=most_tokens if self.student.base == SCRATCH else num_tokens,  # its tokenizer has merges of its own
        )

    def teach(
        self,
        number: int,
        name: str,
        training_set: RootTrainingSet,
        training: TrainingConfig,
        *,
        identity: str,
        start: OpenStudent | None = None,
    ) -> str:
        """Train the student `name` of a round, unless it is kept there already; returns its folder.

        It begins from `start`, by default the base of `student`. A training that was killed goes on from its latest
        checkpoint where `identity` is the same.
        """
        folder = student_folder(number, name)
        if read_kept(self.store, folder) is None:
            job = TrainingJob(
                open_student=start or self.base(training_set),
                open_data=training_set.open,
                config=training,
                store_url=self.store.url,
                checkpoints=folder + CHECKPOINTS,
                fingerprint=f"{identity}-{name}",
                output=folder,
            )
            records = folder + RAY
            self.pipeline.release_workers()
            train_on_ray(
                job,
                self.trainer,
                storage=self.store.path(records) if self.store.local else f"{self.store.url}/{records}",
                address=self.pipeline.config.runner.ray_address,
                report=self._report(number, name, training.num_steps),
            )
        for suffix in (CHECKPOINTS, RAY):
            self.store.delete_folder(folder + suffix)
        return folder

    def opener(self, folder: str) -> OpenStudent:
        """How a worker opens a student that is kept in a folder of the root."""
        return partial(open_kept, f"{self.store.url}/{folder}", max_target_tokens=self.student.max_target_tokens)

    def base(self, training_set: RootTrainingSet) -> OpenStudent:
        """What training starts from. A student from scratch is made once for all rounds."""
        student = self.student
        if student.base != SCRATCH:
            return partial(load_student, student.base, student.revision, max_target_tokens=student.max_target_tokens)
        if read_kept(self.store, BASE) is None:
            every = replace(training_set, fold=EVERY_FOLD)
            keep_student(make_student(student, corpus(every.open().images)), self.store, BASE)
        return self.opener(BASE)

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
