"""Outlines are those of OpenCV, point for point: roots hold what it traced, and equal masks must give equal bytes."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, strategies
from hypothesis.extra.numpy import array_shapes, arrays

from fld_engine.engine.data.outlines import enclosed_area, outer_borders, simplified

Mask = npt.NDArray[np.uint8]
masks = arrays(np.uint8, array_shapes(min_dims=2, max_dims=2, max_side=24), elements=strategies.integers(0, 1))


def blobs(seed: int) -> Mask:
    """Smooth parts with holes and islands in them."""
    noise = np.random.default_rng(seed).random((90, 120))
    smooth = cv2.GaussianBlur(noise, (0, 0), 1 + seed % 5)
    return (smooth > np.median(smooth)).astype(np.uint8)


def of_opencv(mask: Mask, method: int) -> list[list[list[int]]]:
    found, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, method)
    return sorted(contour.reshape(-1, 2).tolist() for contour in found)


def compare(mask: Mask) -> None:
    borders = outer_borders(mask)
    assert sorted(border.tolist() for border in borders) == of_opencv(mask, cv2.CHAIN_APPROX_NONE)
    corners = outer_borders(mask, corners=True)
    assert sorted(border.tolist() for border in corners) == of_opencv(mask, cv2.CHAIN_APPROX_SIMPLE)
    for border in borders:
        assert enclosed_area(border) == cv2.contourArea(border.astype(np.float32))
        for tolerance in (0.0, 0.7, 1.0, 4.0, 100.0):
            reference = cv2.approxPolyDP(border.astype(np.int32).reshape(-1, 1, 2), tolerance, True).reshape(-1, 2)
            assert simplified(border, tolerance).tolist() == reference.tolist()


@given(masks)
def test_any_small_mask_has_the_outlines_that_opencv_traces(mask: Mask) -> None:
    compare(mask)


@given(masks)
def test_masks_of_blocks_as_run_lengths_are_traced_at_twice_their_size(mask: Mask) -> None:
    compare(mask.repeat(2, axis=0).repeat(2, axis=1))


@pytest.mark.parametrize("seed", range(5))
def test_smooth_parts_with_holes_and_islands(seed: int) -> None:
    compare(blobs(seed))


def test_an_island_in_a_hole_is_no_part_of_its_own_and_a_corner_joins() -> None:
    mask = np.zeros((9, 9), np.uint8)
    mask[1:8, 1:8] = 1
    mask[2:7, 2:7] = 0
    mask[4, 4] = 1
    assert len(outer_borders(mask)) == 1
    diagonal = np.eye(3, dtype=np.uint8)
    assert [border.tolist() for border in outer_borders(diagonal)] == [[[0, 0], [1, 1], [2, 2], [1, 1]]]


def test_an_empty_mask_has_none() -> None:
    assert outer_borders(np.zeros((4, 5), np.uint8)) == []
