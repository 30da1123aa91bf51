"""Stage `contamination`: images that show what gold or a list of the config shows, which nothing may be trained on."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any, ClassVar

from fld_engine.engine.data.forgetting import delete_all
from fld_engine.engine.data.journal import IngestRecord, read_journal, read_partitions
from fld_engine.engine.data.partition import read_output
from fld_engine.engine.data.records import PartitionRecord
from fld_engine.engine.data.store import Store
from fld_engine.engine.plan.keeps import Holding
from fld_engine.engine.plan.leftovers import Leftover
from fld_engine.engine.plan.plan import Found, Plan, one_task_each
from fld_engine.engine.plan.stages import Driver, Removal, Worker
from fld_engine.engine.plan.tasks import ARITHMETIC, Lane, Task
from fld_engine.engine.stages.contamination.references import gather, views_identity, views_lanes, wanted
from fld_engine.engine.stages.contamination.state import (
    APPEARANCE,
    CONTAMINATION,
    FOLDER,
    STATE,
    VERSION,
    Finds,
    References,
    State,
    has_references,
    is_asked_for,
    left_out,
    needs_pictures,
    read_state,
    state_of,
)
from fld_engine.engine.stages.contamination.tables import KeepViews, LookUp, ReadList
from fld_engine.schemas.annotations import Frozen

ENTRIES_PER_MB = 40
"""Entries of a reference set that a worker holds in a megabyte: 15 KB each, and their scores for some images."""


class ContaminationStatus(Frozen):
    """Images that show an entry of a list, and entries that could not be read, by list and reason."""

    left_out: Mapping[str, int]
    unread_lists: Mapping[str, Mapping[str, int]]


class Contamination:
    """Two steps: small views of every image, and what of a partition shows a reference.

    Without gold and lists it has no steps, and nothing to do.
    """

    name: ClassVar[str] = CONTAMINATION
    after: ClassVar[tuple[str, ...]] = ("ingest",)
    every_run: ClassVar[bool] = True
    restores: ClassVar[bool] = True
    rank: ClassVar[int] = 60
    holdings: ClassVar[tuple[Holding, ...]] = (
        Holding(glob=f"stages/{APPEARANCE}", how="rewrite"),
        Holding(glob=f"stages/{CONTAMINATION}", how="whole"),  # any partition may have been compared with the image
        Holding(glob=FOLDER, how="own"),
    )

    def steps(self, plan: Plan) -> Sequence[str]:
        if not has_references(plan):
            return ()
        return (APPEARANCE, CONTAMINATION) if needs_pictures(plan) else (CONTAMINATION,)

    def identity(self, plan: Plan, step: str, partition: PartitionRecord, found: Found) -> Mapping[str, Any]:
        if step == APPEARANCE:
            return views_identity(partition, plan.config.images)
        state = state_of(plan)
        references = state.references.fingerprint if state is not None else ""
        return {
            "version": VERSION,
            "references": references,
            "partition": partition.fingerprint,
            "views": found.get((APPEARANCE, partition.id), ""),
        }

    def lanes(self, plan: Plan, missing: Mapping[str, Collection[str]]) -> list[Lane]:
        seen = [record for record in plan.partitions if record.id in missing.get(APPEARANCE, ())]
        views = views_lanes(plan.store.url, seen, plan.config.images)
        state = state_of(plan)
        if state is None or state.references.file is None:
            return views
        references = state.references.file.path
        lookups = one_task_each(
            plan,
            self,
            CONTAMINATION,
            missing.get(CONTAMINATION, ()),
            lambda record: LookUp(
                partition=record,
                references=references,
                views=plan.fingerprints.get((APPEARANCE, record.id), ""),
                fingerprint=plan.fingerprints[CONTAMINATION, record.id],
            ),
        )
        memory = ARITHMETIC.memory_mb + state.references.entries // ENTRIES_PER_MB
        resources = ARITHMETIC.model_copy(update={"memory_mb": memory})
        return [*views, *(lane.model_copy(update={"resources": resources}) for lane in lookups)]

    def is_current(self, plan: Plan) -> bool:
        state = state_of(plan)
        if not is_asked_for(plan) and state is None:
            return True
        partitions = read_partitions(read_journal(plan.store))
        if not partitions:
            return True
        if state is None:
            return False
        made_from = wanted(plan.config, partitions, state.references).made_from
        return made_from == state.references.made_from and not _unknown(plan, self, state)

    def run(self, driver: Driver) -> dict[str, int]:
        """Gather the reference set, and look up what was not; returns the images left out by list."""
        plan = driver.plan()
        if self.is_current(plan):
            return left_out(plan)
        before = read_state(driver.store)
        want = wanted(driver.config, read_partitions(driver.journal()), before.references if before else None)
        if before is None or before.references.made_from != want.made_from:
            references = gather(driver, want)
            kept = before if before is not None and before.references.fingerprint == references.fingerprint else None
            driver.store.write_model(STATE, State(references=references, finds=kept.finds if kept else {}))
        for lane in (APPEARANCE, CONTAMINATION):
            driver.record([one for one in driver.plan().lanes(self) if one.name == lane])
        _note(driver.plan(), self)
        return left_out(driver.plan())

    def numbers(self, result: Mapping[str, int]) -> Mapping[str, int]:
        return dict(result)

    def work(self, task: Task, worker: Worker) -> Frozen | None:
        # here, because every plan loads all stages, and looking at pictures is not light
        from fld_engine.engine.stages.contamination.lookup import keep_views, look_up
        from fld_engine.engine.stages.contamination.read_list import read_list

        match task.payload:
            case ReadList() as payload:
                return read_list(payload, worker)
            case KeepViews() as payload:
                keep_views(payload, worker)
                return None
            case LookUp() as payload:
                look_up(payload, worker)
                return None
        raise TypeError(f"stage {CONTAMINATION} has no task for {type(task.payload).__name__}")

    def leftovers(self, plan: Plan, journal: Sequence[IngestRecord], files: Mapping[str, int]) -> Iterator[Leftover]:
        """Reference sets and lists that are not those of the last look-up."""
        if (state := state_of(plan)) is None:
            return
        stays = {part for facts in state.references.lists.values() for part in facts.parts}
        stays |= {state.references.file.path} if state.references.file else set()
        for path in sorted(files, key=lambda path: (not path.endswith(".json"), path)):
            if path.startswith(f"{FOLDER}/references-") and path not in stays:
                yield Leftover(path, "unused")
            if path.startswith(f"{FOLDER}/lists/") and path.rsplit("/", 1)[-1].split(".")[0] not in stays:
                yield Leftover(path, "earlier config")

    def forget(self, store: Store, removal: Removal, tick: Callable[[], None]) -> None:
        """The reference set goes, and is gathered again; what lists were read from stays."""
        state = read_state(store)
        if state is not None:
            lists = {name: facts for name, facts in state.references.lists.items() if facts.parts}
            store.write_model(STATE, State(references=References(made_from="", entries=1, lists=lists)))
            tick()
        delete_all(store, FOLDER, sorted(n for n in store.list_names(FOLDER) if n.startswith("references-")), tick)

    def status(self, plan: Plan, journal: Sequence[IngestRecord]) -> ContaminationStatus:
        state = state_of(plan)
        lists = state.references.lists if state is not None else {}
        unread = {name: dict(facts.unread) for name, facts in lists.items() if facts.unread}
        return ContaminationStatus(left_out=left_out(plan), unread_lists=unread)


def _unknown(plan: Plan, stage: Contamination, state: State) -> bool:
    """Whether a partition of the plan was not looked up, or what was found is not noted."""
    if not stage.steps(plan):
        return False
    return any(f"{p.id}-{plan.fingerprints[CONTAMINATION, p.id]}" not in state.finds for p in plan.partitions)


def _note(plan: Plan, stage: Contamination) -> None:
    """Write down what each look-up found, so that a plan knows it without opening tables."""
    state = state_of(plan)
    assert state is not None, "the reference set is gathered first"
    finds = dict(state.finds)
    for partition in plan.partitions if stage.steps(plan) else ():
        lookup = plan.fingerprints[CONTAMINATION, partition.id]
        if (key := f"{partition.id}-{lookup}") not in finds:
            file = read_output(plan.store, CONTAMINATION, partition.id, lookup).files["found"]
            lists = plan.store.read_table(file.path, ["list"])["list"].to_pylist() if file.rows else []
            counts = {name: lists.count(name) for name in sorted(set(lists))}
            finds[key] = Finds(names=file.sha256[:16] if lists else "", by_list=counts)
    plan.store.write_model(STATE, state.model_copy(update={"finds": finds}))
