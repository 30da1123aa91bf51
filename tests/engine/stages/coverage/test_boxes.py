from __future__ import annotations

import numpy as np
import pytest

from fld_engine.engine.stages.coverage.boxes import AREA_EDGES, ASPECT_EDGES, HEAT_MAP_SIDE, count_boxes
from tests.tables import rows


@pytest.mark.parametrize(
    ("box", "area_bin", "aspect_bin", "cell"),
    [
        ((0, 0, 100, 100), 39, 10, (16, 16)),  # the whole image: share 1 is in the last bin, its centre in the middle
        ((0, 0, 50, 50), 36, 10, (8, 8)),  # a quarter
        ((75, 0, 100, 100), 36, 6, (28, 16)),  # the right quarter: width by height 2^-2
        ((0, 99, 100, 100), 26, 19, (16, 31)),  # a line at the bottom: 100 to 1 is beyond 2^5; share 0.01 > 2^-7
        ((0, 0, 0.01, 0.01), 0, 10, (0, 0)),  # 1e-8 of the image is below 2^-20
    ],
)
def test_bins_of_a_box(box: tuple[float, ...], area_bin: int, aspect_bin: int, cell: tuple[int, int]) -> None:
    images = rows("images", {"id": "i", "width": 100, "height": 100})
    found = count_boxes(rows("regions", {"image_id": "i", "box": box}), images)
    assert (np.flatnonzero(found.area).tolist(), np.flatnonzero(found.aspect).tolist()) == ([area_bin], [aspect_bin])
    assert np.flatnonzero(found.centres).tolist() == [cell[1] * HEAT_MAP_SIDE + cell[0]]


def test_edges_are_half_octaves() -> None:
    assert AREA_EDGES[-1] == 1.0
    assert ASPECT_EDGES[10] == 1.0
    for edges in (AREA_EDGES, ASPECT_EDGES):
        assert np.allclose(np.diff(np.log2(edges)), 0.5)


def test_crowded_images_are_in_the_last_bin() -> None:
    images = rows("images", {"id": "i", "width": 9, "height": 9})
    found = count_boxes(rows("regions", *[{"image_id": "i", "box": (0, 0, 9, 9)}] * 70), images)
    assert found.per_image[-1] == 1
