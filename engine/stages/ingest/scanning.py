"""The driver's side of a scan: which chunks are read, which were read before, and which could not be."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from fld_engine.engine.data.hashing import fingerprint
from fld_engine.engine.data.identity import identity_of
from fld_engine.engine.data.images import ImageLimits
from fld_engine.engine.data.store import Store
from fld_engine.engine.data.unread import UnreadChunk, note_unread
from fld_engine.engine.plan.stages import Driver
from fld_engine.engine.plan.tasks import ARITHMETIC, Lane, Task
from fld_engine.engine.sources.fetched import located
from fld_engine.engine.sources.item import SourceChunk
from fld_engine.engine.stages.ingest.tables import ScanResult, ScanTrouble
from fld_engine.engine.stages.ingest.tasks import ScanChunk
from fld_engine.schemas.annotations import Frozen
from fld_engine.schemas.errors import TransportError

STAGE = "ingest"


def chunk_fingerprint(chunk: SourceChunk) -> str:
    return fingerprint(identity_of(chunk))


@dataclass(frozen=True, slots=True)
class NamedChunk:
    """A chunk with its fingerprint, made once: it takes all its files. `is_new` where an ingest is to read it."""

    chunk: SourceChunk
    name: str
    is_new: bool = True


def scan_fingerprint(named: NamedChunk, images: ImageLimits) -> str:
    """Names the scan of a chunk, which an ingest that is taken up again goes on with."""
    parts, stamp = {"chunk": named.name, "images": identity_of(images)}, named.chunk.stamp
    return fingerprint({**parts, "stamp": stamp} if stamp else parts)


def scan_chunks(driver: Driver, chunks: Sequence[NamedChunk], folder: str) -> tuple[list[NamedChunk], list[ScanResult]]:
    """The chunks that could be read, and their scans, in order; what could not is noted for `fld status`.

    Raises `TransportError` as soon as more than `limits.max_unread_share` of the bytes could not be read.
    """
    store, images = driver.store, driver.config.images
    names = [scan_fingerprint(chunk, images) for chunk in chunks]
    there = store.list_names(folder)
    results: dict[str, ScanResult] = {}
    tasks = []
    by_name = dict(zip(names, chunks, strict=True))
    for index, (name, named) in enumerate(by_name.items()):
        if f"{name}.json" in there:
            results[name] = store.read_model(f"{folder}/{name}.json", ScanResult)
        else:
            payload = ScanChunk(
                chunk=located(named.chunk, store.url), index=index, out=f"{folder}/{name}", images=images
            )
            tasks.append(task_of(store, f"chunk {index}", payload, {"scan": 0}))
    unread: dict[str, UnreadChunk] = {}
    for task, result in driver.answers(Lane(name="scan", resources=ARITHMETIC, tasks=tasks), ScanResult):
        assert isinstance(task.payload, ScanChunk), "the scan lane ran another task"
        name = task.payload.out.rpartition("/")[2]
        if result.unread is None:
            results[name] = result
            store.write_model(f"{task.payload.out}.json", result)
        else:
            unread[name] = _unread(by_name[name], result.unread)
            _check_share(store, list(unread.values()), chunks, driver.config.limits.max_unread_share)
    note_unread(store, [unread[name] for name in names if name in unread])
    read = [name for name in names if name in results]
    return [by_name[name] for name in read], [
        results[name].model_copy(update={"index": index}) for index, name in enumerate(read)
    ]


def task_of(store: Store, label: str, payload: Frozen, units: Mapping[str, int] | None = None) -> Task:
    """A task of this stage."""
    return Task(stage=STAGE, root=store.url, label=label, units=units or {}, payload=payload)


def _unread(named: NamedChunk, trouble: ScanTrouble) -> UnreadChunk:
    chunk = named.chunk
    return UnreadChunk(
        chunk=named.name,
        source=chunk.spec.name,
        num_files=len(chunk.files),
        num_bytes=_num_bytes(chunk),
        kind=trouble.kind,
        detail=trouble.detail,
    )


def _num_bytes(chunk: SourceChunk) -> int:
    """What is listed; a file counts for one byte where its size is not known."""
    return sum(max(1, size) for _, size in chunk.files)


def _check_share(store: Store, unread: Sequence[UnreadChunk], chunks: Sequence[NamedChunk], most: float) -> None:
    share = sum(one.num_bytes for one in unread) / sum(_num_bytes(named.chunk) for named in chunks)
    if share <= most:
        return
    note_unread(store, unread)
    raise TransportError(
        f"{share:.0%} of what is new in the sources could not be read, more than limits.max_unread_share "
        f"({most:.0%}): {len(unread)} chunks, the first: {unread[0].detail}. What was read is kept, and the next run "
        "goes on with it",
        unread[0].kind,
    )
