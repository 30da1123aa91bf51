"""An ingest in this very process: its tasks are done one after another, as a worker would."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from fld_engine.engine.data.journal import IngestRecord, read_journal
from fld_engine.engine.data.store import Store
from fld_engine.engine.plan.config import RunConfig
from fld_engine.engine.plan.tasks import Isolation, Lane, Task
from fld_engine.engine.stages.ingest.stage import Ingest


def ingest_here(root: Path | str, config: RunConfig) -> tuple[Store, IngestRecord | None]:
    """Ingest what is new in the sources of a config; `None` where nothing is."""
    store = Store(str(root))
    store.open_root(create=True)
    worker: Any = SimpleNamespace(store=store, isolation=Isolation(), report=lambda span, finished: None)

    def answers(lane: Lane, kind: type[Any]) -> Iterator[tuple[Task, Any]]:
        for task in lane.tasks:
            yield task, kind.model_validate_json(Ingest().work(task, worker).model_dump_json())

    driver: Any = SimpleNamespace(store=store, config=config, journal=lambda: read_journal(store), answers=answers)
    return store, Ingest().run(driver)
