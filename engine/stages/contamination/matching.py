"""Whether two images show the same picture: candidates by descriptor, each then laid over the other and compared.

Thresholds were set on one half of the photographs of `benchmarks/twins/contamination.py` and measured on the other.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from fld_engine.engine.stages.contamination.views import (
    DESCRIPTOR_SIZE,
    MIRROR,
    VIEW_PX,
    Affine,
    Floats,
    Grey,
    View,
    Views,
    centred,
    crop,
    descriptor,
    warped,
    warped_colour,
)

CUTS: tuple[Affine, ...] = tuple(
    crop(*sides)
    for sides in (
        (0, 0, 0, 0),
        *((share,) * 4 for share in (0.035, 0.07, 0.105)),  # all around
        (0.08, 0, 0, 0), (0, 0.08, 0, 0), (0, 0, 0.08, 0), (0, 0, 0, 0.08),  # one side
        (0.07, 0, 0.07, 0), (0.07, 0, 0, 0.07), (0, 0.07, 0.07, 0), (0, 0.07, 0, 0.07),  # two that meet
    )
)  # fmt: skip
"""Parts of a reference that are looked for, left, right, top, bottom cut away: what a crop of 10 % falls between."""
NUM_CANDIDATES = 3
MIN_CANDIDATE = 0.35
"""Descriptors of a candidate agree by this; those of unrelated photographs by 0.35 at best in one of two look-ups."""
MIN_AGREEING = 0.65
"""Share of the blocks with structure that agree, once one picture lies on the other."""
MIN_CORRELATION = 0.6
"""Correlation of the two pictures where they overlap."""
MIN_OVERLAP = 0.75
"""Share of the image that lies on the reference."""
MIN_BLOCKS = 24
"""Blocks that agree. Photographs have that many, and most have twice as many; a drawing of a few shapes has not."""
MIN_SIMPLE = 0.97
"""Agreement of descriptors where fewer blocks agree: of a sky, a wall, a drawing."""
MAX_STRETCH = 1.25
"""What one side of a picture may be stretched by, against the other; views are squares already."""
MAX_SHEAR = 0.1
"""What a picture may be turned or slanted by, as the off-diagonal of its map: none of what is looked for does that."""

MIN_COLOURS = 0.6
"""Share of the coloured places of a reference whose colours agree."""
GREY, COLOURED, SAME_COLOUR = 128, 12, 20
"""Cb and Cr of grey, what a coloured place differs from it by, and two places of one colour from one another."""

BLOCK_PX = 8
AGREES = 0.5
"""Correlation from which a block agrees."""
STRUCTURE = 6.0
"""Energy of a block's detail, of at most 64, below which it has no structure."""
DETAIL_PX = 3.0
"""Pixels that the detail of a picture is finer than, as a Gaussian's standard deviation."""
NOISE = 20.0
"""Variance, in squared grey levels, that is noise rather than detail."""

_STOP = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, 30, 1e-3)
_SMOOTHED_PX = 5
IMAGES_AT_ONCE = 16
"""Images that are compared with all references in one product of matrices."""

Pairs = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Found:
    """A reference, by its place, that shows what an image shows; `agreement` is a share of the picture, 0 to 1."""

    reference: int
    agreement: float


class PictureIndex:
    """The pictures of a reference set, to look images up in.

    `views` are those of each reference. It takes about 15 KB a reference.
    """

    def __init__(self, views: Sequence[Views]) -> None:
        self._views: list[View] = []
        owners: list[int] = []
        descriptors: list[Floats] = []
        for place, both in enumerate(views):
            for view in (both.whole, both.trimmed):
                if view is not None:
                    self._views.append(view)
                    owners.append(place)
                    descriptors += [descriptor(warped(view.grey, cut)) for cut in CUTS]
        self._owners: Pairs = np.array(owners, dtype=np.int64)
        self._descriptors: Floats = np.array(descriptors, dtype=np.float32).reshape(-1, DESCRIPTOR_SIZE)

    def look_up(self, images: Sequence[Views]) -> Iterator[list[Found]]:
        """For each image, the references that it shows, the surest first."""
        for start in range(0, len(images), IMAGES_AT_ONCE):
            yield from self._of_some([_seen(views) for views in images[start : start + IMAGES_AT_ONCE]])

    def _of_some(self, images: Sequence[Sequence[View]]) -> Iterator[list[Found]]:
        if not len(self._owners):
            yield from ([] for _ in images)
            return
        straight = np.array([descriptor(view.grey) for views in images for view in views], dtype=np.float32)
        asked = np.stack([straight, straight * MIRROR], axis=1).reshape(-1, DESCRIPTOR_SIZE)
        scores = (self._descriptors @ asked.T).reshape(len(self._owners), len(CUTS), -1)
        last = 0
        for views in images:
            first, last = last, last + 2 * len(views)
            yield self._confirmed(views, scores[:, :, first:last])

    def _confirmed(self, views: Sequence[View], scores: Floats) -> list[Found]:
        """Candidates of one image that lie on it; `scores` are (view of a reference, cut, view of it or its mirror)."""
        best = scores.max(axis=(1, 2))
        found: dict[int, float] = {}
        tried: set[int] = set()
        for row in np.argsort(-best, kind="stable"):
            owner = int(self._owners[row])
            if best[row] < MIN_CANDIDATE or len(tried) == NUM_CANDIDATES:
                break
            if owner in tried:
                continue
            tried.add(owner)
            cut, view = divmod(int(np.argmax(scores[row])), scores.shape[2])
            image = views[view // 2].mirrored if view % 2 else views[view // 2]
            if agreement := same_picture(image, self._views[row], CUTS[cut], float(best[row])):
                found[owner] = agreement
        return [
            Found(owner, agreement) for owner, agreement in sorted(found.items(), key=lambda one: (-one[1], one[0]))
        ]


def same_picture(image: View, reference: View, cut: Affine, score: float) -> float:
    """How much of an image lies on a reference, 0 where it is another picture.

    From `cut` on, the affine map is found that lays one on the other (Evangelidis and Psarakis 2008, "Parametric Image
    Alignment Using Enhanced Correlation Coefficient Maximization"). Then blocks of their detail are compared: a logo
    spoils those that it covers and no other, while two pictures of the same outline differ in most.
    """
    placed = max((_laid(image, reference, onto) for onto in _maps(image, reference, cut)), key=lambda one: one.fit)
    if placed.fit < MIN_CORRELATION or not _same_colours(image, reference, placed.onto):
        return 0.0
    inside, laid = placed.inside, placed.grey
    agree = _agreement_of_blocks(_detail(image.grey), _detail(laid), inside)
    number = int((agree >= AGREES).sum())
    if number < MIN_BLOCKS and score < MIN_SIMPLE:
        return 0.0
    share = number / len(agree) if len(agree) else score
    return share if share >= MIN_AGREEING else 0.0


@dataclass(frozen=True, slots=True)
class _Laid:
    """A reference laid on an image: `fit` is the correlation of their greys, -1 where the map is not possible."""

    onto: Affine
    grey: Grey
    inside: npt.NDArray[np.bool_]
    fit: float


def _maps(image: View, reference: View, cut: Affine) -> list[Affine]:
    """The map that a cut stands for, and what it is refined to, which in repeating patterns may lead astray."""
    start = centred(cut)
    try:
        _, refined = cv2.findTransformECC(
            image.grey,
            reference.grey,
            start.copy(),
            cv2.MOTION_AFFINE,
            _STOP,
            None,
            _SMOOTHED_PX,  # type: ignore[call-overload]
        )
    except cv2.error:  # they have nothing to do with each other, or not enough
        return [start]
    return [start, refined.astype(np.float32)]


def _laid(image: View, reference: View, onto: Affine) -> _Laid:
    flags = cv2.WARP_INVERSE_MAP
    size = (VIEW_PX, VIEW_PX)
    grey = cv2.warpAffine(reference.grey, onto, size, flags=flags | cv2.INTER_LINEAR).astype(np.uint8)
    inside = cv2.warpAffine(np.ones(size, np.uint8), onto, size, flags=flags | cv2.INTER_NEAREST).astype(bool)
    possible = not _distorts(onto) and inside.mean() >= MIN_OVERLAP
    return _Laid(onto, grey, inside, _correlation(image.grey[inside], grey[inside]) if possible else -1.0)


def _distorts(onto: Affine) -> bool:
    """Whether an affine map does what none of the changes does that are looked for."""
    across, down = float(onto[0, 0]), float(onto[1, 1])
    if min(across, down) <= 0 or max(abs(onto[0, 1]), abs(onto[1, 0])) > MAX_SHEAR:
        return True
    return max(across / down, down / across) > MAX_STRETCH


def _same_colours(image: View, reference: View, onto: Affine) -> bool:
    """Whether colours agree where the reference has any, for a logo may have others; a picture made grey has none."""
    laid = warped_colour(reference.colour, onto)
    a, b = (part.reshape(-1, 2).astype(np.int64) - GREY for part in (image.colour, laid))
    strong = [np.abs(part).max(axis=1) >= COLOURED for part in (a, b)]
    if not (strong[0].any() and strong[1].any()):
        return True
    return bool(np.mean(np.abs(a - b)[strong[1]].max(axis=1) <= SAME_COLOUR) >= MIN_COLOURS)


def _correlation(a: Grey, b: Grey) -> float:
    """That of two runs of pixels; 0 where one of them is plain."""
    one, other = (part.astype(np.float64) - part.mean() for part in (a, b))
    length = float(np.sqrt((one @ one) * (other @ other)))
    return float(one @ other) / length if length else 0.0


def _seen(views: Views) -> list[View]:
    """What of an image is looked up: all of it, without borders, and its middle."""
    return [views.whole, *([] if views.trimmed is None else [views.trimmed]), views.whole.inner]


def _detail(view: Grey) -> Floats:
    """What is finer than `DETAIL_PX`, by its local strength, so that light and contrast make no difference."""
    grey = view.astype(np.float32)
    fine = grey - cv2.GaussianBlur(grey, (0, 0), DETAIL_PX)
    strength = cv2.GaussianBlur(fine * fine, (0, 0), DETAIL_PX)
    detail: Floats = (fine / np.sqrt(strength + NOISE)).astype(np.float32)
    return detail


def _agreement_of_blocks(a: Floats, b: Floats, inside: npt.NDArray[np.bool_]) -> Floats:
    """Correlation of each block that lies inside and has structure in one of the two."""
    mine, other, there = (_blocks(part) for part in (a, b, inside.astype(np.float32)))
    strength = (mine * mine).sum(axis=1), (other * other).sum(axis=1)
    asked = (there.mean(axis=1) >= 0.9) & (np.maximum(*strength) >= STRUCTURE)
    correlation = (mine * other).sum(axis=1) / np.sqrt(strength[0] * strength[1] + 1e-6)
    agree: Floats = correlation[asked].astype(np.float32)
    return agree


def _blocks(view: Floats) -> Floats:
    """(number of blocks, pixels of one)."""
    number = VIEW_PX // BLOCK_PX
    blocks: Floats = view.reshape(number, BLOCK_PX, number, BLOCK_PX).swapaxes(1, 2).reshape(number**2, BLOCK_PX**2)
    return blocks
