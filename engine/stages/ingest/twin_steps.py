"""The steps of grouping near-twins; each part of a step takes a bounded share of the images, and no part all.

    groups   earlier groups: size, leader, and the hashes of each
    nodes    new hashes, each once; one that an earlier image has is that image's
    look     by one band: what is within reach of each hash            } round after round,
    settle   what leads, what follows, what must wait for neighbours   } until all is settled
    target   the leader of each new image
    fill     names and bounds of the groups of a leader

Parts are cut by hash, by leader or by scan, never by which worker happens to be free.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from fld_engine.engine.stages.ingest.elect import FAR, FREE, LEADS, NODES, SEEN, look, settle, turn
from fld_engine.engine.stages.ingest.exchange import Exchange, deal
from fld_engine.engine.stages.ingest.near import MAX_DISTANCE, NUM_BANDS, Hashes, Rows, bands

MAX_GROUP = 1000
"""Images of the largest group. What a hash cannot tell apart a thousand times are placeholders, blank pages, screens of
one program: to part them leaks nothing worth knowing, while a group goes into one split whole and would tip it."""
MIN_BITS_SET = 12
"""Set bits below which a hash says too little. A hash has 32, fewer only where coefficients are equal, as they are
where a picture has no such frequency: 16 for one that is symmetric about an axis, at most 8 about two, none for flat
ones, stripes and gradients along an axis."""

NEW = pa.schema([("hash", pa.uint64()), ("id", pa.string()), ("scan", pa.int32()), ("row", pa.int32())])
EARLIER = pa.schema([("hash", pa.uint64()), ("id", pa.string()), ("group", pa.string())])
TWINS = pa.schema([("scan", pa.int32()), ("row", pa.int32()), ("group", pa.string())])
_KNOWN = pa.schema([("hash", pa.uint64()), ("group", pa.string()), ("leader", pa.uint64()), ("size", pa.int64())])
_PLACES = pa.schema(
    [*NEW, ("leader", pa.uint64()), ("distance", pa.int8()), ("group", pa.string()), ("size", pa.int64())]
)

Run = Callable[[str, int, int], int]
"""Does all parts of a step: (step, round, number of parts) → sum of what is left unsettled."""


def group(run: Run, num_buckets: int) -> None:
    """All steps in their order, from new and earlier images to `twins`."""
    run("groups", 0, num_buckets)
    run("nodes", 0, num_buckets)
    round_ = 0
    run("look", round_, NUM_BANDS * num_buckets)
    while run("settle", round_, num_buckets):
        round_ += 1
        run("look", round_, NUM_BANDS * num_buckets)
    run("target", round_, num_buckets)
    run("fill", 0, num_buckets)


@dataclass(frozen=True)
class Steps:
    """The parts of steps over one exchange. `runs` are the first scans of the runs that tables are written for.

    Images whose hash has fewer than `min_bits_set` bits are groups of their own.
    """

    exchange: Exchange
    num_buckets: int
    runs: tuple[int, ...]
    min_bits_set: int = MIN_BITS_SET

    def do(self, step: str, round_: int, part: int) -> int:
        """One part of a step; returns what it leaves unsettled."""
        return {
            "groups": self._groups,
            "nodes": self._nodes,
            "look": self._look,
            "settle": self._settle,
            "target": self._target,
            "fill": self._fill,
        }[step](part, round_)

    def run(self, step: str, round_: int, num_parts: int) -> int:
        """All parts of a step, here."""
        return sum(self.do(step, round_, part) for part in range(num_parts))

    # ------------------------------------------------------------------ what comes in

    def add_new(self, sender: int, images: pa.Table) -> None:
        """Images of `NEW`; a sender is called once."""
        deal(images, self._bucket(images["hash"].to_numpy()), lambda to, t: self.exchange.put("new", sender, to, t))

    def add_earlier(self, sender: int, images: pa.Table) -> None:
        """Images of `EARLIER`, in the order of senders and rows."""
        names = numbers_of(images["group"])
        deal(images, self._bucket(names), lambda to, t: self.exchange.put("earlier", sender, to, t))

    # ------------------------------------------------------------------ the steps

    def _groups(self, part: int, _: int) -> int:
        table = self.exchange.get("earlier", part, EARLIER)
        hashes, (code, names) = table["hash"].to_numpy(), _codes(table["group"])
        own = np.asarray(table["id"].combine_chunks()) == np.asarray(table["group"].combine_chunks())
        leader = np.zeros(len(names), dtype=np.uint64)
        first = np.unique(code, return_index=True)[1]
        leader[:] = hashes[first]  # the first that is left, where the leader was removed
        leader[code[own]] = hashes[own]
        size = np.bincount(code, minlength=len(names))
        order = np.lexsort((hashes, code))
        once = order[(np.diff(code[order], prepend=-1) != 0) | (np.diff(hashes[order], prepend=np.uint64(0)) != 0)]
        columns = [hashes[once], names.take(pa.array(code[once])), leader[code[once]], size[code[once]]]
        known = pa.table(columns, schema=_KNOWN)
        known = known.filter(pa.array(~self._flat(hashes[once])))
        deal(known, self._bucket(known["hash"].to_numpy()), lambda to, t: self.exchange.put("known", part, to, t))
        return 0

    def _nodes(self, part: int, _: int) -> int:
        known = self.exchange.get("known", part, _KNOWN, again=True)
        new = self.exchange.get("new", part, NEW, again=True)
        hashes = new["hash"].to_numpy()
        free = hashes[~self._flat(hashes) & ~np.isin(hashes, known["hash"].to_numpy())]
        found, weight = np.unique(free, return_counts=True)
        leaders = np.unique(known["leader"].to_numpy()[known["leader"].to_numpy() == known["hash"].to_numpy()])
        nodes = [_nodes_of(found, weight, FREE), _nodes_of(leaders, np.zeros(len(leaders), dtype=np.int64), LEADS)]
        self._show(part, 0, pa.concat_tables(nodes))
        return 0

    def _look(self, part: int, round_: int) -> int:
        band, _ = divmod(part, self.num_buckets)
        seen = look(self.exchange.get(f"shown-{round_}", part, NODES), band)
        deal(
            seen,
            self._bucket(seen["hash"].to_numpy()),
            lambda to, t: self.exchange.put(f"seen-{round_}", part, to, t),
        )
        return 0

    def _settle(self, part: int, round_: int) -> int:
        nodes = self.exchange.get(f"nodes-{round_}", part, NODES)
        nodes, unsettled = settle(nodes, self.exchange.get(f"seen-{round_}", part, SEEN), round_)
        self._show(part, round_ + 1, nodes)
        return unsettled

    def _target(self, part: int, round_: int) -> int:
        new, known = self.exchange.get("new", part, NEW), self.exchange.get("known", part, _KNOWN, again=True)
        nodes = self.exchange.get(f"nodes-{round_ + 1}", part, NODES).sort_by("hash")
        hashes = new["hash"].to_numpy()
        leader, distance = hashes.copy(), np.zeros(len(hashes), dtype=np.int8)
        at, there = _find(nodes["hash"].to_numpy(), hashes)
        leader[there] = nodes["leader"].to_numpy()[at[there]]
        # what an earlier image has goes to its group; of several to the smallest, for the others are full
        known = known.sort_by([("hash", "ascending"), ("size", "ascending"), ("group", "ascending")])
        at, there = _find(known["hash"].to_numpy(), hashes)
        leader[there] = known["leader"].to_numpy()[at[there]]
        distance[:] = np.minimum(np.bitwise_count(hashes ^ leader), FAR)
        rows = pa.array(np.where(there, at, 0), mask=~there)
        places = new.append_column("leader", pa.array(leader)).append_column("distance", pa.array(distance))
        for name in ("group", "size"):
            places = places.append_column(name, known[name].take(rows))
        flat = self._flat(hashes)
        alone = places.filter(pa.array(flat))
        self._write("alone", part, alone, alone["id"])
        places = places.filter(pa.array(~flat))
        receivers = self._bucket(places["leader"].to_numpy())
        deal(places, receivers, lambda to, t: self.exchange.put("places", part, to, t))
        return 0

    def _fill(self, part: int, _: int) -> int:
        table = self.exchange.get("places", part, _PLACES)
        known = self.exchange.get("known", part, _KNOWN)
        known = known.filter(pa.array(known["hash"].to_numpy() == known["leader"].to_numpy()))
        known = known.sort_by([("hash", "ascending"), ("size", "ascending"), ("group", "ascending")])
        leader, hashes, place = table["leader"].to_numpy(), table["hash"].to_numpy(), _places(table)
        at, there = _find(known["hash"].to_numpy(), leader)
        by_leader = pa.array(np.where(there, at, 0), mask=~there)
        group_ = pc.coalesce(table["group"], known["group"].take(by_leader), pa.scalar(""))
        size = pc.coalesce(table["size"], known["size"].take(by_leader), pa.scalar(0)).to_numpy()
        code, _names = _codes(group_)
        order = np.lexsort((place, hashes, table["distance"].to_numpy(), code, leader))
        start, number = _numbered(leader[order], code[order])
        room = number < (MAX_GROUP - size)[order]
        ids = np.arange(len(order))  # the image that names the group of each
        ids[order] = order[start]
        placed = order[room]
        ids[placed] = _leaders(hashes[placed], place[placed], start[room], placed, ids[placed])
        # a group that is full leaves the others of each hash to groups of their own
        rest = order[~room]
        rest = rest[np.lexsort((place[rest], hashes[rest], code[rest], leader[rest]))]
        start, number = _numbered(leader[rest], code[rest], hashes[rest])
        ids[rest] = rest[start + number // MAX_GROUP * MAX_GROUP]
        joins = np.zeros(len(order), dtype=np.bool_)
        joins[placed] = pc.not_equal(group_, "").to_numpy()[placed]
        names = pc.if_else(pa.array(joins), group_, table["id"].take(pa.array(ids)))
        self._write("placed", part, table, names)
        return 0

    # ------------------------------------------------------------------ what goes out

    def twins(self, run: int) -> pa.Table:
        """`TWINS` of a run of scans, by scan and row."""
        tables = [self.exchange.get(name, run, TWINS) for name in ("alone", "placed")]
        return pa.concat_tables(tables).sort_by([("scan", "ascending"), ("row", "ascending")])

    def _write(self, name: str, part: int, places: pa.Table, names: Any) -> None:
        twins = pa.table([places["scan"], places["row"], names], schema=TWINS)
        runs = np.searchsorted(np.array(self.runs), twins["scan"].to_numpy(), side="right") - 1
        deal(twins, runs, lambda to, t: self.exchange.put(name, part, to, t))

    def _show(self, part: int, round_: int, nodes: pa.Table) -> None:
        """Keep nodes for their own bucket, and show them to those of each band that look next."""
        self.exchange.put(f"nodes-{round_}", part, part, nodes)
        hashes = nodes["hash"].to_numpy()
        for band, mask in enumerate(bands()):
            receivers = band * self.num_buckets + self._bucket(hashes & np.uint64(mask))
            deal(nodes, receivers, lambda to, t: self.exchange.put(f"shown-{round_}", part, to, t))

    def _flat(self, hashes: Hashes) -> npt.NDArray[np.bool_]:
        flat: npt.NDArray[np.bool_] = np.bitwise_count(hashes) < self.min_bits_set
        return flat

    def _bucket(self, values: Hashes) -> npt.NDArray[np.int64]:
        return (turn(values) % np.uint64(self.num_buckets)).astype(np.int64)


def numbers_of(column: Any) -> Hashes:
    """The first 16 hex digits of each text, as numbers."""
    digits = pc.utf8_slice_codeunits(column, 0, 16).to_pylist()
    return np.frombuffer(bytes.fromhex("".join(digits)), dtype=">u8").astype(np.uint64)


def _nodes_of(hashes: Hashes, weight: npt.NDArray[np.int64], state: int) -> pa.Table:
    num = len(hashes)
    distance = np.full(num, 0 if state == LEADS else FAR, dtype=np.int8)
    columns = [hashes, weight, np.full(num, state, dtype=np.int8), np.zeros(num, dtype=np.int64), distance, hashes]
    return pa.table(columns, schema=NODES)


def _places(table: pa.Table) -> npt.NDArray[np.int64]:
    """A number for each image, ascending by scan and row."""
    places: npt.NDArray[np.int64] = (table["scan"].to_numpy().astype(np.int64) << 32) + table["row"].to_numpy()
    return places


def _find(ascending: Hashes, wanted: Hashes) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
    """Where each wanted value first stands, and whether it stands there."""
    at = np.searchsorted(ascending, wanted)
    if not len(ascending):
        return at, np.zeros(len(wanted), dtype=np.bool_)
    return at, ascending[np.minimum(at, len(ascending) - 1)] == wanted


def _codes(column: Any) -> tuple[npt.NDArray[np.int64], pa.Array]:
    """Texts as numbers, and what each number stands for."""
    coded = column.combine_chunks().dictionary_encode()
    if isinstance(coded, pa.ChunkedArray):
        coded = coded.combine_chunks()
    return np.asarray(coded.indices).astype(np.int64), coded.dictionary


def _leaders(hashes: Hashes, place: Rows, runs: Rows, rows: Rows, elected: Rows) -> Rows:
    """The row that names the group of each image: the first one's where it reaches all others, else the elected one's.

    Images of a group stand together, with the same number in `runs`.
    """
    if not len(rows):
        return elected
    _, starts, code = np.unique(runs, return_index=True, return_inverse=True)
    order = np.lexsort((place, code))
    first = order[starts]
    far = np.maximum.reduceat(np.bitwise_count(hashes ^ hashes[first][code]), starts)
    return np.where(far[code] <= MAX_DISTANCE, rows[first][code], elected)


def _numbered(*keys: Any) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """For each of rows that are sorted by some keys: where its run of equal keys starts, and its number in the run."""
    num = len(keys[0])
    new = np.ones(num, dtype=np.bool_)
    if num:
        new[1:] = np.logical_or.reduce([key[1:] != key[:-1] for key in keys])
    start = np.maximum.accumulate(np.where(new, np.arange(num), 0))
    return start, np.arange(num) - start
