"""Places that sources no longer have, though they were read again.

Where a source is moved or dropped as a whole, or a file of it is deleted, what it said stays. It is taken back where
the source itself says otherwise: a COCO json that no longer mentions an image, a tar or a table that was read to its
end and has no such member or row. A place that holds other bytes now, or is listed no more, gives way to another place
of the same image in the same source.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import pyarrow as pa

from fld_engine.engine.data.hashing import fingerprint
from fld_engine.engine.data.store import Store
from fld_engine.engine.sources.item import SourceChunk
from fld_engine.engine.stages.ingest.deduplicate import bucket_of
from fld_engine.engine.stages.ingest.scanning import NamedChunk
from fld_engine.engine.stages.ingest.tables import GONE, LISTED, GoneResult
from fld_engine.engine.stages.ingest.tasks import FindGone

LISTED_AT_ONCE = 100_000
"""Files of one table of a listing."""


def file_uris(chunk: SourceChunk) -> Iterator[str]:
    """URIs of the files of a chunk, as its images or what is inside of them begin."""
    for path, _ in chunk.files:
        yield chunk.uri(path)


def files_of(uri: str) -> list[str]:
    """The URIs that the file of a place may have: its own, and what stands before a `!` or a `#` in it."""
    return [uri, *(uri[: match.start()] for match in re.finditer("[!#]", uri))]


@dataclass(slots=True)
class Relisted:
    """Sources with something new, as they are listed now. `whole` are label files with their images, and
    what is listed of them is all they mention; of those in `reread`, everything is read.

    `packed` are files that are a chunk of their own, such as tars.
    """

    names: list[str] = field(default_factory=list)
    whole: list[str] = field(default_factory=list)
    reread: list[str] = field(default_factory=list)
    listings: list[str] = field(default_factory=list)
    packed: set[str] = field(default_factory=set)


def relist(store: Store, folder: str, sources: Sequence[Sequence[NamedChunk]]) -> Relisted:
    """Write down the files of the sources that have something new: those chunks are new that this ingest has read."""
    relisted = Relisted()
    rows: list[tuple[str, bool]] = []

    def flush() -> None:
        files, read = zip(*rows, strict=True) if rows else ((), ())
        table = pa.table({"file": files, "read": read}, schema=LISTED)
        content = fingerprint({"files": files, "read": read})[:8]
        path = f"{folder}/listed-{len(relisted.listings):04d}.{content}.parquet"
        relisted.listings.append(store.write_table(path, table).path)
        rows.clear()

    for chunks in sources:
        if not any(named.is_new for named in chunks):
            continue
        name = chunks[0].chunk.spec.name
        relisted.names.append(name)
        if all(named.chunk.labelled for named in chunks):
            relisted.whole.append(name)
            if all(named.is_new for named in chunks):
                relisted.reread.append(name)
        for chunk, read in ((named.chunk, named.is_new) for named in chunks):
            if read and len(chunk.files) == 1:
                relisted.packed.update(file_uris(chunk))
            missing = [one.uri for one in chunk.rejected if one.what == "image"]  # mentioned, and not there
            for file, is_read in (*((f, read) for f in file_uris(chunk)), *((f, False) for f in missing)):
                rows.append((file, is_read))
                if len(rows) == LISTED_AT_ONCE:
                    flush()
    flush()
    return relisted


def broken_files(relisted: Relisted, quarantine: pa.Table) -> tuple[str, ...]:
    """Files of several images, read by this ingest, of which something is refused as a whole."""
    rows = quarantine.select(["uri", "what"]).to_pylist()
    refused = {row["uri"] for row in rows if row["what"] == "image"}
    return tuple(sorted(relisted.packed & refused))


def looks_for_gone(
    folder: str,
    relisted: Relisted,
    *,
    num_buckets: int,
    scans: tuple[str, ...],
    quarantines: tuple[str, ...],
    indexes: tuple[str, ...],
) -> list[FindGone]:
    """A task for each bucket, whose table is named by what it is made of."""
    files = tuple(relisted.names), tuple(relisted.whole), tuple(relisted.listings)
    inputs = fingerprint({"files": files, "scans": scans, "indexes": indexes, "buckets": num_buckets})[:8]
    return [
        FindGone(
            bucket=bucket,
            num_buckets=num_buckets,
            relisted=files[0],
            whole=files[1],
            listings=files[2],
            scans=scans,
            quarantines=quarantines,
            indexes=indexes,
            out=f"{folder}/gone-{bucket:04d}.{inputs}.parquet",
        )
        for bucket in range(num_buckets)
    ]


@dataclass(slots=True)
class _Candidate:
    """A place of an earlier ingest. `file` is the listed file that it is or lies in."""

    id: str
    uri: str
    partition: str
    file: str = ""
    read: bool = False
    seen: bool = False  # something stands there, whatever bytes it has
    sure: bool = False  # the same image stands there, or what does cannot be told


def find_gone(store: Store, task: FindGone) -> GoneResult:
    """Compare the places of earlier ingests with what was listed and found now."""
    candidates = list(_candidates(store, task))
    by_file: dict[str, list[_Candidate]] = {}
    by_uri: dict[str, list[_Candidate]] = {}
    for one in candidates:
        by_uri.setdefault(one.uri, []).append(one)
        for file in files_of(one.uri):
            by_file.setdefault(file, []).append(one)
    for path in task.listings:
        table = store.read_table(path)
        for file, read in zip(table["file"].to_pylist(), table["read"].to_pylist(), strict=True):
            for one in by_file.get(file, ()):
                one.file, one.read = file, one.read or read
    for path in task.scans:
        table = store.read_table(path, ["id", "uri"])
        for identity, uri in zip(table["id"].to_pylist(), table["uri"].to_pylist(), strict=True):
            for one in by_uri.get(uri, ()):
                one.seen, one.sure = True, one.sure or one.id == identity
    for path in task.quarantines:
        for row in store.read_table(path, ["uri", "what"]).to_pylist():
            for one in by_file.get(row["uri"], ()) if row["what"] == "image" else ():
                one.sure = True
    rows = [
        {"id": one.id, "uri": one.uri, "partition": one.partition, "moved": moved}
        for one in candidates
        for moved in [_moved(one, task)]
        if moved is not None
    ]
    gone = store.write_table(task.out, pa.Table.from_pylist(rows, schema=GONE))
    return GoneResult(file=gone, partitions=tuple(sorted({str(row["partition"]) for row in rows})))


def _moved(one: _Candidate, task: FindGone) -> bool | None:
    """`None` where the place may stand; else whether it is gone only if the image has another in the same source."""
    if one.sure or (one.file and not one.read):
        return None
    if not one.file:
        return not any(one.uri.startswith(f"{name}#") for name in task.whole)
    return one.seen or one.file == one.uri


def _candidates(store: Store, task: FindGone) -> Iterator[_Candidate]:
    starts = tuple(start for name in task.relisted for start in (f"{name}/", f"{name}#", f"{name}!"))
    found: dict[tuple[str, str], str] = {}
    for path in task.indexes:
        partition = path.rsplit("/", 1)[-1].split("-")[0]
        table = store.read_table(path, ["id", "uris"])
        for identity, uris in zip(table["id"].to_pylist(), table["uris"].to_pylist(), strict=True):
            if bucket_of(identity, task.num_buckets) != task.bucket:
                continue
            for uri in uris:
                if uri.startswith(starts):
                    found[identity, uri] = partition
    for (identity, uri), partition in found.items():
        yield _Candidate(id=identity, uri=uri, partition=partition)
