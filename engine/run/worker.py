"""A worker: takes one task after another, keeps its models, and reports every step it takes."""

from __future__ import annotations

import logging
import math
import os
import time
from collections.abc import Callable, Mapping

from fld_engine.engine.data.extras import missing_sentence
from fld_engine.engine.data.foreign import said
from fld_engine.engine.data.records import OutputRecord
from fld_engine.engine.data.store import Store
from fld_engine.engine.plan.config import AnnotatorConfig
from fld_engine.engine.plan.protocols import Annotator, Remembering
from fld_engine.engine.plan.registry import build_annotator, stage_named
from fld_engine.engine.plan.stages import Stage
from fld_engine.engine.plan.tasks import Isolation, Span, Spent, Task
from fld_engine.engine.plan.trust import Distrusted, Trust, is_device_error
from fld_engine.engine.run.logs import context
from fld_engine.engine.run.messages import Broken, Committed, Done, Event, Failed, Loading, Progress
from fld_engine.schemas.errors import FldError, TransportError

log = logging.getLogger(__name__)

ANSWERS = "answers"
"""Folder of a root with one folder for each annotator that remembers."""
PACE_S = 0.5
"""How often progress is told while all is well."""
THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "TOKENIZERS_PARALLELISM")
"""Set before a worker's process starts, so that workers side by side do not fight for cores."""


def worker_environment(cpus: float) -> dict[str, str]:
    threads = str(max(1, int(cpus)))
    return {name: "false" if name.startswith("TOKENIZERS") else threads for name in THREAD_VARIABLES}


class WorkerLoop:
    """The `Worker` of every task of a process. Models are loaded when first needed and kept.

    `emit` reports an event; `flush` returns once the driver has all events, and is called only by careful tasks.
    """

    def __init__(self, emit: Callable[[Event], None], flush: Callable[[], None]) -> None:
        self._emit, self._flush = emit, flush
        self._annotators: dict[str, Annotator] = {}
        self._untold: dict[str, Progress] = {}
        self._begun: dict[str, float] = {}  # when the last span of an annotator began
        self._told_at = -math.inf
        self.doing: Mapping[str, str] = {}
        """What the process is at, for its log: stage and partition."""
        self.trust = Trust()
        self.store: Store
        self.isolation: Isolation

    def run(self, task: Task) -> None:
        """Do one task. Reports `Done`, `Failed` or `Broken` last; never raises."""
        self.doing = {"stage": task.stage, "partition": task.label}
        log.info("task %s %s in process %d", task.stage, task.label, os.getpid())
        self.store, self.isolation = Store(task.root), task.isolation
        self._untold.clear()
        self._begun.clear()
        begun = time.monotonic()
        self.trust.begin(task.isolation)
        try:
            stage: Stage[object] = stage_named(task.stage)
            answer = stage.work(task, self)
        except Distrusted as doubt:
            self._say(Broken(detail=doubt.detail, spans=doubt.spans, guilty=doubt.guilty))
        except FldError as error:
            fatal = not isinstance(error, TransportError)
            self._say(Failed(error=type(error).__name__, detail=str(error), fatal=fatal))
        except ImportError as error:
            lacking = missing_sentence(error)
            detail = lacking or said(error)
            self._say(Failed(error=type(error).__name__, detail=detail, fatal=bool(lacking)))
        except Exception as error:  # noqa: BLE001 - the worker boundary: the driver decides whether to try again
            detail = said(error)
            if is_device_error(error):
                self._say(Broken(detail=detail))
            else:
                self._say(Failed(error=type(error).__name__, detail=detail, fatal=False))
        else:
            spent = Spent(held_s=time.monotonic() - begun, **self.store.traffic.moved()._asdict())
            self._say(Done(result=answer.model_dump_json() if answer is not None else "", spent=spent))

    def annotator(self, step: str, config: AnnotatorConfig) -> tuple[Annotator, bool]:
        self._begun[step] = math.inf
        key = f"{self.store.url} {step} {config.model_dump_json()}"
        if key in self._annotators:
            return self._annotators[key], False
        self._say(Loading(step=step))
        with context(specialist=step):
            annotator = build_annotator(step, config)
            if isinstance(annotator, Remembering):
                annotator.remember_at(f"{self.store.url}/{ANSWERS}/{step}")
            annotator.load()
        self._annotators[key] = annotator
        return annotator, True

    def report(self, span: Span, finished: int) -> None:
        """Tell of progress at a steady pace; at once where an image failed, or the task is careful."""
        failed, worked = self.trust.take(span.step)
        before = self._untold.get(span.step, Progress(span=span))
        self._untold[span.step] = Progress(
            span=span,
            finished=before.finished + finished,
            failed=before.failed + failed,
            worked=before.worked or worked,
            batch_s=before.batch_s + self._timed(span.step, finished),
        )
        if failed or self.isolation.careful or time.monotonic() - self._told_at > PACE_S:
            self._tell()
        if self.isolation.careful and not finished:
            self._flush()

    def _timed(self, step: str, finished: int) -> tuple[float, ...]:
        """The seconds since the last span of an annotator began, where it has ended now."""
        if step not in self._begun:
            return ()
        begun, now = self._begun[step], time.monotonic()
        self._begun[step] = math.inf if finished else now
        return (now - begun,) if finished and begun < now else ()

    def commit(self, output: OutputRecord, spent: Spent = Spent()) -> None:  # noqa: B008 - frozen
        self._say(Committed(output=output, spent=spent))

    def _tell(self) -> None:
        for progress in self._untold.values():
            self._emit(progress)
        self._untold.clear()
        self._told_at = time.monotonic()

    def _say(self, event: Event) -> None:
        """Emit an event after the progress that came before it; what comes next is told at once."""
        self._tell()
        self._emit(event)
        self._told_at = -math.inf
