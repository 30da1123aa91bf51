"""What an image is compared by: small views of it, and a descriptor of their coarse structure."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from fld_engine.engine.data.images import RGB

Grey = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]
Affine = npt.NDArray[np.float32]
"""(2, 3): where in the source each pixel of the result is read."""

VIEW_PX = 64
"""Views are squares: an aspect ratio that was changed makes no difference."""
COLOUR_PX = 16
"""Colours of a view are a square of this side: the eye, and JPEG, see them coarsely, too."""
WORK_PX = 256
"""Longer side of the picture that views are made of; borders are looked for in it."""
FREQUENCIES = 12
DESCRIPTOR_SIZE = FREQUENCIES**2
INNER = 0.08
"""Share that the inner view leaves out on each side: what is left of a picture whose frame is no plain colour."""
MAX_BORDER = 0.3
"""Share of a side that a border may take."""
MIN_TRIMMED_PX = 16
FLAT = 8.0
"""Grey levels that the pixels of a line of a border may vary by, as standard deviation: the JPEG around a picture."""
SAME_LINE = 4.0
"""Grey levels that a line of a border may differ from the outermost by, as a mean."""
NO_STRUCTURE = 3.0
"""Grey levels that a view varies by, as standard deviation, below which it shows nothing that could be compared."""

_HALF = np.full(2, 0.5, np.float32)
_FX, _FY = np.meshgrid(np.arange(FREQUENCIES), np.arange(FREQUENCIES))
_WEIGHTS = np.hypot(_FX, _FY).astype(np.float32)
"""By frequency: pictures have less the finer the structure, and all of it should count; the mean grey does not."""
MIRROR = ((-1.0) ** _FX).astype(np.float32).ravel()
"""Times a descriptor, that of the mirrored view: odd cosines change their sign."""


@dataclass(frozen=True, slots=True)
class View:
    """A picture, small: `grey` is (64, 64), `colour` is (16, 16, 2), Cb and Cr around 128, both uint8."""

    grey: Grey
    colour: Grey

    @property
    def mirrored(self) -> View:
        return View(*(np.ascontiguousarray(part[:, ::-1]) for part in (self.grey, self.colour)))

    @property
    def inner(self) -> View:
        """Its middle."""
        middle = crop(INNER, INNER, INNER, INNER)
        return View(warped(self.grey, middle), warped_colour(self.colour, centred(middle)))

    def to_bytes(self) -> bytes:
        return self.grey.tobytes() + self.colour.tobytes()

    @classmethod
    def from_bytes(cls, data: bytes) -> View:
        pixels = np.frombuffer(data, np.uint8)
        cut = VIEW_PX**2
        return cls(pixels[:cut].reshape(VIEW_PX, VIEW_PX), pixels[cut:].reshape(COLOUR_PX, COLOUR_PX, 2))


@dataclass(frozen=True, slots=True)
class Views:
    """An image, and the same without its plain borders, where it has any."""

    whole: View
    trimmed: View | None = None


def views_of(pixels: RGB) -> Views:
    """The views of a (height, width, 3) image."""
    small = _small(pixels)
    height, width = small.shape[:2]
    left, top, right, bottom = _picture(small[:, :, 0])
    trimmed = None
    if (left, top, right, bottom) != (0, 0, width, height) and min(right - left, bottom - top) >= MIN_TRIMMED_PX:
        trimmed = _view(small[top:bottom, left:right])
    return Views(_view(small), trimmed)


def crop(left: float, right: float, top: float, bottom: float) -> Affine:
    """What cuts these shares of a view away."""
    return np.array(
        [[1 - left - right, 0, left * VIEW_PX], [0, 1 - top - bottom, top * VIEW_PX]], np.float32
    )  # fmt: skip


def warped(grey: Grey, where: Affine) -> Grey:
    """The grey of a view through an affine map."""
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    size = (VIEW_PX, VIEW_PX)
    return cv2.warpAffine(grey, centred(where), size, flags=flags, borderMode=cv2.BORDER_REPLICATE).astype(np.uint8)


def warped_colour(colour: Grey, onto: Affine) -> Grey:
    """The colour of a view through an affine map between the pixels of greys."""
    scale = VIEW_PX // COLOUR_PX
    shift = np.full(2, (scale - 1) / 2, np.float32)
    coarse = np.column_stack([onto[:, :2], (onto[:, :2] @ shift + onto[:, 2] - shift) / scale]).astype(np.float32)
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    size = (COLOUR_PX, COLOUR_PX)
    return cv2.warpAffine(colour, coarse, size, flags=flags, borderMode=cv2.BORDER_REPLICATE).astype(np.uint8)


def centred(where: Affine) -> Affine:
    """A map between positions in pictures, for pixels that are counted by their centres."""
    moved = where.copy()
    moved[:, 2] += where[:, :2] @ _HALF - _HALF
    return moved


def descriptor(grey: Grey) -> Floats:
    """`DESCRIPTOR_SIZE` numbers of length 1, all 0 where the view has no structure.

    The low frequencies of the view by DCT-II, each times its frequency. The scalar product of two is 1 for the same
    picture and about 0 for others.
    """
    if grey.std() < NO_STRUCTURE:
        return np.zeros(DESCRIPTOR_SIZE, np.float32)
    low = (cv2.dct(grey.astype(np.float32))[:FREQUENCIES, :FREQUENCIES] * _WEIGHTS).ravel()
    length = float(np.linalg.norm(low))
    return (low / length if length else low).astype(np.float32)


def _small(pixels: RGB) -> Grey:
    """(height, width, 3): grey, Cb and Cr."""
    height, width = pixels.shape[:2]
    scale = WORK_PX / max(height, width)
    if scale < 1:
        size = (max(1, round(width * scale)), max(1, round(height * scale)))
        pixels = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA).astype(np.uint8)
    grey, red, blue = cv2.split(cv2.cvtColor(pixels, cv2.COLOR_RGB2YCrCb))
    return np.dstack([grey, blue, red]).astype(np.uint8)


def _view(small: Grey) -> View:
    grey, colour = (
        cv2.resize(np.ascontiguousarray(part), (side, side), interpolation=cv2.INTER_AREA).astype(np.uint8)
        for part, side in ((small[:, :, 0], VIEW_PX), (small[:, :, 1:], COLOUR_PX))
    )
    return View(grey, colour)


def _picture(grey: Grey) -> tuple[int, int, int, int]:
    """(left, top, right, bottom) of what is inside borders of one grey each."""
    lines = grey.astype(np.float32)
    height, width = grey.shape
    top, bottom = _border(lines), _border(lines[::-1])
    left, right = _border(lines.T), _border(lines.T[::-1])
    return left, top, width - right, height - bottom


def _border(lines: Floats) -> int:
    """Outermost lines that are of one grey, and one more, in which it goes over into the picture."""
    most = int(len(lines) * MAX_BORDER)
    border = lines[:most]
    if not len(border):
        return 0
    plain = (border.std(axis=1) < FLAT) & (np.abs(border - np.median(lines[0])).mean(axis=1) < SAME_LINE)
    number = int(np.argmin(plain)) if not plain.all() else most
    return number + 1 if number else 0
