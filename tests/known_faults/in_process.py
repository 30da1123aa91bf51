"""A root whose tasks run in this process, one after another: quick, and open to what a test wants to count."""

from __future__ import annotations

import json
import tarfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fld_engine.engine.data.journal import IngestRecord, read_journal, read_partitions
from fld_engine.engine.data.libraries import note_seen
from fld_engine.engine.data.records import record_path
from fld_engine.engine.data.store import Store
from fld_engine.engine.plan.config import RunConfig, parse_config
from fld_engine.engine.plan.plan import Plan, make_plan
from fld_engine.engine.plan.stages import Answer, Result, Stage
from fld_engine.engine.plan.tasks import Lane, Task
from fld_engine.engine.run.messages import Committed, Done, Event
from fld_engine.engine.run.worker import WorkerLoop
from fld_engine.engine.stages.annotate.stage import Annotate
from fld_engine.engine.stages.coverage.stage import Coverage
from fld_engine.engine.stages.export.stage import Export, ExportSummary
from fld_engine.engine.stages.filter.stage import Filter
from fld_engine.engine.stages.ingest.stage import Ingest
from fld_engine.schemas.errors import RunnerError

Row = dict[str, Any]


def plain_config(*sources: Row, **changes: Any) -> RunConfig:
    """Sources, and what they say: no annotator, no filter, every image exported to train."""
    tree: Row = {
        "name": "plain",
        "sources": list(sources),
        "annotators": {},
        "filters": {},
        "export": {"max_samples": 1000, "splits": {"train": 1.0}},
    }
    return parse_config({**tree, **changes}, where="test")


@dataclass(frozen=True)
class Root:
    """The stages of one root. Tasks are what they are under a runner; a task that fails raises `RunnerError`."""

    store: Store
    config: RunConfig

    watch = staticmethod(lambda step, now, total: None)

    def journal(self) -> list[IngestRecord]:
        return read_journal(self.store)

    def plan(self) -> Plan:
        return make_plan(self.store, self.config, read_partitions(self.journal()))

    def run(self, stage: Stage[Result]) -> Result:
        return stage.run(self)

    def run_all(self) -> ExportSummary:
        """Every stage from ingest to export."""
        for stage in (Ingest(), Annotate(), Filter(), Coverage()):
            self.run(stage)
        return self.run(Export())

    def record(self, lanes: Sequence[Lane]) -> int:
        """Do the tasks of lanes, and record what they commit."""
        return sum(len(self._do(task)[:-1]) for lane in lanes for task in lane.tasks)

    def answers(self, lane: Lane, kind: type[Answer]) -> Iterator[tuple[Task, Answer]]:
        """Do the tasks of a lane."""
        for task in lane.tasks:
            last = self._do(task)[-1]
            assert isinstance(last, Done)
            yield task, kind.model_validate_json(last.result)

    def _do(self, task: Task) -> list[Event]:
        """What a worker says of a task: outputs that it commits, which are recorded, and the end."""
        events: list[Event] = []
        WorkerLoop(events.append, lambda: None).run(task)
        if not isinstance(events[-1], Done):
            raise RunnerError(f"{task.stage} {task.label}: {events[-1]}")
        committed = [event for event in events if isinstance(event, Committed)]
        for event in committed:
            output = event.output
            note_seen(self.store, output.step, output.made_with)
            self.store.write_model(record_path(output.step, output.partition, output.fingerprint), output)
        return [*committed, events[-1]]

    # ------------------------------------------------------------------ what came of it

    def rows(self, table: str) -> list[Row]:
        """Rows of a table that the sources brought: `images`, `texts`, `regions`, `labels` and so on."""
        found: list[Row] = []
        for record in read_partitions(read_journal(self.store)):
            for files in (record.files, *record.additions):
                if table in files:
                    found += self.store.read_table(files[table].path).to_pylist()
        return found

    def quarantine(self) -> list[Row]:
        """What was rejected in all ingests: `uri`, `what`, `reason`, `detail`."""
        journal = read_journal(self.store)
        return [row for one in journal for row in self.store.read_table(one.quarantine.path).to_pylist()]

    def samples(self) -> list[Row]:
        """The json of every exported sample, in shard order. The root must be a local folder."""
        return [json.loads(data) for name, data in self.members() if name.endswith(".json")]

    def members(self) -> Iterator[tuple[str, bytes]]:
        """(name, bytes) of every file in the shards."""
        for shard in sorted(Path(self.store.base, "export/shards").glob("*.tar")):
            with tarfile.open(shard) as tar:
                for member in tar:
                    stream = tar.extractfile(member)
                    assert stream is not None, f"{member.name} in {shard.name} is no file"
                    yield member.name, stream.read()


def new_root(url: Path | str, config: RunConfig) -> Root:
    """A root that is made where there is none."""
    store = Store(str(url))
    store.open_root(create=True)
    return Root(store, config)
