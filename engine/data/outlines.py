"""Outlines of binary masks, point for point as OpenCV traces them, so that reading a mask needs no OpenCV.

Borders are followed as by Suzuki and Abe 1985, "Topological structural analysis of digitized binary images by border
following"; points are left out as by Douglas and Peucker 1973. A test compares every point with OpenCV's, for roots
hold outlines that it traced.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Points = npt.NDArray[np.int64]
"""(n, 2): x and y of pixels."""

_AROUND = ((1, 0), (1, -1), (0, -1), (-1, -1), (-1, 0), (-1, 1), (0, 1), (1, 1))
"""The neighbours of a pixel as (x, y), against the clock from the right one on."""
_SEEN, _RIGHT_EDGE = 2, 3
"""Marks of border pixels; the second where the background begins to their right."""


def outer_borders(mask: npt.NDArray[np.uint8] | npt.NDArray[np.bool_], *, corners: bool = False) -> list[Points]:
    """The outermost pixels of each part of a (height, width) mask, against the clock on screen, topmost part first.

    Pixels that touch at a corner are of one part; what lies in the hole of another part is left out. A border begins at
    the leftmost pixel of its topmost row. With `corners`, only the pixels where it changes its direction.
    """
    framed = np.pad((mask != 0).astype(np.uint8), 1)
    width = framed.shape[1]
    starts = np.flatnonzero(np.diff(framed.reshape(-1), prepend=0) == 1)
    pixels = bytearray(framed.tobytes())
    found = []
    for start in starts.tolist():
        if pixels[start] != 1:
            continue
        row = start - start % width
        seen, right_edge = (pixels.rfind(mark, row, start) for mark in (_SEEN, _RIGHT_EDGE))
        if seen <= right_edge:  # else it lies inside of a part that began further left
            places = np.array(_followed(pixels, width, start, corners), dtype=np.int64)
            found.append(np.column_stack([places % width - 1, places // width - 1]))
    return found


def enclosed_area(points: Points) -> float:
    """What an outline encloses, in squared pixels."""
    x, y = points[:, 0], points[:, 1]
    return float(abs((np.roll(x, 1) * y - np.roll(y, 1) * x).sum())) / 2


def simplified(points: Points, tolerance_px: float) -> Points:
    """An outline with fewer points, none of those left out further than `tolerance_px` from what stays."""
    if len(points) < 2:
        return points
    kept = _cut(points, tolerance_px**2)
    return np.array(_straightened(points[kept].tolist(), tolerance_px**2), dtype=np.int64)


def _followed(pixels: bytearray, width: int, start: int, corners: bool) -> list[int]:
    """Places of the border that begins at `start`; marks them."""
    steps = [x + y * width for x, y in _AROUND] * 2
    way = 4
    while True:
        way = (way - 1) & 7
        if way == 4:
            pixels[start] = _RIGHT_EDGE
            return [start]
        if pixels[start + steps[way]]:
            break
    last, here, came = start + steps[way], start, way ^ 4
    places = []
    while True:
        from_way = way
        way += 1
        while not pixels[here + steps[way]]:
            way += 1
        way &= 7
        following = here + steps[way]
        if 0 <= way - 1 < from_way:
            pixels[here] = _RIGHT_EDGE
        elif pixels[here] == 1:
            pixels[here] = _SEEN
        if way != came or not corners:
            places.append(here)
        came = way
        if following == start and here == last:
            return places
        here, way = following, (way + 4) & 7


def _cut(points: Points, tolerance: float) -> list[int]:
    """Indices of the points that stay; from two that are far apart on, each stretch is cut at its furthest point."""
    count, first, far, distance = len(points), 0, 0, 0
    for _ in range(3):
        first = (first + far) % count
        away = ((np.roll(points, -first, axis=0) - points[first]) ** 2).sum(axis=1)
        if distance := int(away.max()):
            far = int(away.argmax())
    if distance <= tolerance:
        return [first]
    second = (first + far) % count
    kept, waiting = [], [(second, first), (first, second)]
    while waiting:
        begin, end = waiting.pop()
        between = (np.arange(1, (end - begin) % count) + begin) % count
        if len(between):
            off, length = _off_the_stretch(points[between], points[begin], points[end])
            furthest = int(off.argmax())
            if float(off[furthest]) > tolerance * length:
                middle = int(between[furthest])
                waiting += [(middle, end), (begin, middle)]
                continue
        kept.append(begin)
    return kept


def _off_the_stretch(points: Points, begin: Points, end: Points) -> tuple[Points, int]:
    """Squared distances of points from a stretch, times its squared length; and that."""
    along = end - begin
    length = int(along @ along)
    since, until = points - begin, points - end
    projected = since @ along
    beside = (since[:, 1] * along[0] - since[:, 0] * along[1]) ** 2
    before, behind = (since**2).sum(axis=1) * length, (until**2).sum(axis=1) * length
    return np.where(projected < 0, before, np.where(projected > length, behind, beside)), length


def _straightened(points: list[list[int]], tolerance: float) -> list[list[int]]:
    """Without the points that lie nearly on a slanted line between their neighbours."""
    count = left = len(points)
    position = 0
    start, write = points[-1], 0
    point, position = points[0], 1 % count
    i = 0
    while i < count and left > 2:
        end = points[position]
        position = (position + 1) % count
        dx, dy = end[0] - start[0], end[1] - start[1]
        off = abs((point[0] - start[0]) * dy - (point[1] - start[1]) * dx)
        onward = (point[0] - start[0]) * (end[0] - point[0]) + (point[1] - start[1]) * (end[1] - point[1])
        if off * off <= 0.5 * tolerance * (dx * dx + dy * dy) and dx and dy and onward >= 0:
            left -= 1
            points[write] = start = end
            point, position = points[position], (position + 1) % count
            i += 1
        else:
            points[write] = start = point
            point = end
        write = (write + 1) % count
        i += 1
    return points[:left]
