"""Take images out of what was fetched: their bytes, and all that the list says of them.

That their addresses were asked is kept, as 128 bits of a hash: a row says `removed`, and nobody asks again.
"""

from __future__ import annotations

import tarfile
from collections.abc import Collection, Iterator

import pyarrow as pa

from fld_engine.engine.data.forgetting import Tick
from fld_engine.engine.data.store import Store
from fld_engine.engine.data.tar import TarStream
from fld_engine.engine.plan.stages import Removal
from fld_engine.engine.sources.fetched import FOLDER, REMOVED, STATS, FetchedTar, read_records, shard_name
from fld_engine.engine.stages.fetch.log import is_of, read_log, rewrite_log
from fld_engine.engine.stages.fetch.pack import OWN, blanked, record_of


def forget_fetched(store: Store, removal: Removal, tick: Tick) -> None:
    """Rewrite the tars and tables of the shards that hold one of these images.

    Of what was answered and is in no tar yet, their bytes go, too.
    """
    gone = set(removal.ids)
    for name in sorted(store.list_names(FOLDER)):
        for shard, record in read_records(store, name).items():
            stem = f"{FOLDER}/{name}/{shard_name(shard)}"
            table = store.read_table(f"{stem}.parquet")
            hit = [digest[:32] in gone for digest in table["sha256"].to_pylist()]
            if not any(hit):
                continue
            rows = table.select(OWN.names).to_pylist()
            keys = {row["key"] for row, is_hit in zip(rows, hit, strict=True) if is_hit}
            tars = []
            for tar in record.tars:
                offsets: dict[str, int] = {}
                if tar.file_bytes and any(row["tar"] == tar.name and row["key"] in keys for row in rows):
                    tar, offsets = _without(store, f"{FOLDER}/{name}", tar, keys)
                    tick()
                for row in rows:
                    if row["tar"] == tar.name and row["member"] in offsets:
                        row["offset"] = offsets[row["member"]]
                tars.append(tar)
            for row in (row for row in rows if row["key"] in keys):
                row |= {"status": "failed_to_download", "reason": REMOVED, "error_message": REMOVED, "address": ""}
                row |= {"sha256": "", "num_bytes": 0, "tar": "", "member": "", "offset": 0}
            listed = blanked(table.drop_columns(OWN.names), hit)
            own = pa.Table.from_pylist(rows, schema=OWN)
            for column in OWN.names:
                listed = listed.append_column(OWN.field(column), own[column])
            # the table goes last: as long as it has the image, all of this is done again
            store.write_model(f"{stem}{STATS}", record_of(rows, record.captions, record.round, tars))
            store.write_table(f"{stem}.parquet", listed.replace_schema_metadata(table.schema.metadata))
            tick()
    for name in sorted(store.list_names("fetching")):
        _forget_answers(store, f"fetching/{name}", gone, tick)


def _without(store: Store, folder: str, tar: FetchedTar, keys: Collection[str]) -> tuple[FetchedTar, dict[str, int]]:
    """A tar without the samples of these keys, and where its members are now. It keeps the name that it is known by."""
    path = f"{folder}/{tar.name}"
    offsets: dict[str, int] = {}
    with store.open_commit(path) as stream, TarStream(stream) as written:
        for member, data in _members(store, path):
            if member.partition(".")[0] not in keys:
                offsets[member] = written.add(member, data)
    return tar.model_copy(update={"file_bytes": written.num_bytes}), offsets


def _members(store: Store, path: str) -> Iterator[tuple[str, bytes]]:
    with store.open_read(path) as stream, tarfile.open(fileobj=stream, mode="r:") as tar:
        for member in tar:
            found = tar.extractfile(member)
            assert found is not None, f"{member.name} in {path} is no file"
            yield member.name, found.read()


def _forget_answers(store: Store, folder: str, gone: Collection[str], tick: Tick) -> None:
    """Answers that are not in a tar yet: the logs that hold such an image are written again without its bytes.

    The table of such a bucket is made again from its logs; nothing is asked for that.
    """
    for wave in sorted(store.list_names(f"{folder}/answers")):
        for name in sorted(store.list_names(f"{folder}/answers/{wave}")):
            path = f"{folder}/answers/{wave}/{name}"
            if name.endswith(".log") and any(is_of(noted, gone) for noted in read_log(store, path)):
                store.delete(f"{folder}/answers/{wave}/{name.partition('.')[0]}.parquet")
                rewrite_log(store, path, gone)
                tick()
