"""The log of a run in Prefect: what our loggers, and workers through them, say while a flow of ours runs."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import copy_context
from copy import copy

from prefect.context import FlowRunContext, TaskRunContext
from prefect.logging.handlers import APILogHandler

from fld_engine.engine.run.logs import CHATTY, FIELDS, OURS, PROGRESS, TextLines, fields_of, set_levels


@contextmanager
def prefect_logs() -> Iterator[None]:
    """Within a flow: send records to the log of its run. Whoever shows them elsewhere goes on doing so."""
    if logging.getLogger(PROGRESS).level == logging.NOTSET:  # a worker of Prefect has started this process
        set_levels()
    context = FlowRunContext.get()
    if context is None or context.flow_run is None:
        yield
        return
    handler = _RunLog(str(context.flow_run.id))
    logging.getLogger().addHandler(handler)
    try:
        yield
    finally:
        logging.getLogger().removeHandler(handler)


class _RunLog(APILogHandler):
    """Prefect's own handler knows the run by the context of a thread; ours also hears threads that have none."""

    def __init__(self, flow_run_id: str) -> None:
        super().__init__()
        self._flow_run_id = flow_run_id
        self._context = copy_context()  # without it, a thread of ours would look for another server
        self.setFormatter(TextLines(head=""))
        extra = logging.getLogger(OURS).handlers  # PREFECT_LOGGING_EXTRA_LOGGERS: Prefect sends these already
        self._left_out = ("prefect", *CHATTY, *([OURS] if any(isinstance(h, APILogHandler) for h in extra) else []))

    def filter(self, record: logging.LogRecord) -> bool:
        return record.name.partition(".")[0] not in self._left_out and bool(super().filter(record))

    def emit(self, record: logging.LogRecord) -> None:
        task = TaskRunContext.get()
        sent = copy(record)  # others go on to handle it
        sent.flow_run_id, sent.task_run_id = self._flow_run_id, str(task.task_run.id) if task else None
        setattr(sent, FIELDS, fields_of(record))
        self._context.copy().run(super().emit, sent)
