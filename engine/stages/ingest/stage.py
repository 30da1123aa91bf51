"""Stage `ingest`: from sources to partitions."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import ClassVar

from fld_engine.engine.data.journal import IngestRecord, read_journal, totals
from fld_engine.engine.data.source_account import SourceAccount
from fld_engine.engine.data.store import Store
from fld_engine.engine.data.tombstones import read_tombstones
from fld_engine.engine.data.unread import UnreadCount, counts, read_unread
from fld_engine.engine.plan.keeps import Holding
from fld_engine.engine.plan.leftovers import Leftover
from fld_engine.engine.plan.libraries import Made
from fld_engine.engine.plan.plan import Plan
from fld_engine.engine.plan.stages import Driver, Removal, Worker
from fld_engine.engine.plan.tasks import Task
from fld_engine.engine.stages.ingest.again import chunks_again, refused_before
from fld_engine.engine.stages.ingest.deduplicate import deduplicate
from fld_engine.engine.stages.ingest.find_twins import group_twins
from fld_engine.engine.stages.ingest.forget import forget_ingested
from fld_engine.engine.stages.ingest.gone import find_gone
from fld_engine.engine.stages.ingest.ingest import ingest, new_chunks
from fld_engine.engine.stages.ingest.leftovers import ingest_leftovers
from fld_engine.engine.stages.ingest.pack import pack
from fld_engine.engine.stages.ingest.revise import revise
from fld_engine.engine.stages.ingest.scan import scan
from fld_engine.engine.stages.ingest.scanning import STAGE
from fld_engine.engine.stages.ingest.tasks import (
    DeduplicateBucket,
    FindGone,
    GroupTwins,
    PackPartition,
    RevisePartition,
    ScanChunk,
)
from fld_engine.schemas.annotations import Frozen


class IngestStatus(Frozen):
    """found = ingested + duplicates + known + quarantined; `removed` of those that were ingested are gone.

    `refused_before` of the quarantined ones would be accepted under the limits of the config. `unread` was left for the
    next run, by kind of failure; it is no part of what was found.
    """

    found: int
    ingested: int
    duplicates: int
    known: int
    removed: int
    quarantined: Mapping[str, int]
    rejected_annotations: Mapping[str, int]
    sources: Mapping[str, SourceAccount]
    partitions: int
    refused_before: int
    unread: Mapping[str, UnreadCount]


class Ingest:
    """Reads what is new in the sources, and cuts it into partitions."""

    name: ClassVar[str] = STAGE
    after: ClassVar[tuple[str, ...]] = ("fetch",)
    every_run: ClassVar[bool] = True
    restores: ClassVar[bool] = False
    stays: ClassVar[str] = (
        "partitions are cut once; were an earlier image hashed anew, it could change its twins, and with them its split"
    )
    rank: ClassVar[int] = 90  # it names the places of images in everything else
    holdings: ClassVar[tuple[Holding, ...]] = (
        Holding(glob="ingest", how="own"),
        Holding(glob="partitions", how="own"),
        Holding(glob="quarantine", how="own"),
    )

    def is_current(self, plan: Plan) -> bool:
        journal = read_journal(plan.store)
        again = chunks_again(plan.store, journal)
        return not new_chunks(plan.store, plan.config, journal, again) and not read_unread(plan.store)

    def run(self, driver: Driver) -> IngestRecord | None:
        """The journal of this ingest; `None` where nothing is new."""
        return ingest(driver)

    def numbers(self, result: IngestRecord | None) -> Mapping[str, int]:
        if result is None:
            return {"found": 0, "new": 0, "duplicates": 0, "revised": 0, "quarantined": 0}
        quarantined = sum(result.quarantined.values())
        return {
            "found": result.found,
            "new": result.new,
            "duplicates": result.duplicates,
            "revised": result.revised,
            "quarantined": quarantined,
        }

    def work(self, task: Task, worker: Worker) -> Frozen:
        match task.payload:
            case ScanChunk() as payload:
                return scan(payload, worker)
            case DeduplicateBucket() as payload:
                return deduplicate(worker.store, payload)
            case GroupTwins() as payload:
                return group_twins(worker.store, payload)
            case PackPartition() as payload:
                return pack(payload, worker)
            case FindGone() as payload:
                return find_gone(worker.store, payload)
            case RevisePartition() as payload:
                return revise(worker.store, payload)
        raise TypeError(f"stage {STAGE} has no task for {type(task.payload).__name__}")

    def forget(self, store: Store, removal: Removal, tick: Callable[[], None]) -> None:
        forget_ingested(store, removal, tick)

    def leftovers(self, plan: Plan, journal: Sequence[IngestRecord], files: Mapping[str, int]) -> Iterator[Leftover]:
        yield from ingest_leftovers(journal, files)

    def made(self, plan: Plan, steps: Collection[str]) -> Iterator[Made]:
        yield from (Made(STAGE, record.id, record.made_with) for record in plan.partitions)

    def status(self, plan: Plan, journal: Sequence[IngestRecord]) -> IngestStatus:
        found = totals(journal)
        return IngestStatus(
            found=found.found,
            ingested=found.new,
            duplicates=found.duplicates,
            known=found.known,
            removed=len(read_tombstones(plan.store)),
            quarantined=dict(sorted(found.quarantined.items())),
            rejected_annotations=dict(sorted(found.rejected_annotations.items())),
            sources=found.sources,
            partitions=len(plan.partitions),
            refused_before=len(refused_before(plan.store, plan.config, journal)),
            unread=counts(read_unread(plan.store)),
        )
