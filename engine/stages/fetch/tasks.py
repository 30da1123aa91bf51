"""What the tasks of fetching are told, and what they answer."""

from __future__ import annotations

from fld_engine.engine.sources.addresses.columns import Columns
from fld_engine.engine.sources.fetch_settings import FetchSettings
from fld_engine.engine.sources.fetched import shard_name
from fld_engine.engine.sources.item import SourceSpec
from fld_engine.schemas.annotations import Frozen

STAGE = "fetch"
LISTING = "list"
PACKING = "write"


class ListRows(Frozen):
    """Cut a file of a list into shards: all of their rows, and apart from these what is to be asked.

    `key` names the file in the names of both, below `folder`.
    """

    spec: SourceSpec
    fetch: FetchSettings
    base: str
    path: str
    num_bytes: int
    key: str
    folder: str
    shard_rows: int


class Listed(Frozen):
    """How many rows a file has, of how many shards."""

    path: str
    rows: int
    num_shards: int


class AskedShard(Frozen):
    """A shard, and the tables of its rows and of what is to be asked of them."""

    shard: int
    rows: str
    asks: str
    columns: Columns


class ListAgain(Frozen):
    """Find the rows of a shard that may be answered otherwise now, and write them down to be asked."""

    folder: str
    shard: int
    asks: str
    captions: tuple[str, ...]


class AskAddresses(Frozen):
    """Ask for the addresses of some shards whose hosts are dealt to one bucket.

    Answers go to `out`.parquet, their bytes to logs beside it. `seen` has tables of what was asked before, whose prefix
    is not `out`'s own.
    """

    fetch: FetchSettings
    shards: tuple[tuple[int, str], ...]
    bucket: int
    buckets: int
    out: str
    seen: str


class Asked(Frozen):
    """What came of a bucket: rows that were answered for, those that were fetched, and their bytes."""

    rows: int
    fetched: int
    num_bytes: int


class PackShard(Frozen):
    """Write the tar and the table of a shard from its rows and the answers."""

    shard: int
    rows: str
    answers: tuple[str, ...]
    folder: str
    round: int
    columns: Columns
    shard_rows: int
    earlier: str = ""


class Asks(Frozen):
    """Names of the tables of a file: all rows of a shard, what is asked of them, and which columns are which."""

    folder: str
    key: str

    def rows(self, number: int) -> str:
        return f"{self.folder}/rows/{self.key}-{shard_name(number)}.parquet"

    def asks(self, number: int) -> str:
        return f"{self.folder}/asks/{self.key}-{shard_name(number)}.parquet"

    @property
    def columns(self) -> str:
        return f"{self.folder}/rows/{self.key}.columns.json"
