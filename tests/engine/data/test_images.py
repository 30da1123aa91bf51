"""Whatever the bytes, decoding gives upright RGB or a reason; what is handed on as a plain JPEG is one."""

from __future__ import annotations

import io
import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from fld_engine.engine.data.images import ImageLimits, decode, jpeg_bytes, phash64, upright_frame
from fld_engine.schemas.errors import UnreadableImage
from tests.hostile import ORIENTATION_TAG, bomb_png, encoded, jpeg, photograph, pixels, rotated_jpeg, unreadable_files

LIMITS = ImageLimits()
CAT = pixels()


def reason_of(data: bytes, limits: ImageLimits = LIMITS) -> str:
    with pytest.raises(UnreadableImage) as caught:
        decode(data, limits)
    return caught.value.reason


@pytest.mark.parametrize("name", ["coffee.png", "rocket.jpg", "camera.png", "china.jpg", "no_time_for_that_tiny.gif"])
def test_photographs_come_out_as_plain_pillow_shows_them(name: str) -> None:
    image = decode(photograph(name), LIMITS)
    shown = np.asarray(Image.open(io.BytesIO(photograph(name))).convert("RGB"))
    assert np.array_equal(image.pixels, shown)
    assert (image.width, image.height) == (shown.shape[1], shown.shape[0])
    assert image.pixels.dtype == np.uint8
    assert not image.pixels.flags.writeable, "an annotator that scribbles on the image would spoil it for the next one"
    assert image.plain_jpeg == name.endswith(".jpg")


@pytest.mark.parametrize(("name", "data", "reason"), [(n, d, r) for n, (d, r) in unreadable_files().items()])
def test_unreadable_files_have_their_reason(name: str, data: bytes, reason: str) -> None:
    assert reason_of(data) == reason


def test_reasons_are_the_same_in_every_run() -> None:
    """Quarantine tables are part of the dataset: a memory address in a detail would make two runs differ."""
    for data, _ in unreadable_files().values():
        details = set()
        for _ in range(2):
            with pytest.raises(UnreadableImage) as caught:
                decode(bytes(bytearray(data)), LIMITS)
            details.add(caught.value.detail)
        assert len(details) == 1
        assert " at 0x" not in details.pop()


def test_content_decides_the_format_not_the_allow_list_order() -> None:
    assert decode(photograph("coffee.png"), LIMITS).format == "PNG"
    assert reason_of(photograph("coffee.png"), ImageLimits(formats=("JPEG",))) == "format_not_allowed"


def test_limits_hold_before_pixels_are_made() -> None:
    """2.7 GB would be made of the bomb; the header alone must stop it."""
    assert reason_of(bomb_png()) == "too_many_pixels"
    assert reason_of(jpeg(), ImageLimits(max_pixels=451 * 300 - 1)) == "too_many_pixels"
    assert decode(jpeg(), ImageLimits(max_pixels=451 * 300)).width == 451
    assert reason_of(jpeg(), ImageLimits(max_bytes=len(jpeg()) - 1)) == "too_many_bytes"


def test_trailing_garbage_is_ignored() -> None:
    assert np.array_equal(decode(jpeg() + b"\x00garbage" * 100, LIMITS).pixels, decode(jpeg(), LIMITS).pixels)


# Where the pixel that is stored first (top left) must be seen: EXIF 2.32, tag Orientation.
CORNERS = {1: (0, 0), 2: (0, -1), 3: (-1, -1), 4: (-1, 0), 5: (0, 0), 6: (0, -1), 7: (-1, -1), 8: (-1, 0)}


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_exif_orientation_is_applied(orientation: int, format: str) -> None:
    stored = np.zeros((32, 64, 3), dtype=np.uint8)
    stored[:16, :16] = 255
    exif = Image.Exif()
    exif[ORIENTATION_TAG] = orientation
    data = encoded(Image.fromarray(stored), format, exif=exif)
    image = decode(data, LIMITS)
    upright_size = (32, 64) if orientation >= 5 else (64, 32)
    assert (image.width, image.height) == upright_size == upright_frame(data, LIMITS)[0]
    row, column = CORNERS[orientation]
    assert image.pixels[row, column].min() > 200, "the bright corner is not where it belongs"
    bright = [(r, c) for r in (0, -1) for c in (0, -1) if image.pixels[r, c].min() > 200]
    assert bright == [(row, column)]
    assert image.plain_jpeg == (format == "JPEG" and orientation == 1)


def test_plain_jpeg_means_that_readers_without_exif_agree() -> None:
    assert decode(jpeg(), LIMITS).plain_jpeg
    assert not decode(rotated_jpeg(6), LIMITS).plain_jpeg
    assert not decode(encoded(Image.fromarray(CAT).convert("L"), "JPEG"), LIMITS).plain_jpeg
    assert not decode(encoded(Image.fromarray(CAT).convert("CMYK"), "JPEG"), LIMITS).plain_jpeg


@pytest.mark.parametrize(
    ("mode", "format"),
    [
        ("L", "PNG"),
        ("1", "PNG"),
        ("P", "PNG"),
        ("P", "GIF"),
        ("CMYK", "JPEG"),
        ("CMYK", "TIFF"),
        ("YCbCr", "JPEG"),
        ("L", "JPEG"),
    ],
)
def test_every_mode_becomes_the_picture_it_shows(mode: str, format: str) -> None:
    """The mean grey level of the cat survives; an inverted or black picture would be far from it."""
    image = decode(encoded(Image.fromarray(CAT).convert(mode), format), LIMITS)
    assert image.pixels.shape == CAT.shape
    assert abs(float(image.pixels.mean()) - float(CAT.mean())) < 6


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P", "RGB", "L"])
def test_transparency_is_white(mode: str) -> None:
    image = Image.new("RGBA", (8, 8), (255, 0, 0, 255))
    image.paste((0, 0, 0, 0), (0, 0, 4, 8))
    if mode in ("RGB", "L"):  # one colour is declared transparent
        keyed = image.convert("RGB").convert(mode)
        data = encoded(keyed, "PNG", transparency=0 if mode == "L" else (0, 0, 0))
    else:
        data = encoded(image.convert(mode), "PNG")
    shown = decode(data, LIMITS).pixels
    assert (shown[:, :4] == 255).all()
    assert (shown[:, 4:] < 255).any(axis=2).all()


def test_half_transparent_black_on_white_is_mid_grey() -> None:
    shown = decode(encoded(Image.new("RGBA", (2, 2), (0, 0, 0, 128)), "PNG"), LIMITS).pixels
    assert shown[0, 0].tolist() == [127, 127, 127]  # 255 * (1 - 128 / 255)


def test_sixteen_bit_grey_is_scaled_not_clipped() -> None:
    """Pillow's own conversion clips 16-bit grey at 255, which turns photographs white."""
    levels = np.array([[0, 257, 32768, 65535]], dtype=np.uint16)
    for format in ("PNG", "TIFF"):
        shown = decode(encoded(Image.fromarray(levels), format), LIMITS).pixels
        assert shown[0, :, 0].tolist() == [0, 1, 128, 255]  # v / 257, rounded


@pytest.mark.parametrize("compression", [None, "tiff_lzw"])
def test_wide_grey_whose_white_is_zero_is_no_negative(compression: str | None) -> None:
    """TIFF may count from white to black (PhotometricInterpretation 0), as scans and X-rays do."""
    wide = Image.fromarray(np.array([[0, 257, 32768, 65535]], dtype=np.uint16))
    floating = Image.fromarray(np.array([[0, 0.5, 1]], dtype=np.float32))
    for image, right in ((wide, [255, 254, 127, 0]), (floating, [255, 127, 0])):
        data = encoded(image, "TIFF", tiffinfo={262: 0}, compression=compression)
        assert Image.open(io.BytesIO(data)).tag_v2[262] == 0
        assert decode(data, LIMITS).pixels[0, :, 0].tolist() == right


def test_formats_that_have_to_be_allowed_are_read_by_their_content() -> None:
    """PPM, TGA and ICO are what Pillow reads, too; a picture is not lost to what its file is called."""
    allowed = ImageLimits(formats=("PPM", "TGA", "ICO", "JPEG"))
    small = Image.fromarray(CAT).resize((64, 48))
    for format, options in (("PPM", {}), ("TGA", {}), ("TGA", {"compression": "tga_rle"})):
        data = encoded(small, format, **options)
        assert np.array_equal(decode(data, allowed).pixels, np.asarray(small)), format
        assert reason_of(data) == "format_not_allowed", "refused by the name of its format"
    icon = encoded(small.resize((48, 48)), "ICO", sizes=[(48, 48)])
    assert np.array_equal(decode(icon, allowed).pixels, np.asarray(small.resize((48, 48))))
    for mode in ("L", "1"):
        data = encoded(small.convert(mode), "PPM")
        assert np.array_equal(decode(data, allowed).pixels, np.asarray(small.convert(mode).convert("RGB")))


def test_several_pictures_in_one_jpeg_are_read_as_the_first() -> None:
    first, second = (Image.fromarray(CAT).resize(wh) for wh in ((64, 48), (32, 24)))
    buffer = io.BytesIO()
    first.save(buffer, "MPO", save_all=True, append_images=[second], quality=95)
    image = decode(buffer.getvalue(), LIMITS)
    assert (image.format, image.width, image.height) == ("JPEG", 64, 48)


@pytest.mark.parametrize("dtype", [np.int32, np.float32])
def test_unbounded_grey_is_stretched_between_its_ends(dtype: type[np.generic]) -> None:
    levels = np.array([[-100, 20, 100]], dtype=dtype)
    shown = decode(encoded(Image.fromarray(levels), "TIFF"), LIMITS).pixels
    assert shown[0, :, 1].tolist() == [0, 153, 255]  # (20 + 100) / 200 * 255
    flat = encoded(Image.fromarray(np.full((2, 2), 7, dtype=dtype)), "TIFF")
    assert not decode(flat, LIMITS).pixels.any()


def test_float_grey_with_nan_and_infinity_is_readable() -> None:
    levels = np.array([[np.nan, -np.inf, 0.0, 1.0, np.inf]], dtype=np.float32)
    shown = decode(encoded(Image.fromarray(levels), "TIFF"), LIMITS).pixels
    assert shown[0, :, 0].tolist() == [0, 0, 0, 255, 255]


@pytest.mark.parametrize("format", ["GIF", "WEBP", "PNG", "TIFF"])
def test_animations_and_pages_give_their_first_frame(format: str) -> None:
    red, blue = Image.new("RGB", (8, 8), (255, 0, 0)), Image.new("RGB", (8, 8), (0, 0, 255))
    options = {"lossless": True} if format == "WEBP" else {}
    data = encoded(red, format, save_all=True, append_images=[blue], **options)
    assert decode(data, LIMITS).pixels[4, 4].tolist() == [255, 0, 0]


def test_corrupt_exif_does_not_cost_the_photograph() -> None:
    """Pillow warns about it, and warnings are errors here: neither may keep the picture out."""
    exif = b"Exif\x00\x00MM\x00*\x00\x00\x00\x08\x00\x05" + b"\x01\x12\x00\x03\xff\xff\xff\xff" * 3
    image = decode(jpeg(exif=exif), LIMITS)
    assert (image.width, image.height) == (451, 300)


def test_decoding_in_threads_agrees_and_leaves_the_warning_filters_alone() -> None:
    """Decode-ahead runs in threads; a filter stack that threads swap would lose the application's own filters."""
    mine = ("error", None, ResourceWarning, None, 0)
    with warnings.catch_warnings():
        warnings.simplefilter("error", ResourceWarning)
        files = [jpeg(), rotated_jpeg(6), photograph("coffee.png")] * 20
        with ThreadPoolExecutor(8) as threads:
            found = list(threads.map(lambda data: phash64(decode(data, LIMITS).pixels), files))
        assert mine in warnings.filters
        assert sum(f[0] == "ignore" and f[2] is UserWarning for f in warnings.filters) == 1, "a filter for every image"
    assert found == found[:3] * 20


BASES = {
    "JPEG": encoded(Image.fromarray(CAT).resize((90, 60)), "JPEG", exif=b"Exif\x00\x00" + Image.Exif().tobytes()[6:]),
    "PNG": encoded(Image.fromarray(CAT).resize((90, 60)), "PNG"),
    "WEBP": encoded(Image.fromarray(CAT).resize((90, 60)), "WEBP"),
    "GIF": encoded(Image.fromarray(CAT).resize((90, 60)), "GIF"),
    "BMP": encoded(Image.fromarray(CAT).resize((90, 60)), "BMP"),
    "TIFF": encoded(Image.fromarray(CAT).resize((90, 60)), "TIFF", compression="tiff_lzw"),
}


@settings(max_examples=300)
@given(data=st.data(), format=st.sampled_from(sorted(BASES)))
def test_damaged_bytes_give_a_picture_or_a_reason(data: st.DataObject, format: str) -> None:
    damaged = bytearray(BASES[format])
    for at in data.draw(st.lists(st.integers(0, len(damaged) - 1) | st.integers(0, 60), max_size=6)):
        damaged[at] = data.draw(st.integers(0, 255))
    end = data.draw(st.integers(0, len(damaged)) | st.just(len(damaged)))
    try:
        image = decode(bytes(damaged[:end]), LIMITS)
    except UnreadableImage as error:
        reason = error.reason
    else:
        reason = ""
        assert image.pixels.shape == (image.height, image.width, 3)
        assert image.pixels.dtype == np.uint8
    assert reason in {"", "empty", "not_an_image", "format_not_allowed", "too_many_pixels", "truncated", "corrupt"}


@pytest.mark.parametrize("share", [0.0005, 0.01, 0.3, 0.7, 0.95])
@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP"])
def test_a_cut_file_is_never_read_as_whole(format: str, share: float) -> None:
    """A grey lower half would be annotated as if it were the photograph."""
    data = BASES[format]
    assert reason_of(data[: max(1, int(len(data) * share))]) in {"truncated", "corrupt", "not_an_image"}


def test_perceptual_hash_follows_the_picture_not_the_bytes() -> None:
    def distance(a: str, b: str) -> int:
        return (int(a, 16) ^ int(b, 16)).bit_count()

    cat, coffee = phash64(CAT), phash64(pixels("coffee.png"))
    assert len(cat) == 16
    assert distance(cat, phash64(decode(jpeg(quality=40), LIMITS).pixels)) <= 3
    assert distance(cat, phash64(np.asarray(Image.fromarray(CAT).resize((225, 150))))) <= 3
    assert distance(cat, coffee) > 16  # unrelated pictures: 32 bits on average
    assert phash64(np.zeros((5, 7, 3), dtype=np.uint8)) == "0" * 16, "flat pictures have nothing above the median"


def test_perceptual_hash_of_a_horizontal_wave_has_the_bit_it_must_have() -> None:
    """cos(pi k (2n + 1) / 64) in both directions is coefficient (k, k) alone: bit (k - 1) * 8 + k - 1."""
    n = np.arange(32)
    for k in (1, 3, 8):
        wave = np.cos(np.pi * k * (2 * n + 1) / 64)
        grey = np.rint(127.5 + 100 * np.outer(wave, wave)).astype(np.uint8)
        bits = int(phash64(np.repeat(grey[..., None], 3, axis=2)), 16)
        assert bits >> (63 - 9 * (k - 1)) & 1


def test_reencoding_is_repeatable_full_colour_and_carries_nothing_along() -> None:
    data = jpeg_bytes(CAT)
    assert data == jpeg_bytes(CAT.copy())
    image = Image.open(io.BytesIO(data))
    assert not image.getexif()
    assert [layer[1:3] for layer in image.layer] == [(1, 1)] * 3  # 4:4:4: no component is subsampled
    again = decode(data, LIMITS)
    assert again.plain_jpeg
    assert np.abs(again.pixels.astype(int) - CAT).mean() < 2
