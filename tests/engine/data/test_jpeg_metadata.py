"""Photographs without what they tell of their photographers: the same picture, and nothing else."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms

from fld_engine.engine.data.jpeg_metadata import without_metadata

SECRET = b"serial-123"


def picture(seed: int = 0) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 255, (45, 61, 3), dtype=np.uint8))


def jpeg(image: Image.Image | None = None, **how: Any) -> bytes:
    buffer = io.BytesIO()
    (image or picture()).save(buffer, "JPEG", **how)
    return buffer.getvalue()


def exif() -> Image.Exif:
    said = Image.Exif()
    said[0x010F] = "PhoneMaker"
    said.get_ifd(0x8769)[0xA431] = SECRET.decode()
    return said


def segment(marker: int, payload: bytes) -> bytes:
    return bytes([0xFF, marker]) + (len(payload) + 2).to_bytes(2, "big") + payload


@pytest.mark.parametrize("how", [{}, {"progressive": True}, {"restart_marker_blocks": 2}, {"quality": 100}], ids=str)
def test_the_coded_picture_is_what_it_was(how: dict[str, Any]) -> None:
    """Baseline, progressive with many scans, with restarts: exactly the file that was never given any EXIF."""
    assert bytes(without_metadata(jpeg(exif=exif(), **how))) == jpeg(**how)


@pytest.mark.parametrize(
    "told",
    [
        segment(0xE1, b"http://ns.adobe.com/xap/1.0/\x00" + SECRET),
        segment(0xED, b"Photoshop 3.0\x00" + SECRET),
        segment(0xE2, b"MPF\x00" + SECRET),
        segment(0xEF, SECRET),
        segment(0xFE, SECRET),
        b"\xff\xff" + segment(0xFE, SECRET)[1:],  # fill bytes before a marker
    ],
    ids=["xmp", "iptc", "mpf", "maker", "comment", "filled"],
)
def test_whatever_only_tells_is_left_out(told: bytes) -> None:
    plain = jpeg()
    assert bytes(without_metadata(plain[:2] + told + plain[2:])) == plain


def test_a_film_and_a_second_picture_behind_the_end_are_left_out() -> None:
    """Phones append them; both show what the cropped picture does not."""
    plain = jpeg()
    assert bytes(without_metadata(plain + jpeg(picture(1), exif=exif()) + SECRET)) == plain


def test_colours_stay() -> None:
    """A profile and Adobe's note on the colour transform change how the same bytes look."""
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    with_profile = jpeg(icc_profile=profile)
    assert without_metadata(with_profile) is with_profile
    four = jpeg(Image.new("CMYK", (16, 16), (1, 2, 3, 4)))
    assert b"Adobe" in four
    assert without_metadata(four) is four


def test_nothing_to_leave_out_is_no_copy() -> None:
    plain = memoryview(jpeg())
    assert without_metadata(plain) is plain


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_a_damaged_file_is_handed_on_or_loses_only_what_tells(data: st.DataObject) -> None:
    """Never an exception, never longer: such files decode or not as they did before."""
    whole = jpeg(exif=exif())
    damaged = bytearray(whole[: data.draw(st.integers(0, len(whole)))])
    for _ in range(data.draw(st.integers(0, 4))):
        if damaged:
            damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    given = bytes(damaged)
    assert len(without_metadata(given)) <= len(given)
