"""Have what may pass be asked again: timeouts, broken connections, servers at fault, names that did not resolve."""

from __future__ import annotations

from fld_engine.engine.data.store import Store
from fld_engine.engine.plan.config import RunConfig
from fld_engine.engine.sources.fetched import read_records
from fld_engine.engine.stages.fetch.answer import MAY_PASS
from fld_engine.engine.stages.fetch.lists import Replay, lists_of


def mark_unfetched(store: Store, config: RunConfig) -> int:
    """Mark the shards with addresses that may be answered otherwise now; returns the number of these addresses.

    What is final is never asked again: an address that is gone, that is no image, that has opted out.
    """
    number = 0
    for one in lists_of(config):
        records = read_records(store, one.name)
        counts = {
            shard: sum(n for reason, n in record.status_dict.items() if MAY_PASS.fullmatch(reason))
            for shard, record in records.items()
        }
        again = tuple(shard for shard, count in counts.items() if count)
        if again and not store.exists(one.replay):
            last = max(record.round for record in records.values())
            store.publish_model(one.replay, Replay(round=last + 1, shards=again))
        number += sum(counts.values())
    return number
