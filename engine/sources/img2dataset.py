"""What img2dataset writes beside its shards: a Parquet table of the same addresses, with what became of each.

https://github.com/rom1504/img2dataset: `00000.tar`, or a folder `00000` of pictures, with `00000.parquet` and
`00000_stats.json`.
"""

from __future__ import annotations

import posixpath
from collections import Counter
from collections.abc import Iterator, Mapping

import pyarrow as pa
import pyarrow.parquet as pq

from fld_engine.engine.sources.files import open_random
from fld_engine.engine.sources.item import PassedOver, Rejected
from fld_engine.engine.sources.listing import Files, Listing

FETCHED = "success"
"""Status of an address whose picture is in the shard."""


def tables_of(listing: Listing) -> Mapping[str, Files]:
    """Path of a tar, or of a folder → the table of the same stem beside it."""
    tables = {path.rpartition(".")[0]: ((path, size),) for path, size in listing.ending({"parquet"}) if path}
    found = {path: tables[stem] for path, _ in listing.files if (stem := stem_of_tar(path)) and stem in tables}
    folders = {posixpath.dirname(path) for path, _ in listing.files}
    return {**found, **{folder: tables[folder] for folder in sorted(folders) if folder in tables}}


def stem_of_tar(path: str) -> str:
    """`out/00000` of `out/00000.tar` or `out/00000.tar.gz`; empty for what is no tar."""
    folder, name = posixpath.split(path)
    stem, _, rest = name.partition(".")
    is_tar = rest.lower().startswith(("tar", "tgz", "tbz2", "txz"))
    return posixpath.join(folder, stem) if is_tar else ""


def is_shard(folder: str, name: str) -> bool:
    """Whether a folder is a shard, whose pictures are numbered on from it, as `00003/000030012.jpg`: no class."""
    stem = posixpath.basename(name).partition(".")[0]
    return len(folder) >= 5 and folder.isdigit() and stem.isdigit() and len(stem) > 5 and stem.startswith(folder)


def failures(url: str, num_bytes: int, uri: str) -> Iterator[PassedOver | Rejected]:
    """Addresses of a table that no picture came of, counted by their status, with the first error of each."""
    try:
        with open_random(url, num_bytes) as stream, pq.ParquetFile(stream) as file:
            names = [name for name in ("status", "error_message") if name in file.schema_arrow.names]
            if "status" not in names:
                return
            numbers: Counter[str] = Counter()
            errors: dict[str, str] = {}
            for batch in file.iter_batches(columns=names):
                for row in batch.to_pylist():
                    status = str(row["status"])
                    numbers[status] += 1
                    errors.setdefault(status, str(row.get("error_message") or ""))
    except (OSError, pa.ArrowException) as error:
        yield Rejected(uri=uri, reason="corrupt", detail=str(error), what="annotation", by="web")
        return
    for status, number in sorted(numbers.items()):
        if status != FETCHED:
            yield PassedOver(uri=uri, reason=status, detail=errors[status], number=number)


def extras(listing: Listing) -> set[str]:
    """Parquet files that are tables beside other things: of a shard, or the metadata of a folder of pictures."""
    tables = {table for ((table, _),) in tables_of(listing).values()}
    return tables | {path for path, _ in listing.files if posixpath.basename(path).lower() == "metadata.parquet"}
