"""Near-twins: images whose perceptual hashes nearly agree share a group, and a group shares its split."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

MAX_DISTANCE = 3
"""Bits of the 64-bit hash that may differ. By the pigeonhole principle, two hashes that differ in at most three bits
agree in at least one of four 16-bit bands, so that only images that share a band are compared."""
NUM_BANDS = 4

Hashes = npt.NDArray[np.uint64]


def twin_roots(hashes: Hashes) -> npt.NDArray[np.int64]:
    """For each image, the index of the first image of its group.

    Within a band, every image is compared with the first one of the same band value; groups that share an image are
    one. A chain of twins is therefore one group, though its ends may differ by more than `MAX_DISTANCE`.
    """
    roots = np.arange(len(hashes))
    for band in range(NUM_BANDS):
        values = (hashes >> np.uint64(16 * band)) & np.uint64(0xFFFF)
        order = np.argsort(values, kind="stable")
        starts = np.flatnonzero(np.diff(values[order].astype(np.int64), prepend=-1))
        leaders = order[np.repeat(starts, np.diff(np.append(starts, len(order))))]
        close = np.bitwise_count(hashes[order] ^ hashes[leaders]) <= MAX_DISTANCE
        for member, leader in zip(order[close], leaders[close], strict=True):
            if member != leader:
                a, b = _find(roots, member), _find(roots, leader)
                roots[max(a, b)] = min(a, b)
    return np.array([_find(roots, i) for i in range(len(hashes))], dtype=np.int64)


def _find(roots: npt.NDArray[np.int64], index: int) -> int:
    while roots[index] != index:
        roots[index] = roots[roots[index]]
        index = roots[index]
    return int(index)
