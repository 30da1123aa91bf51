"""A worker: takes one task after another, keeps its models, and reports every step it takes."""

from __future__ import annotations

import logging
import os
import pkgutil
import traceback
from collections.abc import Callable
from functools import partial

from fld_engine.engine.plan.protocols import Annotator, Remembering
from fld_engine.engine.plan.registry import build_annotator
from fld_engine.engine.plan.tasks import (
    AdditionTask,
    AnnotateStep,
    CallTask,
    CompareTask,
    DeduplicateTask,
    ExportTask,
    GalleryTask,
    GatherTask,
    PackTask,
    PartitionTask,
    ReduceTask,
    ScanTask,
    Span,
    Task,
)
from fld_engine.engine.run.messages import Committed, Done, Event, Failed, Loading, Progress
from fld_engine.engine.stages.annotate.partition_steps import run_partition
from fld_engine.engine.stages.export.task import export_group
from fld_engine.engine.stages.ingest.deduplicate import deduplicate
from fld_engine.engine.stages.ingest.pack import add_to_partition, pack
from fld_engine.engine.stages.ingest.scan import scan
from fld_engine.engine.stages.report.compare import compare
from fld_engine.engine.stages.report.gallery import write_gallery
from fld_engine.engine.stages.report.reduce import gather, reduce_terms
from fld_engine.schemas.annotations import Frozen
from fld_engine.schemas.errors import FldError

log = logging.getLogger(__name__)

ANSWERS = "answers"
"""Folder of a root with one folder for each annotator that remembers."""
THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "TOKENIZERS_PARALLELISM")
"""Set before a worker's process starts, so that workers side by side do not fight for cores."""


def worker_environment(cpus: float) -> dict[str, str]:
    threads = str(max(1, int(cpus)))
    return {name: "false" if name.startswith("TOKENIZERS") else threads for name in THREAD_VARIABLES}


class Worker:
    """Lives in a process of its own. Models are loaded when first needed and kept.

    `emit` reports an event; `flush` returns once the driver has all events, and is called only by careful tasks.
    """

    def __init__(self, emit: Callable[[Event], None], flush: Callable[[], None]) -> None:
        self._emit, self._flush = emit, flush
        self._careful = False
        self._annotators: dict[str, Annotator] = {}

    def run(self, task: Task) -> None:
        """Do one task. Reports `Done` or `Failed` last; never raises."""
        log.info("task %s %s in process %d", task.kind, task.label, os.getpid())
        self._careful = task.isolation.careful
        try:
            result = self._dispatch(task)
        except FldError as error:
            self._emit(Failed(error=type(error).__name__, detail=str(error), fatal=True))
        except Exception as error:  # noqa: BLE001 - the worker boundary: the driver decides whether to try again
            detail = f"{error}\n{traceback.format_exc()}"
            self._emit(Failed(error=type(error).__name__, detail=detail, fatal=False))
        else:
            self._emit(Done(result=result.model_dump_json() if result is not None else ""))

    def _dispatch(self, task: Task) -> Frozen | None:
        match task:
            case PartitionTask():
                run_partition(task, partial(self._load, task.root), self._report, self._commit)
                return None
            case ScanTask():
                return scan(task, self._report)
            case DeduplicateTask():
                return deduplicate(task)
            case PackTask():
                return pack(task, self._report)
            case AdditionTask():
                return add_to_partition(task)
            case ExportTask():
                return export_group(task, self._report)
            case GatherTask():
                return gather(task)
            case ReduceTask():
                return reduce_terms(task)
            case GalleryTask():
                return write_gallery(task)
            case CompareTask():
                return compare(task)
            case CallTask():
                called: Frozen = pkgutil.resolve_name(task.function)(task.root, task.arguments)
                return called

    def _load(self, root: str, step: AnnotateStep) -> tuple[Annotator, bool]:
        key = f"{root} {step.name} {step.config.model_dump_json()}"
        if key in self._annotators:
            return self._annotators[key], False
        self._emit(Loading(step=step.name))
        annotator = build_annotator(step.name, step.config)
        if isinstance(annotator, Remembering):
            annotator.remember_at(f"{root.rstrip('/')}/{ANSWERS}/{step.name}")
        annotator.load()
        self._annotators[key] = annotator
        return annotator, True

    def _report(self, span: Span, finished: int) -> None:
        self._emit(Progress(span=span, finished=finished))
        if self._careful and not finished:
            self._flush()

    def _commit(self, committed: Committed) -> None:
        self._emit(committed)
