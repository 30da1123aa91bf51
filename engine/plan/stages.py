"""What a stage is, what it may ask of the driver that runs it, and what its tasks may ask of their process.

A stage is one file, or one folder, and one entry point in group `fld_engine.stages` that names its class; it is built
without arguments. One that maps over partitions also is `Steps`: the plan then knows what of it is missing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, ClassVar, Protocol, TypeVar, runtime_checkable

from pydantic import Field

from fld_engine.engine.data.journal import IngestRecord
from fld_engine.engine.data.records import OutputRecord
from fld_engine.engine.data.store import Store
from fld_engine.engine.plan.config import AnnotatorConfig, RunConfig
from fld_engine.engine.plan.plan import Plan, Steps
from fld_engine.engine.plan.protocols import Annotator
from fld_engine.engine.plan.tasks import Isolation, Lane, Span, Spent, Task
from fld_engine.engine.plan.trust import Trust
from fld_engine.schemas.annotations import Frozen

Result = TypeVar("Result")
Result_co = TypeVar("Result_co", covariant=True)
Answer = TypeVar("Answer", bound=Frozen)


class Worker(Protocol):
    """What a task may ask of the process that does it."""

    store: Store
    isolation: Isolation
    trust: Trust

    def report(self, span: Span, finished: int) -> None:
        """Say that work on a span is about to begin (`finished` 0), or how many of its units are done.

        A stage that says of every span that it begins, and keeps to `isolation`, has the units found that its worker
        does not survive; tasks of others are tried again `limits.task_retries` times.
        """
        ...

    def commit(self, output: OutputRecord, spent: Spent = ...) -> None:
        """Say that the files of an output are written; the driver makes them count."""
        ...

    def annotator(self, step: str, config: AnnotatorConfig) -> tuple[Annotator, bool]:
        """An annotator that is ready, kept for later tasks, and whether it was loaded just now."""
        ...


class Driver(Protocol):
    """What a stage may ask of whoever drives a root, under its lease."""

    store: Store
    config: RunConfig
    watch: Callable[[str, int, int], None]
    """Told of progress: (step, units finished now, units in all), as `engine.run.pipeline.Watch`."""

    def journal(self) -> list[IngestRecord]:
        """Records of the finished ingests, in order."""
        ...

    def plan(self) -> Plan:
        """What is missing now."""
        ...

    def record(self, lanes: Sequence[Lane]) -> int:
        """Run tasks that commit outputs, and record these; returns their number."""
        ...

    def answers(self, lane: Lane, kind: type[Answer]) -> Iterator[tuple[Task, Answer]]:
        """Run tasks that answer with a `kind` each, in the order in which they get done."""
        ...

    def run(self, stage: Stage[Result]) -> Result:
        """Run another stage."""
        ...


@runtime_checkable
class Stage(Protocol[Result_co]):
    """A part of the pipeline. `after` names the stages whose work it reads; unknown names do not count.

    `every_run` says that a run is not complete without it. `restores` says that a removal of images runs it again, for
    it needs neither sources nor models.
    """

    name: ClassVar[str]
    after: ClassVar[tuple[str, ...]]
    every_run: ClassVar[bool]
    restores: ClassVar[bool]

    def is_current(self, plan: Plan) -> bool:
        """Whether there is nothing to do under this plan."""
        ...

    def run(self, driver: Driver) -> Result_co:
        """Do what is missing."""
        ...

    def numbers(self, result: Any) -> Mapping[str, int]:
        """What a run of it came to, in a few numbers for a line of a table."""
        ...

    def work(self, task: Task, worker: Worker) -> Frozen | None:
        """Do one of its tasks, in a worker; what is returned is the answer. Safe to call twice."""
        ...


@runtime_checkable
class StepStage(Stage[Any], Steps, Protocol):
    """A stage that is a map over partitions, such as annotators or filters."""


@runtime_checkable
class Forgets(Protocol):
    """A stage with holdings that it cleans by itself."""

    name: ClassVar[str]

    def forget(self, store: Store, removal: Removal, tick: Callable[[], None]) -> None:
        """Take images out of the stage's own holdings; `tick` is called after every change of the root.

        Killed anywhere and called again, it ends with the same files.
        """
        ...


class Removal(Protocol):
    """Images that go: their `ids`, the `partitions` that held them, and the `attempt` that names files written anew."""

    @property
    def ids(self) -> tuple[str, ...]: ...
    @property
    def partitions(self) -> tuple[str, ...]: ...
    @property
    def attempt(self) -> str: ...


class Publication(Frozen):
    """What is given out of a root: name → sha256 of files, and how many samples they hold; none until it is whole."""

    files: Mapping[str, str] = Field(default_factory=dict)
    samples: int = 0


@runtime_checkable
class Publishes(Protocol):
    """A stage whose files are given out; a removal says which of them it changed."""

    def published(self, store: Store) -> Publication | None:
        """What is given out now; `None` where nothing ever was."""
        ...


@runtime_checkable
class Opens(Protocol):
    """A stage that has something to do before anything else, each time a root is opened by a driver."""

    def open(self, driver: Driver) -> None: ...


@runtime_checkable
class Tells(Protocol):
    """A stage that has something to say in `fld status`: fields of `engine.data.status.StatusReport`, or others."""

    name: ClassVar[str]

    def status(self, plan: Plan, journal: Sequence[IngestRecord]) -> Frozen: ...
