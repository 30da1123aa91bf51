"""The merge of all partitions' aggregates, in two steps that runners spread: gather a few, then reduce by bucket.

A gather adds up a fixed number of partitions; its terms are sorted by bucket, a bucket to a row group where there are
many. A reduce takes the same run of buckets from every gathered file, where it meets every occurrence of its terms: it
knows their exact counts and keeps only what sums them up. So no process holds the whole vocabulary.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from fld_engine.engine.data.store import Store
from fld_engine.engine.stages.report.tables import NUM_BUCKETS, TERMS, merge_candidates, merge_counts, merge_terms
from fld_engine.engine.stages.report.tasks import Gather, Reduce
from fld_engine.engine.stages.report.vocabulary import GROWTH, SPECTRUM, TOP, Vocabulary, summarise
from fld_engine.schemas.annotations import Frozen

PARTITIONS_PER_GATHER = 32
TERMS_PER_REDUCE = 500_000
"""About 200 MB of a worker's memory."""
ROWS_PER_GROUP = 20_000
ROWS_AT_ONCE = 100_000
"""Rows that wait to be added to a sum; more where the sum itself is larger, so that adding stays cheap."""


class MergeResult(Frozen):
    """Files of one gather or reduce by table name, and the number of rows of `terms`."""

    files: dict[str, str]
    terms: int


def gather(store: Store, task: Gather) -> MergeResult:
    """Add up the aggregates of the task's partitions."""
    tables = {
        name: merged(merge, (store.read_table(files[name]) for files in task.inputs))
        for name, merge in (("counts", merge_counts), ("candidates", merge_candidates))
    }
    terms = merged(merge_terms, (store.read_table(files["terms"]) for files in task.inputs))
    files = {name: store.write_table(f"{task.out}.{name}.parquet", table).path for name, table in tables.items()}
    files["terms"] = f"{task.out}.terms.parquet"
    with store.open_commit(files["terms"]) as stream:
        pq.write_table(terms, stream, compression="zstd", row_group_size=ROWS_PER_GROUP)
    return MergeResult(files=files, terms=terms.num_rows)


def reduce_terms(store: Store, task: Reduce) -> MergeResult:
    """Sum up the vocabulary of the task's buckets."""
    wanted = json.loads(store.read_bytes(task.wanted)) if task.wanted else []
    terms = merged(merge_terms, (_buckets(store, path, task.low, task.high) for path in task.terms))
    found = summarise(terms, wanted)
    files = {
        name: store.write_table(f"{task.out}.{name}.parquet", table).path for name, table in found._asdict().items()
    }
    return MergeResult(files=files, terms=terms.num_rows)


def merged(merge: Callable[[Sequence[pa.Table]], pa.Table], tables: Iterable[pa.Table]) -> pa.Table:
    """The sum of tables that are read one after another: memory holds the sum, and as many rows again at most."""
    total = merge([])
    waiting: list[pa.Table] = []
    for table in tables:
        waiting.append(table)
        if sum(part.num_rows for part in waiting) >= max(ROWS_AT_ONCE, total.num_rows):
            total, waiting = merge([total, *waiting]), []
    return merge([total, *waiting])


def runs_of_buckets(num_terms: int) -> list[tuple[int, int]]:
    """Equal runs [low, high) of buckets, so many that a reduce meets about `TERMS_PER_REDUCE` rows."""
    runs = int(np.clip(-(-num_terms // TERMS_PER_REDUCE), 1, NUM_BUCKETS))
    edges = [NUM_BUCKETS * i // runs for i in range(runs + 1)]
    return list(pairwise(edges))


def read_vocabulary(store: Store, results: Sequence[MergeResult]) -> Vocabulary:
    """The summaries of all reduces together: their number of rows is bounded."""
    stacked = [
        pa.concat_tables([schema.empty_table(), *(store.read_table(result.files[name]) for result in results)])
        for name, schema in (
            ("spectrum", SPECTRUM),
            ("growth", GROWTH),
            ("top", TOP),
            ("rare", TOP),
            ("wanted", TOP),
            ("shapes", TOP),
        )
    ]
    return Vocabulary(*stacked).merged()


def _buckets(store: Store, path: str, low: int, high: int) -> pa.Table:
    """Rows of a gathered file in a run of buckets; only their row groups are fetched."""
    with store.open_read(path) as stream:
        file = pq.ParquetFile(stream)
        column = file.schema_arrow.get_field_index("bucket")
        statistics = [file.metadata.row_group(i).column(column).statistics for i in range(file.num_row_groups)]
        groups = [i for i, s in enumerate(statistics) if s is None or (s.max >= low and s.min < high)]
        table = file.read_row_groups(groups) if groups else TERMS.empty_table()
    return table.filter(pc.and_(pc.greater_equal(table["bucket"], low), pc.less(table["bucket"], high)))
