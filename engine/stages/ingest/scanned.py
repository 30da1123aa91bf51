"""What one ingest found, before it is packed: its scans, what is new in them, and what was refused."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa

from fld_engine.engine.data.store import Store
from fld_engine.engine.stages.ingest.scanning import NamedChunk
from fld_engine.engine.stages.ingest.tables import ScanResult


@dataclass(frozen=True, slots=True)
class Scanned:
    """Everything scanned in one ingest, in order."""

    chunks: Sequence[NamedChunk]
    results: Sequence[ScanResult]
    quarantine: pa.Table
    matches: Sequence[str]
    table: pa.Table  # MATCHES of all buckets, by scan and row

    @property
    def scans(self) -> tuple[str, ...]:
        return tuple(result.files["scan"].path for result in self.results)

    def quarantined(self, what: str) -> dict[str, int]:
        """Rejected images or annotations by reason."""
        rows = self.quarantine.select(["what", "reason"]).to_pylist()
        return dict(sorted(Counter(row["reason"] for row in rows if row["what"] == what).items()))

    def known(self) -> Counter[int]:
        """How many images of each scan were known."""
        rows = zip(self.table["scan"].to_pylist(), self.table["status"].to_pylist(), strict=True)
        return Counter(scan for scan, status in rows if status == "known")


def new_images(store: Store, scanned: Scanned) -> list[tuple[int, int, int]]:
    """(scan, row, bytes) of every new image, in order."""
    new: list[tuple[int, int, int]] = []
    status = scanned.table["status"].to_pylist()
    wanted: dict[int, list[int]] = {}
    for scan, row, state in zip(
        scanned.table["scan"].to_pylist(), scanned.table["row"].to_pylist(), status, strict=True
    ):
        if state == "new":
            wanted.setdefault(scan, []).append(row)
    for scan, rows in sorted(wanted.items()):
        taken = store.read_table(scanned.results[scan].files["scan"].path, ["num_bytes"]).take(
            pa.array(rows, pa.int64())
        )
        new += [(scan, row, size) for row, size in zip(rows, taken["num_bytes"].to_pylist(), strict=True)]
    return new
