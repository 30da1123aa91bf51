"""Near-twins end up in one group, so that no split holds the twin of another's image."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from fld_engine.engine.stages.ingest.twin_steps import MAX_GROUP
from fld_engine.engine.stages.ingest.twins import MAX_DISTANCE, twin_roots


@given(st.integers(0, 2**64 - 1), st.sets(st.integers(0, 63), max_size=MAX_DISTANCE))
def test_two_hashes_within_the_distance_share_a_group(value: int, flipped: set[int]) -> None:
    twin = value ^ sum(1 << bit for bit in flipped)
    assert twin_roots(np.array([value, twin], dtype=np.uint64)).tolist() == [0, 0]


def test_distant_images_stay_apart_and_groups_are_named_by_their_first_image() -> None:
    hashes = np.array([0x0, 0xFFFF_FFFF_FFFF_FFFF, 0x1, 0xFFFF_FFFF_FFFF_FFFE, 0x0123_4567_89AB_CDEF], dtype=np.uint64)
    assert twin_roots(hashes).tolist() == [0, 1, 0, 1, 4]


def test_a_later_image_joins_the_group_of_an_earlier_one() -> None:
    early = np.array([5, 0xFF << 40], dtype=np.uint64)
    late = np.concatenate([early, np.array([4], dtype=np.uint64)])
    assert twin_roots(late)[:2].tolist() == twin_roots(early).tolist()
    assert twin_roots(late)[2] == 0


def test_the_image_that_most_others_are_within_reach_of_leads() -> None:
    """An original between two copies that are 6 bits apart: were a copy to lead, the other would have no group."""
    original = 0x0123_4567_89AB_CDEF
    hashes = np.array([original ^ 0b111, original ^ 0b111000, original], dtype=np.uint64)
    assert twin_roots(hashes).tolist() == [2, 2, 2]


def test_a_picture_that_is_there_a_hundred_thousand_times_makes_groups_of_bounded_size() -> None:
    hashes = np.full(100_500, 0x0123_4567_89AB_CDEF, dtype=np.uint64)
    assert np.unique(twin_roots(hashes), return_counts=True)[1].tolist() == [MAX_GROUP] * 100 + [500]
