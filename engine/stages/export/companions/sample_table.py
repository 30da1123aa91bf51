"""`index.parquet` of a whole export, from the index rows of its groups."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import pyarrow as pa
import pyarrow.parquet as pq

from fld_engine.engine.data.store import Store
from fld_engine.engine.stages.export.companions.hashed_file import HashedFile
from fld_engine.engine.stages.export.manifest import FileEntry
from fld_engine.engine.stages.export.sample_index import INDEX

PATH = "index.parquet"


def write_sample_index(
    out: Store, tables: Iterable[pa.Table], *, also: Callable[[pa.Table], None] = lambda table: None
) -> FileEntry:
    """Write the rows of all groups, a row group each; `also` is handed every table too. Memory holds one table."""
    with out.open_commit(PATH) as stream:
        file = HashedFile(stream)
        with pq.ParquetWriter(pa.PythonFile(file, mode="w"), INDEX, compression="zstd") as writer:
            for table in tables:
                if table.num_rows:
                    writer.write_table(table, row_group_size=table.num_rows)
                also(table)
    return file.entry(PATH)
