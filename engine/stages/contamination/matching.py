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
    centred,
    crop,
    descriptor,
    inner_of,
    warped,
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
MIN_CORRELATION = 0.7
"""Correlation of the two pictures where they overlap."""
MIN_OVERLAP = 0.75
"""Share of the image that lies on the reference."""
MIN_SMOOTH = 0.97
"""Agreement of descriptors where neither picture has blocks with structure: a sky, a wall."""

BLOCK_PX = 8
MIN_BLOCKS = 8
"""With fewer blocks that have structure, they say nothing."""
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

Views = tuple[Grey, Grey | None]
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
        self._views: list[Grey] = []
        owners: list[int] = []
        descriptors: list[Floats] = []
        for place, both in enumerate(views):
            for view in both:
                if view is not None:
                    self._views.append(view)
                    owners.append(place)
                    descriptors += [descriptor(warped(view, cut)) for cut in CUTS]
        self._owners: Pairs = np.array(owners, dtype=np.int64)
        self._descriptors: Floats = np.array(descriptors, dtype=np.float32).reshape(-1, DESCRIPTOR_SIZE)

    def look_up(self, images: Sequence[Views]) -> Iterator[list[Found]]:
        """For each image, the references that it shows, the surest first."""
        for start in range(0, len(images), IMAGES_AT_ONCE):
            yield from self._of_some([_seen(views) for views in images[start : start + IMAGES_AT_ONCE]])

    def _of_some(self, images: Sequence[Sequence[Grey]]) -> Iterator[list[Found]]:
        if not len(self._owners):
            yield from ([] for _ in images)
            return
        straight = np.array([descriptor(view) for views in images for view in views], dtype=np.float32)
        asked = np.stack([straight, straight * MIRROR], axis=1).reshape(-1, DESCRIPTOR_SIZE)
        scores = (self._descriptors @ asked.T).reshape(len(self._owners), len(CUTS), -1)
        last = 0
        for views in images:
            first, last = last, last + 2 * len(views)
            yield self._confirmed(views, scores[:, :, first:last])

    def _confirmed(self, views: Sequence[Grey], scores: Floats) -> list[Found]:
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
            cut, view = np.unravel_index(int(np.argmax(scores[row])), scores.shape[1:])
            image = views[view // 2]
            image = image[:, ::-1].copy() if view % 2 else image
            if agreement := same_picture(image, self._views[row], CUTS[cut], float(best[row])):
                found[owner] = agreement
        return [Found(owner, agreement) for owner, agreement in sorted(found.items(), key=lambda one: (-one[1], one[0]))]


def same_picture(image: Grey, reference: Grey, cut: Affine, score: float) -> float:
    """How much of an image lies on a reference, 0 where it is another picture.

    From `cut` on, the affine map is found that lays one on the other (Evangelidis and Psarakis 2008, "Parametric Image
    Alignment Using Enhanced Correlation Coefficient Maximization"). Then blocks of their detail are compared: a logo
    spoils those that it covers and no other, while two pictures of the same outline differ in most.
    """
    try:
        _, onto = cv2.findTransformECC(
            image, reference, centred(cut), cv2.MOTION_AFFINE, _STOP, None, _SMOOTHED_PX  # type: ignore[call-overload]
        )
    except cv2.error:  # they have nothing to do with each other
        return 0.0
    flags = cv2.WARP_INVERSE_MAP
    size = (VIEW_PX, VIEW_PX)
    laid = cv2.warpAffine(reference, onto, size, flags=flags | cv2.INTER_LINEAR)
    inside = cv2.warpAffine(np.ones(size, np.uint8), onto, size, flags=flags | cv2.INTER_NEAREST).astype(bool)
    if inside.mean() < MIN_OVERLAP:
        return 0.0
    if _correlation(image[inside], laid[inside]) < MIN_CORRELATION:
        return 0.0
    agree = _agreement_of_blocks(_detail(image), _detail(laid), inside)
    if len(agree) < MIN_BLOCKS:
        return score if score >= MIN_SMOOTH else 0.0
    share = float(np.mean(agree >= AGREES))
    return share if share >= MIN_AGREEING else 0.0


def _correlation(a: Grey, b: Grey) -> float:
    """That of two runs of pixels; 0 where one of them is plain."""
    one, other = (part.astype(np.float64) - part.mean() for part in (a, b))
    length = float(np.sqrt((one @ one) * (other @ other)))
    return float(one @ other) / length if length else 0.0


def _seen(views: Views) -> list[Grey]:
    """What of an image is looked up: all of it, without borders, and its middle."""
    whole, trimmed = views
    return [whole, *([] if trimmed is None else [trimmed]), inner_of(whole)]


def _detail(view: Grey) -> Floats:
    """What is finer than `DETAIL_PX`, by its local strength, so that light and contrast make no difference."""
    grey = view.astype(np.float32)
    fine = grey - cv2.GaussianBlur(grey, (0, 0), DETAIL_PX)
    strength = cv2.GaussianBlur(fine * fine, (0, 0), DETAIL_PX)
    return (fine / np.sqrt(strength + NOISE)).astype(np.float32)


def _agreement_of_blocks(a: Floats, b: Floats, inside: npt.NDArray[np.bool_]) -> Floats:
    """Correlation of each block that lies inside and has structure in one of the two."""
    mine, other, there = (_blocks(part) for part in (a, b, inside.astype(np.float32)))
    strength = (mine * mine).sum(axis=1), (other * other).sum(axis=1)
    asked = (there.mean(axis=1) >= 0.9) & (np.maximum(*strength) >= STRUCTURE)
    correlation = (mine * other).sum(axis=1) / np.sqrt(strength[0] * strength[1] + 1e-6)
    return correlation[asked].astype(np.float32)


def _blocks(view: Floats) -> Floats:
    """(number of blocks, pixels of one)."""
    number = VIEW_PX // BLOCK_PX
    return view.reshape(number, BLOCK_PX, number, BLOCK_PX).swapaxes(1, 2).reshape(number**2, BLOCK_PX**2)
