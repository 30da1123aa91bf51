"""The driver's side of an export: which groups of shards are missing, and the manifest over all of them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import ClassVar

import pyarrow.compute as pc
from pydantic import Field, ValidationError

from fld_engine.engine.data.hashing import fingerprint
from fld_engine.engine.data.identity import identity_of
from fld_engine.engine.data.journal import IngestRecord, read_journal, read_partitions
from fld_engine.engine.data.libraries import note_seen
from fld_engine.engine.data.partition import PartitionImages, read_output
from fld_engine.engine.data.records import ModelIdentity, PartitionRecord, record_path
from fld_engine.engine.data.store import Store
from fld_engine.engine.data.tombstones import finish_removal, read_tombstones
from fld_engine.engine.plan.keeps import Holding
from fld_engine.engine.plan.leftovers import Leftover
from fld_engine.engine.plan.libraries import Made
from fld_engine.engine.plan.plan import Plan
from fld_engine.engine.plan.stages import Driver, Publication, Removal, Worker
from fld_engine.engine.plan.tasks import ARITHMETIC, Lane, Task
from fld_engine.engine.stages.contamination.state import left_out, state_of
from fld_engine.engine.stages.coverage.stage import committed
from fld_engine.engine.stages.export.facts import FACTS_VERSION, ExcludedFacts, export_facts
from fld_engine.engine.stages.export.forget import FOLDER, RECORDS, forget_exported
from fld_engine.engine.stages.export.leftovers import export_leftovers
from fld_engine.engine.stages.export.manifest import IDX, MANIFEST, SHARDS, Manifest, make_manifest
from fld_engine.engine.stages.export.placed import Placed, clear_marks, forget_records, mark_placed
from fld_engine.engine.stages.export.publish import withdraw_manifest, write_export_index
from fld_engine.engine.stages.export.task import ExportGroup, GroupResult, export_group
from fld_engine.schemas.annotations import Frozen
from fld_engine.schemas.errors import AccountingError
from fld_engine.schemas.sample import CLASS_KEYS, SAMPLE_VERSION

VERSION = 5
"""Version of what an export writes from the same tables; bumped when its bytes change."""


class ExportSummary(Frozen):
    """An export as it stands."""

    num_samples: int
    num_shards: int
    groups_written: int


class ExportStatus(Frozen):
    exported_samples: int
    exported_shards: int
    unsaid: Mapping[str, Mapping[str, int]] = Field(default_factory=dict)


class Export:
    """Shards of the trainer, under `export` or `exports/NAME`."""

    name: ClassVar[str] = "export"
    after: ClassVar[tuple[str, ...]] = ("coverage",)
    every_run: ClassVar[bool] = True
    restores: ClassVar[bool] = True
    rank: ClassVar[int] = 10  # what is given out goes first
    holdings: ClassVar[tuple[Holding, ...]] = (
        Holding(glob=FOLDER, how="own"),
        Holding(glob=RECORDS, how="own"),
        Holding(glob="exports", how="whole"),
    )

    def is_current(self, plan: Plan) -> bool:
        """Whether the export is complete and is that of this plan."""
        journal = read_journal(plan.store)
        groups = _tasks(plan, journal)
        if _missing(plan, groups):
            return False
        results = [plan.store.read_model(_record_path(task), GroupResult) for task in groups]
        return _is_written(plan.store.within(export_folder(plan)), _manifest(plan, journal, results))

    def run(self, driver: Driver) -> ExportSummary:
        """Write the groups of shards that are missing, and the manifest. With it, a removal is through."""
        summary = export_root(driver)
        finish_removal(driver.store)
        return summary

    def numbers(self, result: ExportSummary) -> Mapping[str, int]:
        return {"samples": result.num_samples, "shards": result.num_shards}

    def work(self, task: Task, worker: Worker) -> GroupResult:
        assert isinstance(task.payload, ExportGroup), "a task of another stage"
        return export_group(task.payload, worker)

    def forget(self, store: Store, removal: Removal, tick: Callable[[], None]) -> None:
        forget_exported(store, removal, tick)

    def published(self, store: Store) -> Publication | None:
        if not store.exists(f"{FOLDER}/{SHARDS}"):
            return None
        if not store.exists(f"{FOLDER}/{MANIFEST}"):
            return Publication()
        manifest: Manifest = store.read_model(f"{FOLDER}/{MANIFEST}", Manifest)
        return Publication(files={shard.name: shard.sha256 for shard in manifest.shards}, samples=manifest.samples)

    def made(self, plan: Plan, steps: Collection[str]) -> Iterator[Made]:
        recorded = plan.store.list_names(RECORDS) if self.name in steps else set()
        for task in _tasks(plan, read_journal(plan.store)):
            path = _record_path(task)
            if path.rsplit("/", 1)[-1] in recorded:
                result: GroupResult = plan.store.read_model(path, GroupResult)
                yield Made(self.name, path, result.made_with)

    def make_again(self, plan: Plan, outputs: Collection[Made]) -> None:
        forget_records(plan.store, [made.output for made in outputs])

    def leftovers(self, plan: Plan, journal: Sequence[IngestRecord], files: Mapping[str, int]) -> Iterator[Leftover]:
        yield from export_leftovers(plan.store, files)

    def status(self, plan: Plan, journal: Sequence[IngestRecord]) -> ExportStatus:
        path = f"{export_folder(plan)}/{MANIFEST}"
        if not plan.store.exists(path):
            return ExportStatus(exported_samples=0, exported_shards=0)
        manifest: Manifest = plan.store.read_model(path, Manifest)
        return ExportStatus(
            exported_samples=manifest.samples, exported_shards=len(manifest.shards), unsaid=manifest.facts.unsaid
        )


def export_folder(plan: Plan) -> str:
    """Where the export of a plan goes, in the root."""
    return plan.folder + plan.config.export.folder


def export_root(driver: Driver) -> ExportSummary:
    """Write the groups that are missing, then the manifest. A later ingest adds groups and leaves old shards alone.

    Raises `AccountingError` when the shards do not hold every image that the verdicts keep.
    """
    plan, journal = driver.plan(), driver.journal()
    out = plan.store.within(export_folder(plan))
    groups = _tasks(plan, journal)
    missing = _missing(plan, groups)
    if missing:
        withdraw_manifest(out)
        clear_marks(plan.store, export_folder(plan), {group.group for group in missing})
    tasks = [
        Task(
            stage=Export.name,
            root=plan.store.url,
            label=f"group {group.group}",
            units={"export": sum(record.num_images for record in group.partitions)},
            payload=group,
        )
        for group in missing
    ]
    for task, result in driver.answers(Lane(name="export", resources=ARITHMETIC, tasks=tasks), GroupResult):
        assert isinstance(task.payload, ExportGroup), "the export lane ran another task"
        note_seen(plan.store, Export.name, result.made_with)
        plan.store.write_model(_record_path(task.payload), result)
        mark_placed(plan.store, export_folder(plan), _record_path(task.payload))
    results = [plan.store.read_model(_record_path(task), GroupResult) for task in groups]
    manifest = _manifest(plan, journal, results)
    _check_complete(plan, manifest)
    if missing or not _is_written(out, manifest):
        shards = [shard for result in results for shard in result.shards]
        index = (plan.store.read_table(result.index.path) for result in results)
        write_export_index(
            out,
            shards,
            index=index,
            config=plan.described_config,
            models=_models(plan),
            facts=manifest.facts,
            energon_index=plan.config.export.energon_index,
        )
    return ExportSummary(num_samples=manifest.samples, num_shards=len(manifest.shards), groups_written=len(missing))


def _groups(plan: Plan, journal: Sequence[IngestRecord]) -> list[list[PartitionRecord]]:
    """Partitions by group: those of one ingest, in the order of hash(seed, id), cut into equal numbers."""
    records = {record.id: record for record in plan.partitions}
    size = plan.config.export.group_partitions
    groups = []
    for ingest in journal:
        mine = [records[r.id] for r in ingest.partitions]
        mine.sort(key=lambda r: hashlib.sha256(f"{plan.config.seed}:{r.id}".encode()).digest())
        groups += [mine[start : start + size] for start in range(0, len(mine), size)]
    return groups


def _tasks(plan: Plan, journal: Sequence[IngestRecord]) -> list[ExportGroup]:
    """All groups. Samples have the same keys in all of them: those of classes where a source tells of any."""
    said = {
        name for record in read_partitions(journal) for files in (record.files, *record.additions) for name in files
    }
    classes = not said.isdisjoint(CLASS_KEYS)
    return [_task(plan, number, records, classes) for number, records in enumerate(_groups(plan, journal))]


def _task(plan: Plan, number: int, records: Sequence[PartitionRecord], classes: bool) -> ExportGroup:
    settings = plan.config.export
    return ExportGroup(
        out=export_folder(plan),
        group=number,
        seed=plan.config.seed,
        partitions=tuple(records),
        covers=tuple(committed(plan, record) for record in records),
        max_samples=settings.max_samples,
        max_bytes=settings.max_mb * 2**20,
        max_target_tokens=settings.max_target_tokens,
        select=settings.select,
        splits=settings.splits,
        images=records[0].limits or plan.config.images,  # those of one ingest
        metadata=settings.metadata,
        classes=classes,
    )


def _record_path(task: ExportGroup) -> str:
    """Named by everything the group's bytes depend on."""
    parts = {"kind": "export", **identity_of(task)}
    parts["partitions"] = [[record.fingerprint, record.annotations_fingerprint] for record in task.partitions]
    identity = fingerprint({**parts, "version": VERSION, "sample": SAMPLE_VERSION, "facts": FACTS_VERSION})
    return record_path("export", f"g{task.group:05d}", identity)


def _missing(plan: Plan, groups: Sequence[ExportGroup]) -> list[ExportGroup]:
    """Groups without a record, or whose shards and their offsets are not all there, as they were written for it."""
    recorded = plan.store.list_names(RECORDS)
    sizes = plan.store.list_sizes(f"{export_folder(plan)}/{SHARDS}")
    placed = Placed(plan.store, export_folder(plan), recorded)
    missing = []
    for task in groups:
        path = _record_path(task)
        if path.rsplit("/", 1)[-1] not in recorded:
            missing.append(task)
            continue
        result: GroupResult = plan.store.read_model(path, GroupResult)
        expected = {shard.name: shard.bytes for shard in result.shards}
        expected |= {shard.name + IDX: 8 * (shard.samples + 1) for shard in result.shards}
        if (
            result.index.path.rsplit("/", 1)[-1] not in recorded
            or not expected.items() <= sizes.items()
            or not placed.holds(path, result.shards)
        ):
            missing.append(task)
    return missing


def _models(plan: Plan) -> dict[str, ModelIdentity]:
    return {**plan.earlier, **{name: annotator.model for name, annotator in plan.annotators.items()}}


def _manifest(plan: Plan, journal: Sequence[IngestRecord], results: Sequence[GroupResult]) -> Manifest:
    shards = [shard for result in results for shard in result.shards]
    removed = len(read_tombstones(plan.store))
    facts = export_facts(
        [result.facts for result in results],
        journal,
        plan.filters,
        removed=removed,
        rounds=plan.rounds,
        excluded=_excluded(plan),
    )
    return make_manifest(shards, config=plan.described_config, models=_models(plan), facts=facts)


def _excluded(plan: Plan) -> list[ExcludedFacts]:
    """Lists of the config, and gold where it was found elsewhere: a root in which nothing was stays as it is."""
    state, counts = state_of(plan), left_out(plan)
    listed = {one.name for one in plan.config.exclude}
    return [
        ExcludedFacts(name=name, entries=facts.entries, left_out=counts[name], unread=facts.unread)
        for name, facts in (state.references.lists if state is not None else {}).items()
        if name in counts and (name in listed or counts[name])
    ]


def _is_written(out: Store, manifest: Manifest) -> bool:
    """Whether the manifest in place is that of these shards, and the files it lists are there."""
    try:
        written: Manifest = out.read_model(MANIFEST, Manifest)
    except (FileNotFoundError, ValidationError):
        return False
    same = written.model_copy(update={"files": ()}) == manifest
    return same and all(out.exists(file.path) for file in written.files)


def _check_complete(plan: Plan, manifest: Manifest) -> None:
    """found = exported + duplicates + quarantined + dropped: here, kept and selected images, not gold, = samples."""
    kept, select = 0, plan.config.export.select
    for record in plan.partitions:
        output = read_output(plan.store, "verdicts", record.id, plan.fingerprints["verdicts", record.id])
        verdicts = plan.store.read_table(output.files["images"].path, ["kept"])
        images = PartitionImages(plan.store, record, plan.config.images).table
        exported = images.filter(pc.and_(verdicts["kept"], pc.invert(images["gold"])))
        groups = exported.select(["id", "twin_group"]).to_pylist()
        kept += sum(select.has(row["twin_group"] or row["id"], plan.config.seed) for row in groups)
    if kept != manifest.samples:
        raise AccountingError(
            f"the verdicts keep {kept} images for export and the shards hold {manifest.samples} samples; "
            "the manifest is not written"
        )
