"""Safe decoding: bytes nobody vouches for become upright 8-bit RGB, or an `UnreadableImage` with a countable reason.

What every image becomes, whatever it was:

- The content decides the format, never the file name: a PNG called `.jpg` is read as the PNG it is.
- First frame of animated and multi-page files; EXIF (or XMP) orientation applied; corrupt EXIF counts as upright.
- Alpha, palette and colour-key transparency are composited on white.
- CMYK, YCCK and YCbCr are converted by Pillow's formulas; embedded colour profiles are ignored.
- Grey whose white is zero (TIFF's PhotometricInterpretation 0) is turned round, as 8-bit pictures are by Pillow.
- 16-bit grey is divided by 257; 16-bit colour keeps its high bytes; 32-bit integer and float grey have no agreed white,
  so the least value of the image becomes black and the greatest white (NaN is black).
- Bytes after the end of the image are ignored.
"""

from __future__ import annotations

import io
import re
import struct
import warnings
import zlib
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, get_args

import numpy as np
import numpy.typing as npt
from PIL import Image, UnidentifiedImageError
from pydantic import Field

from fld_engine.engine.data.identity import Fields
from fld_engine.schemas.annotations import Frozen
from fld_engine.schemas.errors import UnreadableImage

Format = Literal["JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF", "AVIF", "JPEG2000", "PPM", "TGA", "ICO"]

Image.MAX_IMAGE_PIXELS = None  # ImageLimits.max_pixels is asked instead: Pillow's limit warns first and raises at twice

_SIGNATURES: tuple[tuple[str, re.Pattern[bytes]], ...] = (
    ("JPEG", re.compile(rb"\xff\xd8\xff")),
    ("PNG", re.compile(rb"\x89PNG\r\n\x1a\n")),
    ("WEBP", re.compile(rb"RIFF....WEBP", re.DOTALL)),
    ("BMP", re.compile(rb"BM")),
    ("GIF", re.compile(rb"GIF8[79]a")),
    ("TIFF", re.compile(rb"II[*+]\x00|MM\x00[*+]")),
    ("AVIF", re.compile(rb"....ftypavi[fs]", re.DOTALL)),
    ("JPEG2000", re.compile(rb"\xff\x4f\xff\x51|\x00\x00\x00\x0cjP  ")),
    ("HEIC", re.compile(rb"....ftyp(hei|hev|mif1|msf1)", re.DOTALL)),
    ("JPEG XL", re.compile(rb"\xff\x0a|\x00\x00\x00\x0cJXL ")),
    ("PSD", re.compile(rb"8BPS")),
    ("ICO", re.compile(rb"\x00\x00\x01\x00")),
    ("PPM", re.compile(rb"P[1-6][\s#]")),
    ("PDF", re.compile(rb"%PDF-")),
    ("SVG", re.compile(rb"\s*(<\?xml[^>]*>\s*)?<svg", re.IGNORECASE)),
    # TGA begins with no mark of its own: kinds of palette and image, 13 bytes of places and sizes, bits of a pixel
    ("TGA", re.compile(rb".[\x00\x01][\x01-\x03\x09-\x0b].{13}[\x01\x08\x10\x18\x20]", re.DOTALL)),
)
"""First bytes of the formats we read, and of those that people most often have and we do not read."""

RGB = npt.NDArray[np.uint8]
"""Pixels: (height, width, 3)."""
_DECODER_ERRORS = (
    OSError,
    SyntaxError,
    ValueError,  # and UnicodeDecodeError
    TypeError,
    AttributeError,
    LookupError,
    EOFError,
    ArithmeticError,
    RuntimeError,  # and NotImplementedError, RecursionError
    AssertionError,
    BufferError,
    MemoryError,
    struct.error,
    zlib.error,
    Image.DecompressionBombError,
)
"""What Pillow's plugins raise on damaged bytes."""

_TRUNCATED = re.compile(r"truncat|end of file|not enough", re.IGNORECASE)
_QUIET_PILLOW = ("ignore", None, UserWarning, re.compile(r"PIL\."), 0)
_ORIENTATION_TAG = 0x0112
_PHOTOMETRIC_TAG = 0x0106
_TRANSPOSE = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""EXIF orientation → what makes the image upright; 1 and unknown values need nothing (EXIF 2.32, tag 0x0112)."""


class ImageLimits(Frozen):
    """What is accepted. `formats` are recognised by content."""

    in_fingerprints: ClassVar[Fields] = Fields(always=("max_pixels", "max_bytes", "formats"))

    max_pixels: int = Field(default=64_000_000, gt=0)
    max_bytes: int = Field(default=200_000_000, gt=0)
    formats: tuple[Format, ...] = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF")


ANY_IMAGE = ImageLimits(max_pixels=2**62, max_bytes=2**62, formats=get_args(Format))
"""For reading headers alone: whether an image is acceptable is decided where it is decoded."""


@dataclass(frozen=True, slots=True)
class DecodedImage:
    """`pixels` is a read-only (height, width, 3) uint8 RGB array, upright.

    `plain_jpeg`: any JPEG decoder that knows nothing of EXIF gives the same geometry in mode RGB, so that the original
    bytes can be handed on as they are.
    """

    pixels: RGB
    format: Format
    width: int
    height: int
    plain_jpeg: bool


def format_of(head: bytes) -> str:
    """The format that the first bytes of a file promise, such as `JPEG`, `HEIC` or `PDF`; empty where none is known."""
    return next((name for name, signature in _SIGNATURES if signature.match(head)), "")


def decode(data: bytes, limits: ImageLimits) -> DecodedImage:
    """Decode the first frame, upright, as RGB.

    Raises `UnreadableImage`, reason `empty`, `too_many_bytes`, `not_an_image`, `format_not_allowed`, `too_many_pixels`
    (from the header, before pixels are decoded), `truncated` or `corrupt`; nothing else. Safe in many threads at once.
    """
    image, found = _open(data, limits)
    try:
        image.load()
        _check_pixels(image, limits)  # a GIF frame may be larger than its header says
        orientation = _orientation(image)
        plain = image.format == "JPEG" and image.mode == "RGB" and orientation == 1
        upright = image.transpose(_TRANSPOSE[orientation]) if orientation in _TRANSPOSE else image
        pixels = np.ascontiguousarray(_to_rgb(upright))
        if _white_is_zero(image):
            pixels = 255 - pixels
    except _DECODER_ERRORS as error:
        raise _unreadable(error) from error
    pixels.setflags(write=False)
    return DecodedImage(pixels, found, width=pixels.shape[1], height=pixels.shape[0], plain_jpeg=plain)


def upright_frame(data: bytes, limits: ImageLimits) -> tuple[tuple[int, int], int]:
    """((width, height) that `decode` would give, EXIF orientation of the stored pixels), from the header alone.

    Raises `UnreadableImage`.
    """
    image, _ = _open(data, limits)
    width, height = image.size
    try:
        orientation = _orientation(image)
    except _DECODER_ERRORS as error:
        raise _unreadable(error) from error
    if image.format == "TIFF":  # whose size Pillow has turned already
        tags: Any = getattr(image, "tag_v2", {})
        stored = tags.get(_ORIENTATION_TAG, 1)
        return (width, height), stored if stored in _TRANSPOSE else 1
    return ((height, width) if orientation >= 5 else (width, height)), orientation


def jpeg_bytes(pixels: RGB, quality: int = 95) -> bytes:
    """JPEG of a (height, width, 3) array without chroma subsampling or metadata; equal pixels give equal bytes."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=quality, subsampling="4:4:4")
    return buffer.getvalue()


def phash64(pixels: RGB) -> str:
    """64-bit perceptual hash, 16 hex digits: images that look alike differ in few bits.

    32 × 32 grey, 2-D DCT-II, a bit for each of the coefficients (1, 1) to (8, 8) that is above their median (Zauner,
    "Implementation and Benchmarking of Perceptual Image Hash Functions", 2010, section 3.2.1). All arithmetic is on
    integers, so that every machine gives the same bits.
    """
    grey = Image.fromarray(pixels).convert("L").resize((_HASH_SIDE, _HASH_SIDE), Image.Resampling.BOX)
    low = _COSINES @ np.asarray(grey, dtype=np.int64) @ _COSINES.T
    bits = low > int(np.sort(low, axis=None)[31:33].sum()) // 2
    return np.packbits(bits).tobytes().hex()


def _cosines(side: int) -> npt.NDArray[np.int64]:
    """DCT-II basis rows 1 to 8 for `side` samples, scaled to 16-bit integers."""
    angles = np.outer(np.arange(1, 9), 2 * np.arange(side) + 1) * (np.pi / (2 * side))
    basis: npt.NDArray[np.int64] = np.rint(np.cos(angles) * 2**15).astype(np.int64)
    return basis


_HASH_SIDE = 32
_COSINES = _cosines(_HASH_SIDE)


def _open(data: bytes, limits: ImageLimits) -> tuple[Image.Image, Format]:
    """Read the header only; the one plugin is asked that the first bytes call for."""
    if not data:
        raise UnreadableImage("empty", "the file has no bytes")
    if len(data) > limits.max_bytes:
        raise UnreadableImage("too_many_bytes", f"{len(data)} bytes, at most {limits.max_bytes} are accepted")
    name = format_of(data) or None
    if name is None:
        raise UnreadableImage("not_an_image", f"starts with {data[:12]!r}, which is no image format known here")
    found = next((allowed for allowed in limits.formats if allowed == name), None)
    if found is None:
        raise UnreadableImage("format_not_allowed", f"{name}; accepted are {', '.join(limits.formats)}")
    _quiet_pillow()
    try:
        image = Image.open(io.BytesIO(data), formats=[found])
    except UnidentifiedImageError as error:  # its message holds a memory address: no two runs would agree
        raise UnreadableImage("corrupt", f"starts as {name} does, but its header cannot be read") from error
    except _DECODER_ERRORS as error:
        raise _unreadable(error) from error
    _check_pixels(image, limits)
    return image, found


def _check_pixels(image: Image.Image, limits: ImageLimits) -> None:
    width, height = image.size
    if width * height > limits.max_pixels:
        raise UnreadableImage("too_many_pixels", f"{width} x {height}, at most {limits.max_pixels} pixels are accepted")


def _unreadable(error: BaseException) -> UnreadableImage:
    reason = "truncated" if isinstance(error, EOFError) or _TRUNCATED.search(str(error)) else "corrupt"
    return UnreadableImage(reason, f"{type(error).__name__}: {error}")


def _quiet_pillow() -> None:
    """Keep Pillow's remarks on odd metadata from being printed, or raised where warnings are errors.

    One narrow filter for the `UserWarning`s of the package PIL, put first and left there: `warnings.catch_warnings`
    swaps the filters of the whole process and is not safe in decoding threads.
    """
    if not warnings.filters or warnings.filters[0] != _QUIET_PILLOW:
        warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")


def _orientation(image: Image.Image) -> int:
    """EXIF orientation 1 to 8; 1 where it is absent, out of range or unreadable."""
    if image.format == "TIFF":
        return 1  # Pillow turns TIFF itself, sizes included
    try:
        value = image.getexif().get(_ORIENTATION_TAG, 1)
    except _DECODER_ERRORS:
        return 1
    return value if value in _TRANSPOSE else 1


def _to_rgb(image: Image.Image) -> npt.NDArray[np.uint8]:
    """(height, width, 3) by the rules above."""
    if image.mode.startswith("I;16"):
        wide = np.asarray(image, dtype=np.float64)
        return _grey_to_rgb(wide / 257)
    if image.mode in ("I", "F"):
        return _grey_to_rgb(_stretched(np.asarray(image, dtype=np.float64)))
    if image.has_transparency_data:
        layer = image.convert("RGBA")
        return np.asarray(Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer).convert("RGB"))
    return np.asarray(image if image.mode == "RGB" else image.convert("RGB"))


def _white_is_zero(image: Image.Image) -> bool:
    """Whether Pillow gives the negative of a picture: it turns grey of 1 to 8 bits round, and no wider one.

    TIFF 6.0, section 8, tag PhotometricInterpretation.
    """
    tags: Any = getattr(image, "tag_v2", {})
    wide = image.mode.startswith("I;16") or image.mode in ("I", "F")
    return wide and tags.get(_PHOTOMETRIC_TAG) == 0


def _stretched(grey: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Values scaled so that the least finite one is 0 and the greatest 255; a constant image is black."""
    finite = grey[np.isfinite(grey)]
    low, high = (float(finite.min()), float(finite.max())) if len(finite) else (0.0, 0.0)
    if low == high:
        return np.zeros_like(grey)
    return (np.nan_to_num(grey, nan=low, posinf=high, neginf=low) - low) * (255 / (high - low))


def _grey_to_rgb(grey: npt.NDArray[np.float64]) -> npt.NDArray[np.uint8]:
    return np.repeat(np.rint(grey).astype(np.uint8)[..., None], 3, axis=2)
