"""Stage `fetch`: from lists of addresses to tars in the root, which are then ingested."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import ClassVar

from fld_engine.engine.data.extras import missing_sentence
from fld_engine.engine.data.journal import IngestRecord
from fld_engine.engine.data.store import Store
from fld_engine.engine.plan.keeps import Holding
from fld_engine.engine.plan.leftovers import Leftover
from fld_engine.engine.plan.plan import Plan
from fld_engine.engine.plan.stages import Driver, Removal, Worker
from fld_engine.engine.plan.tasks import Task
from fld_engine.engine.sources.fetched import FOLDER, read_records
from fld_engine.engine.stages.fetch.forget import forget_fetched
from fld_engine.engine.stages.fetch.lists import is_done, lists_of
from fld_engine.engine.stages.fetch.tasks import STAGE, AskAddresses, ListAgain, ListRows, PackShard
from fld_engine.engine.stages.fetch.waves import Fetched, fetch_list
from fld_engine.schemas.annotations import Frozen
from fld_engine.schemas.errors import ConfigError


class FetchStatus(Frozen):
    """By source: addresses by what became of them, `success` or a reason."""

    addresses: Mapping[str, Mapping[str, int]]


class Fetch:
    """Asks for the images of lists of addresses, each once."""

    name: ClassVar[str] = STAGE
    after: ClassVar[tuple[str, ...]] = ()
    every_run: ClassVar[bool] = True
    restores: ClassVar[bool] = False
    rank: ClassVar[int] = 80
    holdings: ClassVar[tuple[Holding, ...]] = (Holding(glob=FOLDER, how="own"), Holding(glob="fetching", how="own"))

    def is_current(self, plan: Plan) -> bool:
        return all(is_done(plan.store, one) for one in lists_of(plan.config))

    def run(self, driver: Driver) -> Fetched:
        """Raises `SourceError` for a list that cannot be read."""
        done = [fetch_list(driver, one) for one in lists_of(driver.config) if not is_done(driver.store, one)]
        return Fetched(
            addresses=sum(one.addresses for one in done),
            fetched=sum(one.fetched for one in done),
            num_bytes=sum(one.num_bytes for one in done),
        )

    def numbers(self, result: Fetched) -> Mapping[str, int]:
        if not result.addresses:
            return {}
        return {"addresses": result.addresses, "fetched": result.fetched, "megabytes": result.num_bytes // 2**20}

    def work(self, task: Task, worker: Worker) -> Frozen:
        try:
            from fld_engine.engine.stages.fetch.ask import ask
            from fld_engine.engine.stages.fetch.listing import list_again, list_rows
            from fld_engine.engine.stages.fetch.pack import pack
        except ImportError as error:
            raise ConfigError(missing_sentence(error) or str(error)) from error
        match task.payload:
            case ListRows() as payload:
                return list_rows(payload, worker)
            case ListAgain() as payload:
                return list_again(worker.store, payload)
            case AskAddresses() as payload:
                return ask(payload, worker)
            case PackShard() as payload:
                return pack(payload, worker)
        raise TypeError(f"stage {STAGE} has no task for {type(task.payload).__name__}")

    def forget(self, store: Store, removal: Removal, tick: Callable[[], None]) -> None:
        forget_fetched(store, removal, tick)

    def leftovers(self, plan: Plan, journal: Sequence[IngestRecord], files: Mapping[str, int]) -> Iterator[Leftover]:
        """What killed writers left half written; answers of a list that is not done are not left over."""
        for path in files:
            if path.startswith((f"{FOLDER}/", "fetching/")) and path.endswith(".tmp"):
                yield Leftover(path, "unfinished")

    def status(self, plan: Plan, journal: Sequence[IngestRecord]) -> FetchStatus:
        found: dict[str, Mapping[str, int]] = {}
        for one in lists_of(plan.config):
            counts: Counter[str] = Counter()
            for record in read_records(plan.store, one.name).values():
                counts.update(record.status_dict)
            found[one.name] = dict(counts.most_common())
        return FetchStatus(addresses=found)
