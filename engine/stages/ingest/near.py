"""Pairs of hashes that nearly agree, found without comparing all with all."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import count

import numpy as np
import numpy.typing as npt

MAX_DISTANCE = 3
"""Bits of the 64-bit hash that may differ between near-twins."""
NUM_BANDS = MAX_DISTANCE + 1
"""By the pigeonhole principle, hashes that differ in at most three bits agree in at least one of four sets of bits, so
that only those that agree in one are compared (multi-index hashing: Norouzi, Punjani and Fleet, "Fast Search in Hamming
Space with Multi-Index Hashing", CVPR 2012)."""
ALL_BITS = 2**64 - 1
CROWD = 4096
"""Hashes that agree in one set of bits and are compared all with all; more are told apart by their other bits first."""

Hashes = npt.NDArray[np.uint64]
Rows = npt.NDArray[np.int64]


def bands(bits: int = ALL_BITS) -> tuple[int, ...]:
    """Four masks that share the set bits of `bits` out in turn, so that each has low and high frequencies."""
    places = [place for place in range(64) if bits >> place & 1]
    return tuple(sum(1 << place for place in places[n::NUM_BANDS]) for n in range(NUM_BANDS))


def near_pairs(
    hashes: Hashes, which: Iterable[int] = range(NUM_BANDS), bits: int = ALL_BITS
) -> Iterator[tuple[Rows, Rows]]:
    """Every pair of rows whose hashes are at most `MAX_DISTANCE` apart, once, in blocks of at most one pair a row.

    `hashes` are distinct, and agree outside `bits`. With only some of the four bands, those pairs whose first band in
    common is one of these: so the bands can be searched apart, and each band value apart.
    """
    masks = bands(bits)
    for band in which:
        keys = hashes & np.uint64(masks[band])
        order = np.argsort(keys, kind="stable")
        starts = np.flatnonzero(np.diff(keys[order], prepend=~keys[order[:1]]))
        sizes = np.diff(starts, append=len(order))
        crowded = sizes > CROWD
        for start, size in zip(starts[crowded], sizes[crowded], strict=True):
            rows = order[start : start + size]
            for a, b in near_pairs(hashes[rows], bits=bits & ~masks[band]):
                new = _first_agreement(hashes[rows[a]] ^ hashes[rows[b]], masks[:band])
                yield rows[a[new]], rows[b[new]]
        left = np.repeat(starts + sizes, sizes) - np.arange(len(order)) - 1  # how many of the same value follow
        yield from _pairs_of_cells(hashes, order, np.where(np.repeat(crowded, sizes), 0, left), masks[:band])


def _pairs_of_cells(hashes: Hashes, order: Rows, left: Rows, earlier: Sequence[int]) -> Iterator[tuple[Rows, Rows]]:
    """Each row against the `left` rows that follow it: those one further on, then those two further on, and so on."""
    values = hashes[order]
    at = np.arange(len(order))
    for shift in count(1):
        at = at[left[at] >= shift]
        if not len(at):
            return
        apart = values[at] ^ values[at + shift]
        near = np.flatnonzero(np.bitwise_count(apart) <= MAX_DISTANCE)
        near = near[_first_agreement(apart[near], earlier)]
        yield order[at[near]], order[at[near] + shift]


def _first_agreement(apart: Hashes, earlier: Sequence[int]) -> npt.NDArray[np.bool_]:
    """Where no earlier band agrees: a pair that shares several bands counts in the first."""
    first = np.ones(len(apart), dtype=np.bool_)
    for mask in earlier:
        first &= (apart & np.uint64(mask)) != 0
    return first
