from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fld_engine.engine.data.geometry import pairwise_iou
from fld_engine.filters.overlap import highest, overlaps

_ROWS = st.lists(st.tuples(*[st.integers(0, 9)] * 2, *[st.integers(1, 9)] * 2, st.integers(0, 3)), max_size=14)


@pytest.mark.parametrize("at_once", [1, 10, 1 << 20])
@given(rows=_ROWS)
def test_the_same_as_all_pairs_of_each_group_in_blocks_of_any_size(
    at_once: int, rows: list[tuple[int, int, int, int, int]]
) -> None:
    """A region lost between two blocks would be a duplicate in the export."""
    table = np.array(rows, dtype=np.float64).reshape(-1, 5)
    boxes = np.hstack([table[:, :2], table[:, :2] + table[:, 2:4]])
    groups = np.unique(table[:, 4], return_inverse=True)[1]
    found = overlaps(boxes, groups, pairs_at_once=at_once)
    expected = pairwise_iou(boxes, boxes) * (groups[:, None] == groups[None, :])
    np.fill_diagonal(expected, 0.0)
    dense = np.zeros_like(expected)
    dense[found.a, found.b] = found.iou
    assert np.array_equal(dense, expected)
    assert np.array_equal(highest(found, len(boxes)), expected.max(axis=1, initial=0.0))
