"""The reference set in memory: images are looked up in it by their bytes, by their hash and by what they show."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from fld_engine.engine.stages.contamination.matching import PictureIndex
from fld_engine.engine.stages.contamination.views import View, Views

Row = dict[str, Any]
Hashes = npt.NDArray[np.uint64]

MAX_BITS = 3
"""Bits of a perceptual hash that may differ, as of near-twins: it is all that is known of such an entry."""
HASHES_AT_ONCE = 100_000


class ReferenceSet:
    """Entries of schema `REFERENCES`. Rows that it answers with are those of `FINDS`."""

    def __init__(self, table: pa.Table) -> None:
        self._names: list[tuple[str, str]] = list(
            zip(table["list"].to_pylist(), table["entry"].to_pylist(), strict=True)
        )
        self._places = {identity: place for place, identity in enumerate(table["id"].to_pylist()) if identity}
        self._ids = pa.array(sorted(self._places), pa.string())
        phashes = table["phash"].to_pylist()
        self._hashed = [place for place, phash in enumerate(phashes) if phash]
        self._phashes = _numbers([phashes[place] for place in self._hashed])
        self._shown = np.flatnonzero(table["whole"].is_valid().to_numpy(zero_copy_only=False)).tolist()
        shown = table.take(pa.array(self._shown, pa.int64()))
        self._index = PictureIndex(_views(shown))

    def by_hash(self, images: pa.Table) -> list[Row]:
        """Images, of schema `IMAGES`, whose bytes or perceptual hash an entry has."""
        known = images.filter(pc.is_in(images["id"], self._ids))["id"].to_pylist()
        found = [self._row(identity, self._places[identity], "bytes", 0.0) for identity in known]
        ids, hashes = images["id"].to_pylist(), _numbers(images["phash"].to_pylist())
        for start in range(0, len(self._hashed), HASHES_AT_ONCE):
            some = self._phashes[start : start + HASHES_AT_ONCE]
            for identity, phash in zip(ids, hashes, strict=True):
                bits = np.bitwise_count(some ^ phash)
                found += [
                    self._row(identity, self._hashed[start + place], "hash", float(bits[place]))
                    for place in np.flatnonzero(bits <= MAX_BITS)
                ]
        return found

    def by_picture(self, images: Mapping[str, Views]) -> list[Row]:
        """Images, by id, that show what an entry shows."""
        return [
            self._row(identity, self._shown[one.reference], "picture", round(1 - one.agreement, 2))
            for identity, found in zip(images, self._index.look_up(list(images.values())), strict=True)
            for one in found
        ]

    def _row(self, identity: str, place: int, how: str, distance: float) -> Row:
        name, entry = self._names[place]
        return {"image_id": identity, "list": name, "entry": entry, "how": how, "distance": distance}


def stored_views(table: pa.Table) -> dict[str, Views]:
    """Views by the id of their image, of a table of schema `VIEWS`, without those that have none."""
    there = table.filter(table["whole"].is_valid())
    return dict(zip(there["image_id"].to_pylist(), _views(there), strict=True))


def _views(table: pa.Table) -> list[Views]:
    columns = zip(table["whole"].to_pylist(), table["trimmed"].to_pylist(), strict=True)
    return [Views(View.from_bytes(whole), View.from_bytes(trimmed) if trimmed else None) for whole, trimmed in columns]


def _numbers(hashes: list[str]) -> Hashes:
    return np.array([int(one, 16) for one in hashes], dtype=np.uint64)
