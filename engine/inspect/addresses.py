"""What is in a list of addresses, told from its rows: none of the addresses is asked."""

from __future__ import annotations

import hashlib
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import pyarrow as pa
import pyarrow.parquet as pq

from fld_engine.engine.data.source_account import Example, SourceAccount
from fld_engine.engine.inspect.seen import NUM_EXAMPLES, ImageExample, Seen, SourceLook
from fld_engine.engine.sources.addresses.columns import Columns, columns_of
from fld_engine.engine.sources.addresses.lists import ListLayout, fetching, layout_of
from fld_engine.engine.sources.addresses.rows import tables
from fld_engine.engine.sources.arrow_text import text_values
from fld_engine.engine.sources.captions import in_value
from fld_engine.engine.sources.fetch_settings import FetchSettings
from fld_engine.engine.sources.fetched import LICENCE_COLUMNS, licences_of
from fld_engine.engine.sources.files import open_random
from fld_engine.engine.sources.item import SourceSpec, web_captions
from fld_engine.engine.stages.fetch.answer import host_of, same_address
from fld_engine.engine.stages.fetch.lists import FetchedList, File, listed_now
from fld_engine.engine.stages.fetch.reach import Networks, OptedOut, opted_out_hosts
from fld_engine.engine.stages.ingest.account import count_others
from fld_engine.schemas.masking import masked

PARTS = 4
"""Files that are looked into, spread over the list."""
TABLE_ROWS = 1000
NUM_HOSTS = 10
MAX_ASKED = 64
"""Files of Parquet that are asked how many rows they have; more are taken to be like these."""


@dataclass
class _Rows:
    """What is found in the rows of a list."""

    spec: SourceSpec
    networks: Networks
    opted_out: OptedOut
    seen: Seen = field(default_factory=Seen)
    hosts: Counter[str] = field(default_factory=Counter)
    addresses: set[bytes] = field(default_factory=set)
    columns: dict[str, list[str]] = field(default_factory=dict)
    repeated: int = 0

    def add(self, table: pa.Table, columns: Columns, file: str, first: int) -> None:
        """Rows of a file, from its `first` on."""
        self._name(table.column_names, columns)
        captions = [_texts(table, name) for name in columns.captions]
        licences = licences_of(table)
        for number, address in enumerate(_texts(table, columns.uri)):
            place = f"{file}#{first + number}"
            self.seen.images += 1
            given = address.strip() if isinstance(address, str) else ""
            if refused := self._refused(given):
                reason, detail = refused
                example = Example(uri=place, detail=masked(detail))
                self.seen.counting.add("images", "passed_over", reason, 1, example)
                continue
            self.hosts[host_of(given)] += 1
            known = hashlib.blake2b(same_address(given).encode("utf-8", "replace"), digest_size=16).digest()
            self.repeated += known in self.addresses
            self.addresses.add(known)
            annotations, others = web_captions(in_value([cells[number] for cells in captions]), place)
            count_others(self.seen.counting, others)
            licence = licences[number] or self.spec.licence
            said = self.seen.add(annotations, licence)
            if len(self.seen.examples[-1]) < NUM_EXAMPLES:
                self.seen.examples[-1].append(ImageExample(uri=masked(given), licence=licence, said=said))

    def _refused(self, address: str) -> tuple[str, str] | None:
        """Why an address will not be asked, as fetching will say; names of hosts are resolved then."""
        host = host_of(address)
        try:
            is_address = bool(host) and urlsplit(address).port != 0
        except ValueError:
            is_address = False
        if not is_address:
            return "bad_address", repr(address) if address else "no address"
        if self.opted_out.has(host):
            return "opted_out", address
        return ("private_address", address) if self.networks.refuses(host) else None

    def _name(self, names: Sequence[str], columns: Columns) -> None:
        licence = next((name for name in LICENCE_COLUMNS if name in names), "")
        read = {
            "address": [columns.uri], "captions": list(columns.captions), "sha256": [columns.sha256],
            "md5": [columns.md5], "licence": [licence],
        }  # fmt: skip
        taken = {name for some in read.values() for name in some}
        read["kept as they are"] = [name for name in names if name not in taken]
        for what, some in read.items():
            known = self.columns.setdefault(what, [])
            known += [name for name in some if name and name not in known]


def look_into_list(spec: SourceSpec, *, rows: int, seconds: float, is_fetched: bool) -> SourceLook:
    """Look into a list of addresses: at most so many of its rows, for about so long.

    At least some of the first file are looked at. `is_fetched` says whether its source asks for that. Raises what
    fetching it would: `SourceError` where there is no list, or none with a column of addresses.
    """
    given = fetching(spec) or FetchSettings()
    listing, files = listed_now(FetchedList(spec, given))
    found = _Rows(spec, Networks(given.allow_networks), opted_out_hosts(given))
    parts = sorted({round(i * (len(files) - 1) / (PARTS - 1)) for i in range(PARTS)})
    end, known, num_bytes = time.monotonic() + seconds, dict[int, int](), 0
    for done, number in enumerate(parts):
        left = (end - time.monotonic()) / (len(parts) - done)
        if done and (left <= 0 or found.seen.images >= rows):
            break
        before = found.seen.images
        most = before + -(-(rows - before) // (len(parts) - done))
        is_whole, read = _read(listing.base, files[number], found, given, most, time.monotonic() + left)
        num_bytes += read
        if is_whole:
            known[number] = found.seen.images - before
    total, is_exact = _number_of(listing.base, files, spec, known, (found.seen.images, num_bytes))
    account: SourceAccount = found.seen.counting.account(
        listed=listing.passed_over(spec.name, {path for path, _, _ in files})
    )
    return found.seen.look(
        url=spec.url,
        kind="addresses" if spec.kind in ("auto", "parquet") else spec.kind,
        files=len(files),
        num_bytes=sum(size for _, size, _ in files),
        images=total,
        is_exact=is_exact,
        is_whole=len(known) == len(files),
        account=account,
        columns={what: names for what, names in found.columns.items() if names},
        hosts=dict(found.hosts.most_common(NUM_HOSTS)),
        num_hosts=len(found.hosts),
        repeated=found.repeated,
        is_fetched=is_fetched,
    )


def _read(base: str, file: File, found: _Rows, fetch: FetchSettings, most: int, until: float) -> tuple[bool, int]:
    """Look at the first rows of a file; whether these were all, and the bytes that they take in it."""
    path, size, _ = file
    layout = layout_of(found.spec) or ListLayout()
    form, packed = layout.form_of(path or base)
    assert form is not None, "listed as a list"
    at = [0]
    found.seen.examples.append([])
    made = tables(
        f"{base}/{path}" if path else base,
        size,
        form,
        packed,
        names=layout.names,
        num_rows=min(TABLE_ROWS, most),
        had=at.append,
    )
    first = 0
    columns: Columns | None = None
    for table in made:
        columns = columns or columns_of(table.column_names, found.spec, fetch)
        found.add(table, columns, f"{found.spec.name}/{path}" if path else found.spec.name, first)
        first += table.num_rows
        if found.seen.images >= most or time.monotonic() >= until:
            read = at[-1]
            return next(made, None) is None, read
    return True, size


def _number_of(
    base: str, files: Sequence[File], spec: SourceSpec, known: Mapping[int, int], read: tuple[int, int]
) -> tuple[int, bool]:
    """How many rows a list has, and whether that was counted; `read` are rows, and the bytes that they took."""
    layout = layout_of(spec) or ListLayout()
    others = [file for number, file in enumerate(files) if number not in known]
    stating = [file for file in others if layout.form_of(file[0] or base)[0] == "parquet"]
    stated = [_stated(f"{base}/{path}" if path else base, size) for path, size, _ in stating[:MAX_ASKED]]
    told = round(sum(stated) / max(1, len(stated)) * len(stating))
    rows, num_bytes = read
    left = sum(size for _, size, _ in others) - sum(size for _, size, _ in stating)
    return sum(known.values()) + told + round(left * rows / max(1, num_bytes)), not left and len(stated) == len(stating)


def _stated(url: str, num_bytes: int) -> int:
    with open_random(url, num_bytes) as stream, pq.ParquetFile(stream) as file:
        return int(file.metadata.num_rows)


def _texts(table: pa.Table, name: str) -> Sequence[object]:
    return text_values(table[name].combine_chunks()) if name in table.column_names else [None] * table.num_rows
