"""What was fetched of a list of addresses: tars in img2dataset's layout, as a source.

    fetched/NAME/
    ├── 00000.tar             000000000.jpg, .txt, .json: bytes as they were had, the first caption, all of the row
    ├── 00000-2.tar           what came of asking again
    ├── 00000.parquet         a row for each address, whatever became of it
    └── 00000_stats.json      written last, by the driver: without it, nothing of the shard counts

Nothing in them tells of times or of the order in which answers came.
"""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, ClassVar

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import Field

from fld_engine.engine.data.source_account import Reasons
from fld_engine.engine.data.store import Store
from fld_engine.engine.sources.arrow_text import text_values
from fld_engine.engine.sources.captions import in_value
from fld_engine.engine.sources.files import open_streamed, read_whole
from fld_engine.engine.sources.item import (
    Locator,
    PassedOver,
    ReadItem,
    SourceChunk,
    SourceItem,
    SourceSpec,
    too_large,
    web_captions,
)
from fld_engine.engine.sources.listing import Listing, list_files
from fld_engine.engine.sources.reader import NoParams
from fld_engine.engine.sources.texts import clean_text
from fld_engine.schemas.annotations import Frozen
from fld_engine.schemas.errors import SourceError
from fld_engine.schemas.kinds import Kind

FOLDER = "fetched"
KIND = "fetched"
STATS = "_stats.json"
LICENCE_COLUMNS = ("LICENSE", "license", "licence")
REMOVED = "removed"
"""Reason of an address whose image was removed from the root."""


class FetchedTar(Frozen):
    """A tar as it was written first; `file_bytes` is its size now, after removals, and 0 once it was let go."""

    name: str
    rows: int
    num_bytes: int
    sha256: str
    file_bytes: int


class ShardRecord(Frozen):
    """What became of the addresses of a shard. The first five fields are img2dataset's own.

    `status_dict` counts what was fetched as `success`, anything else by its reason. `round` is how often it was asked.
    `captions` are columns of the table.
    """

    count: int
    successes: int
    failed_to_download: int
    failed_to_resize: int = 0
    status_dict: Mapping[str, int]
    round: int = 1
    captions: tuple[str, ...] = ()
    num_bytes: int = 0
    tars: tuple[FetchedTar, ...] = ()


class ListedFile(Frozen):
    """A file of a list, with the shards that its rows are in: `num_shards` of them from `first_shard` on."""

    path: str
    num_bytes: int
    stamp: str
    rows: int
    first_shard: int
    num_shards: int

    @property
    def shards(self) -> range:
        return range(self.first_shard, self.first_shard + self.num_shards)


class ListState(Frozen):
    """A list as it is gone through: `shard_rows` and the number of `buckets` that hosts are dealt to never change."""

    shard_rows: int
    buckets: int
    files: tuple[ListedFile, ...]
    passed_over: Reasons = Field(default_factory=dict)


def state_path(name: str) -> str:
    return f"fetching/{name}/list.json"


def shard_name(number: int) -> str:
    return f"{number:05d}"


def read_state(store: Store, name: str) -> ListState | None:
    """`None` where the list was never listed."""
    try:
        state: ListState = store.read_model(state_path(name), ListState)
    except FileNotFoundError:
        return None
    return state


def read_records(store: Store, name: str) -> dict[int, ShardRecord]:
    """Shard → what became of its addresses, of the shards that are done, in order."""
    folder = f"{FOLDER}/{name}"
    names = sorted(one for one in store.list_names(folder) if one.endswith(STATS))
    return {int(one.removesuffix(STATS)): store.read_model(f"{folder}/{one}", ShardRecord) for one in names}


def fetched_chunks(store: Store, spec: SourceSpec) -> list[SourceChunk]:
    """A chunk for each tar of a source that is fetched, the same wherever the root lies; see `located`."""
    state = read_state(store, spec.name)
    if state is None:
        return []
    records = read_records(store, spec.name)
    listed = [number for file in state.files for number in file.shards if number in records]
    made = [_chunks(spec, f"{FOLDER}/{spec.name}", records[number]) for number in listed]
    return [chunk.model_copy(update={"passed_over": state.passed_over}) for chunks in made for chunk in chunks]


def located(chunk: SourceChunk, root: str) -> SourceChunk:
    """A chunk as a worker finds it: what was fetched into the root lies there."""
    if chunk.kind != KIND or not chunk.base.startswith(f"{FOLDER}/"):
        return chunk
    return chunk.model_copy(update={"base": f"{root}/{chunk.base}"})


def _chunks(spec: SourceSpec, base: str, record: ShardRecord) -> list[SourceChunk]:
    """Tars of a shard. Where the list lies, and which of its columns were read, says nothing of what was fetched."""
    mine = spec.model_copy(
        update={"url": base, "kind": KIND, "uri_column": "", "caption_columns": (), "image_column": "", "fetch": None}
    )
    return [
        SourceChunk(spec=mine, kind=KIND, base=base, files=((tar.name, tar.num_bytes),), stamp=tar.sha256[:16])
        for tar in record.tars
    ]


def let_go(store: Store, name: str, tars: Collection[str]) -> None:
    """Delete tars of a source; its tables stay, and say what became of every address."""
    folder = f"{FOLDER}/{name}"
    there = store.list_names(folder)
    for shard, record in read_records(store, name).items():
        mine = {tar.name for tar in record.tars} & set(tars)
        if any(tar.file_bytes for tar in record.tars if tar.name in mine):
            gone = [tar.model_copy(update={"file_bytes": 0}) if tar.name in mine else tar for tar in record.tars]
            record = record.model_copy(update={"tars": tuple(gone)})
            store.write_model(f"{folder}/{shard_name(shard)}{STATS}", record)
        for tar in mine & there:
            store.delete(f"{folder}/{tar}")


class FetchedSource:
    """A folder that stage `fetch` has made, of this root or another one; captions are from the web."""

    Params = NoParams
    brings: ClassVar[frozenset[Kind]] = frozenset({"brief_texts"})
    uses: ClassVar[frozenset[str]] = frozenset()
    expects = "folder of fetched images"

    def __init__(self, params: NoParams) -> None: ...

    @staticmethod
    def recognises(listing: Listing) -> int:
        return 0  # its tars are tars, which say less

    def chunks(self, spec: SourceSpec) -> Sequence[SourceChunk]:
        """A chunk for each tar, by shard."""
        listing = list_files(spec.url, spec.name, allow_outside=spec.allow_outside)
        records = [
            ShardRecord.model_validate_json(read_whole(f"{listing.base}/{path}"))
            for path, _ in listing.files
            if path.endswith(STATS)
        ]
        made = [chunk for record in records for chunk in _chunks(spec, listing.base, record)]
        if not made:
            raise SourceError(f"source {spec.url} holds nothing that was fetched: no *{STATS}")
        return made

    def read(self, chunk: SourceChunk, max_bytes: int) -> Iterator[ReadItem]:
        """Images in the order of their rows; what was not fetched is counted with the first tar of its shard.

        Raises `SourceError` where the tar was let go after an earlier ingest.
        """
        ((path, _),) = chunk.files
        shard = path.removesuffix(".tar").partition("-")[0]
        record = ShardRecord.model_validate_json(read_whole(chunk.url(f"{shard}{STATS}")))
        tar = next((tar for tar in record.tars if tar.name == path), None)
        if tar is None or not tar.file_bytes:
            raise SourceError(
                f"{chunk.url(path)} was let go after it was ingested (fetch.keep: false) and is asked for again, for "
                f"source {chunk.spec.name} has other settings now: take these back, or delete its folders in "
                f"{FOLDER}/ and fetching/, which has its addresses asked again"
            )
        table = pq.read_table(io.BytesIO(read_whole(chunk.url(f"{shard}.parquet"))))
        if "-" not in path:
            yield from _not_fetched(table["reason"].to_pylist(), chunk.uri(path))
        mine = table.filter([name == path for name in table["tar"].to_pylist()])
        captions = list(zip(*(text_values(mine[name].combine_chunks()) for name in record.captions), strict=True))
        licences = licences_of(mine)
        with open_streamed(chunk.url(path), tar.file_bytes) as stream:
            for number, row in enumerate(mine.select(["member", "offset", "num_bytes"]).to_pylist()):
                uri = f"{chunk.uri(path)}!{row['member']}"
                if row["num_bytes"] > max_bytes:
                    yield too_large(uri, row["num_bytes"], max_bytes)
                    continue
                stream.seek(row["offset"])
                data = stream.read(row["num_bytes"])
                annotations, others = web_captions(in_value(list(captions[number])) if captions else [], uri)
                yield from others
                where = Locator(kind="tar", url=chunk.url(path), offset=row["offset"], length=row["num_bytes"])
                item = SourceItem(
                    uri=uri, source_label="", annotations=annotations, read=where, licence=licences[number]
                )
                yield item, data


def licences_of(table: pa.Table) -> list[str]:
    """What the list says of the licence of each image, empty where it says nothing: LAION writes a question mark."""
    name = next((name for name in LICENCE_COLUMNS if name in table.column_names), None)
    values = text_values(table[name].combine_chunks()) if name else [None] * table.num_rows
    return [clean_text(value).strip("?") if isinstance(value, str) else "" for value in values]


def _not_fetched(reasons: Sequence[Any], uri: str) -> Iterator[PassedOver]:
    for reason, number in sorted(Counter(reason for reason in reasons if reason).items()):
        yield PassedOver(uri=uri, reason=reason, detail="not fetched", number=number)
