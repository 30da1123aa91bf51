"""Near-twins: images whose perceptual hashes nearly agree share a group, and a group shares its split.

A group is its leader and images whose hash is at most `MAX_DISTANCE` bits from the leader's; there are no chains. The
hash with most images within reach leads, and every other goes to the nearest leader; the group is named by its first
image where that reaches all others, else by one with the leader's hash. Groups of earlier ingests stay as they are: an
image whose very hash is known joins the image that has it, and one within reach of an earlier leader never leads.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from fld_engine.engine.stages.ingest.exchange import Memory
from fld_engine.engine.stages.ingest.near import MAX_DISTANCE, Hashes
from fld_engine.engine.stages.ingest.twin_steps import NEW, Steps, group, numbers_of

__all__ = ["MAX_DISTANCE", "twin_roots"]


def twin_roots(hashes: Hashes) -> npt.NDArray[np.int64]:
    """For each image of one ingest, the index of the image that its group is named by, by the steps that ingest takes.

    All hashes are compared, those of flat pictures too.
    """
    steps = Steps(Memory(), num_buckets=1, runs=(0,), min_bits_set=0)
    rows = np.arange(len(hashes), dtype=np.int32)
    ids = [f"{row:016x}" for row in range(len(hashes))]
    steps.add_new(0, pa.table([hashes, ids, np.zeros_like(rows), rows], schema=NEW))
    group(steps.run, num_buckets=1)
    return numbers_of(steps.twins(0)["group"]).astype(np.int64)
