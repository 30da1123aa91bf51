"""COCO's run-length masks, to polygons.

`pycocotools` decodes counts that do not fill the mask into whatever memory was there before; counts from a file are
therefore decoded here, where their sum is checked first.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from fld_engine.engine.data.geometry import polygon_area
from fld_engine.engine.data.outlines import enclosed_area, outer_borders

Bitmap = npt.NDArray[np.uint8]


def decode_rle(rle: Mapping[str, Any], image_wh: tuple[int, int]) -> Bitmap:
    """(height, width) mask of zeros and ones from `{"size": [height, width], "counts": list or string}`.

    Counts are the lengths of runs of zeros and ones in turn, column by column, zeros first. Raises `ValueError` where
    they do not make a mask of exactly `image_wh`.
    """
    width, height = image_wh
    size, counts = rle.get("size"), rle.get("counts")
    if size != [height, width]:
        raise ValueError(f"the mask's size [height, width] is {size}, the image's [{height}, {width}]")
    if isinstance(counts, str):
        counts = _uncompressed(counts)
    if not isinstance(counts, list) or not all(type(count) is int and count >= 0 for count in counts):
        raise ValueError("the counts of a mask are neither a string nor a list of whole numbers from 0 up")
    if sum(counts) != width * height:
        raise ValueError(f"the counts of a mask add up to {sum(counts)}, its pixels to {width * height}")
    flat = np.repeat(np.arange(len(counts), dtype=np.uint8) & 1, counts)
    return np.ascontiguousarray(flat.reshape(width, height).T)


def _uncompressed(text: str) -> list[int]:
    """Counts of COCO's compressed string.

    Five bits a character from code 48 on, least first; bit 5 says that more follow, bit 4 of the last is the sign; from
    the fourth count on, the difference to the count two before is stored (`rleFrString` of the COCO API).
    """
    counts: list[int] = []
    value, shift = 0, 0
    for character in text:
        bits = ord(character) - 48
        if not 0 <= bits < 64 or shift > 40:
            raise ValueError(f"character {character!r} does not belong into the counts of a mask")
        value |= (bits & 0x1F) << shift
        shift += 5
        if bits & 0x20:
            continue
        if bits & 0x10:
            value -= 1 << shift
        counts.append(value + counts[-2] if len(counts) > 2 else value)
        value, shift = 0, 0
    if shift:
        raise ValueError("the counts of a mask end in the middle of a number")
    return counts


def mask_polygons(mask: Bitmap) -> list[list[float]]:
    """Outlines `[x1 y1 x2 y2 …]` of the parts of a mask, in pixels, largest first; holes are filled (`num_filled`).

    The contour is traced at twice the size, so that it runs a quarter of a pixel inside the true edge, and a part one
    pixel wide still encloses an area.
    """
    rows, columns = (np.flatnonzero(mask.any(axis=axis)) for axis in (1, 0))
    if not len(rows):
        return []
    top, left = int(rows[0]), int(columns[0])
    part = mask[top : int(rows[-1]) + 1, left : int(columns[-1]) + 1]
    twice = part.repeat(2, axis=0).repeat(2, axis=1)
    contours = sorted(outer_borders(twice, corners=True), key=lambda points: (-enclosed_area(points), points.tolist()))
    outlines = ((contour + 0.5) / 2 + (left, top) for contour in contours if len(contour) > 2)
    return [[float(value) for value in points.reshape(-1)] for points in outlines]


def num_filled(polygons: Sequence[Sequence[float]], mask: Bitmap) -> int:
    """How many pixels of holes the polygons of `mask_polygons` cover.

    By Pick's theorem an outline of area A through B pixels of the doubled mask holds A + B / 2 + 1 of them.
    """
    doubled = 0.0
    for polygon in polygons:
        points = np.asarray(polygon).reshape(-1, 2) * 2
        steps = np.abs(points - np.roll(points, 1, axis=0)).max(axis=1).sum()
        doubled += abs(polygon_area(points.reshape(-1).tolist())) + steps / 2 + 1
    return round(doubled / 4) - int(np.count_nonzero(mask))
