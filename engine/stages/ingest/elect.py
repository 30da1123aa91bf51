"""Which hashes lead a group, decided in rounds: each looks at the neighbours of every hash, then settles what it can.

The result is that of one walk over all hashes, those with most images within reach first, ties in the order of `turn`:
a hash that no leader reaches leads, any other follows the nearest leader (a greedy maximal independent set). A hash
whose turn comes before that of all its neighbours need not wait for the walk; as ties are broken as if by chance, few
rounds are enough (Blelloch, Fineman and Shun, "Greedy Sequential Maximal Independent Set and Matching are Parallel on
Average", SPAA 2012).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from fld_engine.engine.stages.ingest.near import MAX_DISTANCE, Hashes, Rows, near_pairs

FREE, LEADS, FOLLOWS = 0, 1, 2
FAR = MAX_DISTANCE + 1
_LAST = np.iinfo(np.uint64).max

NODES = pa.schema(
    [
        ("hash", pa.uint64()),
        ("weight", pa.int64()),  # new images
        ("state", pa.int8()),
        ("reach", pa.int64()),  # images within reach, its own among them
        ("distance", pa.int8()),  # to the nearest leader; `FAR` where none is within reach
        ("leader", pa.uint64()),  # itself, where it leads
    ]
)
"""A row for every hash that is still of interest."""

SEEN = pa.schema(
    [
        ("hash", pa.uint64()),
        ("reach", pa.int64()),
        ("distance", pa.int8()),
        ("leader", pa.uint64()),
        ("rival_reach", pa.int64()),  # of the free neighbour whose turn comes first; -1 where there is none
        ("rival_turn", pa.uint64()),
    ]
)
"""What one band has of the neighbours of a hash."""


def look(nodes: pa.Table, band: int) -> pa.Table:
    """`SEEN`: the neighbours that every one of these hashes has by one band. `nodes` holds all that share a value."""
    hashes, weight, state, reach = (nodes[name].to_numpy() for name in ("hash", "weight", "state", "reach"))
    num, turns = len(hashes), turn(hashes)
    images = np.zeros(num, dtype=np.int64)
    best = [np.full(num, FAR, dtype=np.int64), np.zeros(num, dtype=np.uint64)]
    rival = [np.ones(num, dtype=np.int64), np.full(num, _LAST)]
    for pair in near_pairs(hashes, which=(band,)):
        for one, other in (pair, pair[::-1]):
            np.add.at(images, one, weight[other])
            leads = np.flatnonzero((state[other] == LEADS) & (state[one] != LEADS))
            a, b = one[leads], other[leads]
            keep_least(best, a, [np.bitwise_count(hashes[a] ^ hashes[b]).astype(np.int64), hashes[b]])
            free = np.flatnonzero((state[other] == FREE) & (state[one] == FREE))
            a, b = one[free], other[free]
            keep_least(rival, a, [-reach[b], turns[b]])
    seen = np.flatnonzero((images > 0) | (best[0] < FAR))
    columns = [hashes, images, best[0].astype(np.int8), best[1], -rival[0], rival[1]]
    return pa.table([column[seen] for column in columns], schema=SEEN)


def settle(nodes: pa.Table, seen: pa.Table, round_: int) -> tuple[pa.Table, int]:
    """Nodes after a look, ascending by hash, and how many of them make another look necessary.

    The first round, 0, only counts who is within reach and lets go of those that stand alone: a hash of new images that
    is not in `nodes` any more leads none but itself.
    """
    nodes = nodes.sort_by("hash")
    hashes, state = nodes["hash"].to_numpy(), nodes["state"].to_numpy().copy()
    images = np.zeros(len(hashes), dtype=np.int64)
    best = [nodes["distance"].to_numpy().astype(np.int64), nodes["leader"].to_numpy().copy()]
    rival = [np.ones(len(hashes), dtype=np.int64), np.full(len(hashes), _LAST)]
    at = np.searchsorted(hashes, seen["hash"].to_numpy())
    np.add.at(images, at, seen["reach"].to_numpy())
    keep_least(best, at, [seen["distance"].to_numpy().astype(np.int64), seen["leader"].to_numpy()])
    keep_least(rival, at, [-seen["rival_reach"].to_numpy(), seen["rival_turn"].to_numpy()])
    reach = images + nodes["weight"].to_numpy() if round_ == 0 else nodes["reach"].to_numpy()
    waiting = (state == FREE) & (best[0] == FAR)
    state[(state == FREE) & ~waiting] = FOLLOWS
    if round_ > 0:
        waiting &= (-reach < rival[0]) | ((-reach == rival[0]) & (turn(hashes) < rival[1]))
        state[waiting] = LEADS
        best[0][waiting], best[1][waiting] = 0, hashes[waiting]
    unsettled = int(np.count_nonzero(state == FREE) + (np.count_nonzero(waiting) if round_ > 0 else 0))
    columns = [hashes, nodes["weight"].to_numpy(), state, reach, best[0].astype(np.int8), best[1]]
    table = pa.table(columns, schema=NODES)
    if round_ == 0:
        company = (images > 0) | (state == FOLLOWS)
        unsettled -= int(np.count_nonzero((state == FREE) & ~company))
        table = table.filter(pa.array(company))
    return table, unsettled


def turn(values: Hashes) -> Hashes:
    """Distinct numbers for distinct values, in an order that says nothing of them (the finalizer of MurmurHash3)."""
    mixed = (values ^ (values >> np.uint64(33))) * np.uint64(0xFF51AFD7ED558CCD)
    mixed = (mixed ^ (mixed >> np.uint64(33))) * np.uint64(0xC4CEB9FE1A85EC53)
    return mixed ^ (mixed >> np.uint64(33))


def keep_least(kept: Sequence[np.ndarray], rows: Rows, offered: Sequence[np.ndarray]) -> None:
    """Replace, in place, the two-part keys of some rows where a lesser one is offered; a row may be offered several."""
    order = np.lexsort((offered[1], offered[0], rows))
    rows, a, b = rows[order], offered[0][order], offered[1][order]
    least = np.flatnonzero(np.diff(rows, prepend=-1))
    rows, a, b = rows[least], a[least], b[least]
    less = (a < kept[0][rows]) | ((a == kept[0][rows]) & (b < kept[1][rows]))
    kept[0][rows[less]], kept[1][rows[less]] = a[less], b[less]
