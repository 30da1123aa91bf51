"""Tars that were fetched, are in partitions now, and are not to be kept."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from fld_engine.engine.data.journal import read_journal
from fld_engine.engine.data.store import Store
from fld_engine.engine.plan.config import RunConfig
from fld_engine.engine.sources.addresses.lists import fetching
from fld_engine.engine.sources.fetched import let_go
from fld_engine.engine.stages.ingest.covered import Covered
from fld_engine.engine.stages.ingest.scanning import NamedChunk


def let_go_of_ingested(store: Store, config: RunConfig, listed: Sequence[Sequence[NamedChunk]]) -> None:
    """Delete the tars of sources with `fetch.keep: false` that finished ingests have read; `listed` is by source."""
    wanted = [
        (spec.name, chunks)
        for spec, chunks in zip(config.sources, listed, strict=True)
        if (fetch := fetching(spec)) is not None and not fetch.keep
    ]
    if not wanted:
        return
    covered = Covered(read_journal(store), itertools.chain(*listed))
    for name, chunks in wanted:
        let_go(store, name, {one.chunk.files[0][0] for one in chunks if not covered.lacks(one)})
