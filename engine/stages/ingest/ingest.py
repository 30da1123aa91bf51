"""The driver's side of ingest: which chunks are new, what is in them, and which partitions they make."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace

import pyarrow as pa

from fld_engine.engine.data.hashing import fingerprint
from fld_engine.engine.data.journal import AdditionResult, IngestRecord, read_partitions, unrevised
from fld_engine.engine.data.records import PartitionRecord
from fld_engine.engine.data.store import Store
from fld_engine.engine.data.unread import note_unread
from fld_engine.engine.plan.config import RunConfig
from fld_engine.engine.plan.stages import Driver
from fld_engine.engine.plan.tasks import ARITHMETIC, Lane, Task
from fld_engine.engine.sources.addresses.lists import fetching
from fld_engine.engine.sources.fetched import fetched_chunks
from fld_engine.engine.sources.item import SourceChunk, SourceSpec
from fld_engine.engine.sources.open import check_new, open_source
from fld_engine.engine.stages.ingest.account import accounts_of, known_of
from fld_engine.engine.stages.ingest.again import REPLAY, chunks_again, looked_again
from fld_engine.engine.stages.ingest.covered import Covered, readings_of
from fld_engine.engine.stages.ingest.find_twins import find_twins
from fld_engine.engine.stages.ingest.gone import Relisted, broken_files, looks_for_gone, relist
from fld_engine.engine.stages.ingest.let_go import let_go_of_ingested
from fld_engine.engine.stages.ingest.revise import FOUND
from fld_engine.engine.stages.ingest.scanned import Scanned, new_images
from fld_engine.engine.stages.ingest.scanning import NamedChunk, chunk_fingerprint, scan_chunks, task_of
from fld_engine.engine.stages.ingest.tables import DeduplicateResult, GoneResult, ScanResult
from fld_engine.engine.stages.ingest.tasks import DeduplicateBucket, PackPartition, RevisePartition
from fld_engine.schemas.errors import AccountingError, SourceError

ROWS_PER_BUCKET = 4_000_000
"""Ids that one deduplication task holds; about 1 GB."""


def listed_chunks(
    store: Store, config: RunConfig, journal: Sequence[IngestRecord], again: Collection[str] = ()
) -> list[list[NamedChunk]]:
    """Chunks of each source; those are new that have something new in them, or are in `again`.

    Of a list of addresses, they are what was fetched into the root so far. Raises `SourceError` for sources that
    cannot be listed.
    """
    listed = [
        [NamedChunk(chunk, chunk_fingerprint(chunk)) for chunk in chunks_of(store, spec)] for spec in config.sources
    ]
    known = Covered(journal, itertools.chain(*listed))
    return [[replace(one, is_new=one.name in again or known.lacks(one)) for one in chunks] for chunks in listed]


def chunks_of(store: Store, spec: SourceSpec) -> Sequence[SourceChunk]:
    """The chunks of one source. Raises `SourceError` where it cannot be listed."""
    return fetched_chunks(store, spec) if fetching(spec) is not None else open_source(spec).chunks()


def new_chunks(
    store: Store, config: RunConfig, journal: Sequence[IngestRecord], again: Collection[str] = ()
) -> list[NamedChunk]:
    """Source chunks with something new, see `listed_chunks`."""
    return [one for chunks in listed_chunks(store, config, journal, again) for one in chunks if one.is_new]


def ingest(driver: Driver) -> IngestRecord | None:
    """Ingest what is new in the sources; `None` where nothing is.

    Chunks that could not be read are left for the next ingest, and noted. Raises `SourceError` where the first ingest
    of a root finds no readable image, `TransportError` where more than `limits.max_unread_share` could not be read,
    `AccountingError` where items were lost on the way.
    """
    store, config, journal = driver.store, driver.config, driver.journal()
    listed = listed_chunks(store, config, journal, chunks_again(store, journal))
    chunks = [one for source in listed for one in source if one.is_new]
    if not chunks:
        note_unread(store, ())  # what was left before is not in the sources any more
        let_go_of_ingested(store, config, listed)
        return None
    check_new([named.chunk for named in chunks])
    number = len(journal) + 1
    chunks, results = scan_chunks(driver, chunks, f"ingest/{number:06d}")
    if not chunks:
        return None
    scanned = _deduplicate(driver, f"ingest/{number:06d}", chunks, results, read_partitions(journal))
    new = new_images(store, scanned)
    if not new and not journal:
        reasons = scanned.quarantined("image")
        told = ", ".join(f"{reason} {number}" for reason, number in sorted(reasons.items())) or "nothing was there"
        raise SourceError(
            f"no readable image in {', '.join(s.url for s in config.sources)}; rejected: {told}. Give a source that "
            "holds images, or raise what refuses them (images.*)"
        )
    partitions = _pack(driver, number, scanned, new, read_partitions(journal))
    read = {one.name for one in chunks}
    sources = [[replace(one, is_new=one.name in read) for one in source] for source in listed]
    relisted = relist(store, f"ingest/{number:06d}", sources) if journal else Relisted()
    additions = _revise(driver, number, scanned, relisted, journal)
    record = _record(store, journal, scanned, partitions, additions)
    again = looked_again(store, journal, (one.chunk for one in chunks), relisted.reread, scanned.quarantine)
    record = record.model_copy(update={**again, "images": config.images})
    store.create_model(f"ingest/{number:06d}.json", record)
    store.delete(REPLAY)
    let_go_of_ingested(store, config, sources)
    return record


def _deduplicate(
    driver: Driver,
    folder: str,
    chunks: Sequence[NamedChunk],
    results: Sequence[ScanResult],
    earlier: Sequence[PartitionRecord],
) -> Scanned:
    store = driver.store
    scans = tuple(result.files["scan"].path for result in results)
    indexes = _indexes(earlier)
    num_buckets = _num_buckets(results, earlier)
    inputs = fingerprint({"scans": scans, "indexes": indexes, "buckets": num_buckets})[:8]
    tasks = [
        task_of(
            store,
            f"bucket {bucket}",
            DeduplicateBucket(
                bucket=bucket,
                num_buckets=num_buckets,
                scans=scans,
                indexes=indexes,
                out=f"{folder}/matches-{bucket:04d}.{inputs}.parquet",
            ),
        )
        for bucket in range(num_buckets)
    ]
    made = driver.answers(Lane(name="deduplicate", resources=ARITHMETIC, tasks=tasks), DeduplicateResult)
    matches = sorted(result.file.path for _, result in made)
    table = pa.concat_tables([store.read_table(path) for path in matches])
    quarantine = pa.concat_tables([store.read_table(result.files["quarantine"].path) for result in results])
    return Scanned(chunks, results, quarantine, matches, table.sort_by([("scan", "ascending"), ("row", "ascending")]))


def _indexes(earlier: Sequence[PartitionRecord]) -> tuple[str, ...]:
    return tuple(f["images"].path for record in earlier for f in (record.files, *record.additions))


def _num_buckets(results: Sequence[ScanResult], earlier: Sequence[PartitionRecord]) -> int:
    num_rows = sum(r.files["scan"].rows for r in results) + sum(record.num_images for record in earlier)
    return 1 + num_rows // ROWS_PER_BUCKET


def _pack(
    driver: Driver,
    number: int,
    scanned: Scanned,
    new: Sequence[tuple[int, int, int]],
    earlier: Sequence[PartitionRecord],
) -> list[PartitionRecord]:
    """Cut the new images into partitions, in order, by images and by bytes."""
    twins = find_twins(driver, f"ingest/{number:06d}", scanned.results, scanned.matches, earlier) if new else ""
    tasks: list[Task] = []
    for start, stop in _cuts([size for _, _, size in new], driver.config):
        rows: dict[int, list[int]] = {}
        for scan, row, _ in new[start:stop]:
            rows.setdefault(scan, []).append(row)
        payload = PackPartition(
            partition=f"p{len(earlier) + len(tasks):06d}",
            ingest=number,
            scans=scanned.scans,
            rows=tuple((scan, tuple(r)) for scan, r in rows.items()),
            matches=tuple(scanned.matches),
            twins=twins,
        )
        tasks.append(task_of(driver.store, payload.partition, payload, {"pack": stop - start}))
    made = driver.answers(Lane(name="pack", resources=ARITHMETIC, tasks=tasks), PartitionRecord)
    return sorted((record for _, record in made), key=lambda record: record.id)


def _cuts(sizes: Sequence[int], config: RunConfig) -> Iterator[tuple[int, int]]:
    """[start, stop) of each partition; one that holds a single image may pass the bound in bytes."""
    start, num_bytes = 0, 0
    for index, size in enumerate(sizes):
        full = index - start == config.partitions.max_images
        if index > start and (full or num_bytes + size > config.partitions.max_mb * 2**20):
            yield start, index
            start, num_bytes = index, 0
        num_bytes += size
    if start < len(sizes):
        yield start, len(sizes)


def _revise(
    driver: Driver, number: int, scanned: Scanned, relisted: Relisted, journal: Sequence[IngestRecord]
) -> list[AdditionResult]:
    """What sources say otherwise now of images of earlier partitions."""
    earlier = read_partitions(journal)
    if not earlier:
        return []
    quarantines = tuple(result.files["quarantine"].path for result in scanned.results)
    looks = looks_for_gone(
        f"ingest/{number:06d}",
        relisted,
        num_buckets=_num_buckets(scanned.results, earlier),
        scans=scanned.scans,
        quarantines=quarantines,
        indexes=_indexes(earlier),
    )
    tasks = [task_of(driver.store, f"places {look.bucket}", look) for look in looks]
    gone = [r for _, r in driver.answers(Lane(name="places", resources=ARITHMETIC, tasks=tasks), GoneResult)]
    rows = zip(scanned.table["status"].to_pylist(), scanned.table["partition"].to_pylist(), strict=True)
    partitions = {partition for status, partition in rows if status in FOUND and partition}
    before = unrevised(journal)
    broken = broken_files(relisted, scanned.quarantine)
    payloads = [
        RevisePartition(
            record=record,
            unrevised=before[record.id],
            ingest=number,
            scans=scanned.scans,
            matches=tuple(scanned.matches),
            gone=tuple(sorted(result.file.path for result in gone)),
            broken=broken,
            names=tuple(spec.name for spec in driver.config.sources),
        )
        for record in earlier
        if record.id in partitions.union(*(result.partitions for result in gone))
    ]
    tasks = [task_of(driver.store, f"{payload.record.id}+{number}", payload) for payload in payloads]
    made = driver.answers(Lane(name="revisions", resources=ARITHMETIC, tasks=tasks), AdditionResult)
    return sorted((result for _, result in made if result.files), key=lambda result: result.partition)


def _record(
    store: Store,
    journal: Sequence[IngestRecord],
    scanned: Scanned,
    partitions: Sequence[PartitionRecord],
    additions: Sequence[AdditionResult],
) -> IngestRecord:
    """Check that nothing was lost, and write the quarantine table."""
    number = len(journal) + 1
    states = Counter(scanned.table["status"].to_pylist())
    named, chunks = scanned.chunks, [one.chunk for one in scanned.chunks]
    quarantined = scanned.quarantined("image")
    packed = sum(record.num_images for record in partitions)
    num_scanned = sum(r.files["scan"].rows for r in scanned.results)
    if packed != states["new"] or sum(states.values()) != num_scanned:
        raise AccountingError(
            f"ingest {number} scanned {num_scanned} images, told apart {dict(states)} and packed {packed}: "
            "these do not add up; the ingest is not recorded"
        )
    return IngestRecord(
        number=number,
        chunks=tuple(one.name for one in named),
        found=num_scanned + sum(quarantined.values()),
        new=states["new"],
        duplicates=states["duplicate"],
        known=states["known"],
        quarantined=quarantined,
        rejected_annotations=scanned.quarantined("annotation"),
        stamps={one.name: one.chunk.stamp for one in named if one.chunk.stamp},
        readings=readings_of(named),
        partitions=tuple(partitions),
        additions=tuple(additions),
        revised=sum(addition.files["images"].rows for addition in additions),
        quarantine=store.write_table(f"quarantine/{number:06d}.parquet", scanned.quarantine),
        sources=accounts_of(
            chunks, [result.account for result in scanned.results], [ingest.sources for ingest in journal]
        ),
        known_in=known_of(chunks, scanned.known()),
    )
