"""A task at work: what its attempts have learnt, how often it was lost, and when that is enough."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from fld_engine.engine.plan.limits import Limits
from fld_engine.engine.plan.tasks import Isolation, Span, Task
from fld_engine.engine.run.failures import Counted
from fld_engine.engine.run.isolation import condemn, isolate, suspect
from fld_engine.engine.run.logs import about
from fld_engine.engine.run.messages import Broken, Cause, Lost, Undone
from fld_engine.schemas.errors import RunnerError

LESSONS = 3
"""Broken processes that it may take to find one image: its batch fails, fails again, and a part of it fails late."""
WHAT: dict[Cause, str] = {
    "process": "its process died",
    "memory": "its process was killed for want of memory",
    "hung": "it said nothing for too long",
    "device": "its process could not be trusted any more",
    "node": "its node left",
}
CURES: dict[Cause, str] = {
    "process": "Look at the last lines of its log; if the machine was short of memory, run fewer workers",
    "memory": "Run fewer workers, ask for what it takes (annotators.NAME.resources.memory_mb), or cut smaller pieces "
    "(partitions.max_images, export.max_samples, export.group_partitions)",
    "hung": "Look whether storage and endpoints answer, or raise limits.load_timeout_s or limits.batch_timeout_s",
    "device": "Look at the device and its driver (nvidia-smi, dmesg), and take it out of use if it is at fault",
    "node": "Look at the nodes of the cluster",
}


@dataclass(frozen=True, slots=True)
class Scene:
    """Where a worker was lost: what it did, whether that was work, and the memory that it asks for."""

    doing: str
    working: bool
    wanted_mb: int


@dataclass(slots=True, eq=False)
class Job:
    """A task with what became of its attempts."""

    task: Task
    losses: Counter[Span] = field(default_factory=Counter)  # of careful attempts
    attempts: int = 0  # lost for a cause that counts, or failed, without any lesson
    lost: Counter[Cause] = field(default_factory=Counter)
    broken: int = 0  # processes that could not be trusted, since an image was last found to be at fault
    fresh: bool = False  # wants a process that has done nothing yet
    peak_mb: int = 0
    counted: Counted = field(default_factory=Counter)  # what the present attempt has reported

    @property
    def about(self) -> dict[str, object]:
        """What a log record of it is about."""
        return about(stage=self.task.stage, partition=self.task.label)

    def undone(self) -> list[Undone]:
        """What the present attempt has reported, which is not done if it comes to nothing."""
        done, failed = self._reported("done"), self._reported("failed")
        return [
            Undone(step=step, finished=done[step] + failed[step], failed=failed[step]) for step in {**done, **failed}
        ]

    def _reported(self, what: str) -> Counter[str]:
        return Counter({step: num for (step, kind), num in self.counted.items() if kind == what})

    def lose(self, lost: Lost, begun: Span | None, scene: Scene, limits: Limits) -> None:
        """Take up what the loss of a worker teaches. Raises `RunnerError` where it was lost too often for nothing.

        A first loss may be due to what lies outside of the task, and is not counted, but for models that do not load.
        """
        if lost.cause == "node":
            return
        self.lost[lost.cause] += 1
        self.peak_mb = max(self.peak_mb, lost.peak_mb)
        before = self.task.isolation
        again = before.careful and begun is not None
        if begun is not None:
            self.losses[begun] += before.careful
        self._learn(isolate(before, begun, lost.cause, self.losses))
        lesson = self.task.isolation != before or (again and begun is not None and self.losses[begun] <= 2)
        if not lesson or (lost.cause == "hung" and not scene.working):
            self._count(lost.cause, lost.detail, scene, limits)

    def break_(self, broken: Broken, scene: Scene, limits: Limits) -> None:
        """Take up what a process that cannot be trusted says last; the next attempt begins in a fresh one.

        Raises `RunnerError` where no image could be found that does it.
        """
        self.lost["device"] += 1
        self.fresh = True
        self._learn(suspect(condemn(self.task.isolation, broken.guilty), broken.spans))
        self.broken = 0 if broken.guilty else self.broken + 1
        if not broken.spans and not broken.guilty:
            self._count("device", broken.detail, scene, limits)
        elif self.broken > LESSONS + limits.task_retries:
            raise RunnerError(self._ended("device", broken.detail, scene))

    def _learn(self, isolation: Isolation) -> None:
        self.task = self.task.model_copy(update={"isolation": isolation})

    def _count(self, cause: Cause, detail: str, scene: Scene, limits: Limits) -> None:
        self.attempts += 1
        if self.attempts > limits.task_retries:
            raise RunnerError(self._ended(cause, detail, scene))

    def _ended(self, cause: Cause, detail: str, scene: Scene) -> str:
        causes = ", ".join(f"{WHAT[one]} ({num} times)" for one, num in self.lost.items())
        peak = f"; it held up to {self.peak_mb} MB and asks for {scene.wanted_mb} MB" if self.peak_mb else ""
        return (
            f"{self.task.stage} {self.task.label}: its worker was lost {self.lost.total()} times: {causes}, last "
            f"{scene.doing}{': ' + detail if detail else ''}{peak}. {CURES[cause]}; then run again: what is "
            "recorded stays. limits.task_retries says how often a task is tried"
        )
