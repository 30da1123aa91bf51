"""What was refused and is looked at again: its source has changed, or the limits that it was refused under."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pyarrow as pa

from fld_engine.engine.data.images import ImageLimits
from fld_engine.engine.data.journal import IngestRecord, totals
from fld_engine.engine.data.store import Store
from fld_engine.engine.plan.config import RunConfig
from fld_engine.engine.sources.item import SourceChunk
from fld_engine.engine.stages.ingest.gone import file_uris, files_of
from fld_engine.schemas.annotations import Frozen
from fld_engine.schemas.tables import QUARANTINE

REPLAY = "replay.json"
BY_LIMITS = ("too_many_pixels", "too_many_bytes", "format_not_allowed")
"""Reasons of images that other `images` settings would accept."""

Row = dict[str, Any]


class Replay(Frozen):
    """Chunks that the next ingest reads again, by fingerprint. It counts while a root has `after` finished ingests."""

    after: int
    chunks: tuple[str, ...]


def chunks_again(store: Store, journal: Sequence[IngestRecord]) -> frozenset[str]:
    """Fingerprints of the chunks that a replay asked for and no ingest has read since."""
    if not store.exists(REPLAY):
        return frozenset()
    replay: Replay = store.read_model(REPLAY, Replay)
    return frozenset(replay.chunks if replay.after == len(journal) else ())


def refusals(store: Store, journal: Sequence[IngestRecord]) -> list[Row]:
    """The rows of all quarantines that count: their places were not looked at again since."""
    rows: dict[tuple[str, ...], list[Row]] = {}
    for ingest in journal:
        for row in store.read_table(ingest.again.path).to_pylist() if ingest.again else ():
            rows.get(_key(row), [{}]).pop()
        for row in store.read_table(ingest.quarantine.path).to_pylist():
            rows.setdefault(_key(row), []).append({"of_image": "", **row})
    return [row for same in rows.values() for row in same]


def _key(row: Row) -> tuple[str, ...]:
    return row["uri"], row["what"], row["reason"]


def looked_again(
    store: Store,
    journal: Sequence[IngestRecord],
    chunks: Iterable[SourceChunk],
    reread: Sequence[str],
    quarantine: pa.Table,
) -> Mapping[str, Any]:
    """Fields of the journal of an ingest: what was refused earlier, in places that it read again.

    These are in its chunks, or in COCO jsons that are all read again, or are refused again, in its own `quarantine`.
    """
    earlier = totals(journal)
    if not earlier.quarantined and not earlier.rejected_annotations:
        return {}
    rows = refusals(store, journal)
    by_uri: dict[str, set[int]] = {}
    for number, row in enumerate(rows):
        for uri in {*files_of(row["uri"]), *files_of(row["of_image"] or "")}:
            by_uri.setdefault(uri, set()).add(number)
    again: set[int] = set()
    for chunk in chunks:
        for uri in file_uris(chunk):
            again |= by_uri.get(uri, set())
    for uri in quarantine["uri"].to_pylist():
        again |= {number for number in by_uri.get(uri, ()) if rows[number]["uri"] == uri}
    starts = tuple(f"{name}#" for name in reread)
    again |= {number for number, row in enumerate(rows) if row["uri"].startswith(starts)}
    if not again:
        return {}
    table = pa.Table.from_pylist([rows[number] for number in sorted(again)], schema=QUARANTINE)
    counts = {what: Counter(r["reason"] for r in table.to_pylist() if r["what"] == what) for what in _WHAT}
    return {
        "again": store.write_table(f"quarantine/{len(journal) + 1:06d}.again.parquet", table),
        "again_images": dict(sorted(counts["image"].items())),
        "again_annotations": dict(sorted(counts["annotation"].items())),
    }


_WHAT = ("image", "annotation")


def refused_before(store: Store, config: RunConfig, journal: Sequence[IngestRecord]) -> list[Row]:
    """Quarantined images of the config's sources that its limits would accept now."""
    if not any(reason in BY_LIMITS for reason in totals(journal).quarantined):
        return []
    names = {spec.name for spec in config.sources}
    return [
        row
        for row in refusals(store, journal)
        if row["what"] == "image" and row["source"] in names and accepts(config.images, row["reason"], row["detail"])
    ]


def accepts(limits: ImageLimits, reason: str, detail: str) -> bool:
    """Whether limits accept an image that was refused, by what the detail of its quarantine says that it has."""
    numbers = [int(number) for number in re.findall(r"\d+", detail)]
    match reason:
        case "too_many_pixels":  # 2000 x 1000, at most 1000000 pixels are accepted
            return len(numbers) > 1 and numbers[0] * numbers[1] <= limits.max_pixels
        case "too_many_bytes":  # 3000 bytes, at most 2000 are accepted
            return bool(numbers) and numbers[0] <= limits.max_bytes
        case "format_not_allowed":  # GIF; accepted are JPEG, PNG
            return detail.partition(";")[0] in limits.formats
    return False
