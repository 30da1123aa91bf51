"""Hostile and odd files, built from real photographs: what bad input looks like when it arrives."""

from __future__ import annotations

import io
import json
import struct
import tarfile
import zlib
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

ORIENTATION_TAG = 0x0112


def photograph(name: str) -> bytes:
    """Bytes of a photograph that scikit-image or scikit-learn carries, such as `rocket.jpg` or `china.jpg`."""
    for package, folder in (("skimage", "data"), ("sklearn", "datasets/images")):
        spec = find_spec(package)
        assert spec is not None
        assert spec.origin is not None
        path = Path(spec.origin).parent / folder / name
        if path.is_file():
            return path.read_bytes()
    raise FileNotFoundError(name)


def pixels(name: str = "chelsea.png") -> np.ndarray[Any, np.dtype[np.uint8]]:
    """A photograph as a (height, width, 3) array; the cat is 300 high and 451 wide."""
    return np.asarray(Image.open(io.BytesIO(photograph(name))).convert("RGB"))


def encoded(image: Image.Image, format: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format, **options)
    return buffer.getvalue()


def jpeg(name: str = "chelsea.png", *, quality: int = 90, **options: Any) -> bytes:
    """A JPEG of a photograph; different qualities are different bytes of the same picture."""
    return encoded(Image.fromarray(pixels(name)), "JPEG", quality=quality, **options)


def rotated_jpeg(orientation: int) -> bytes:
    """A JPEG that stores its pixels as they are and says by EXIF that they are to be turned."""
    exif = Image.Exif()
    exif[ORIENTATION_TAG] = orientation
    return jpeg(exif=exif)


def bomb_png(width: int = 30_000, height: int = 30_000) -> bytes:
    """A few kilobytes that say they are 900 million pixels, and would unpack to them."""
    return png_with(width, height, zlib.compress(bytes(10_000_000), 9))


def lying_png() -> bytes:
    """A small image's data under a header that says 5000 x 5000."""
    return png_with(5000, 5000, zlib.compress(bytes(100 * 301)))


def png_with(width: int, height: int, data: bytes) -> bytes:
    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def unreadable_files() -> dict[str, tuple[bytes, str]]:
    """File name → (bytes, the reason they must be rejected for)."""
    good = jpeg()
    return {
        "zero.jpg": (b"", "empty"),
        "half.jpg": (good[: len(good) // 2], "truncated"),
        "half.png": (photograph("coffee.png")[:100_000], "truncated"),
        "bomb.png": (bomb_png(), "too_many_pixels"),
        "lying.png": (lying_png(), "truncated"),
        "words.jpg": (b"this is no picture at all", "not_an_image"),
        "page.jpg": (b"<!doctype html><html>404</html>", "not_an_image"),
        "photo.heic": (b"\x00\x00\x00\x18ftypheic" + bytes(100), "format_not_allowed"),
        "head.jpg": (b"\xff\xd8\xff\xe0" + bytes(60), "corrupt"),
    }


def write_unreadable(folder: Path) -> dict[str, str]:
    """Write all unreadable files; returns file name → reason."""
    folder.mkdir(parents=True, exist_ok=True)
    files = unreadable_files()
    for name, (data, _) in files.items():
        (folder / name).write_bytes(data)
    return {name: reason for name, (_, reason) in files.items()}


def tar_bytes(members: Sequence[tuple[str, bytes]]) -> bytes:
    """A plain tar of regular members, names as given."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for name, data in members:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


def write_hostile_tar(path: Path) -> dict[str, str]:
    """A tar with two good samples, `good` and `last`, and everything a tar can be wrong in; URI suffix → reason."""
    with tarfile.open(path, "w") as tar:

        def add(name: str, data: bytes = b"", kind: bytes = tarfile.REGTYPE, link: str = "") -> None:
            info = tarfile.TarInfo(name)
            info.size, info.type, info.linkname = len(data), kind, link
            tar.addfile(info, io.BytesIO(data))

        add("good.jpg", jpeg())
        add("good.txt", b"A cat with <loc_1> eyes.")
        add("/absolute.jpg", jpeg(quality=80))
        add("../outside.jpg", jpeg(quality=80))
        add("link.jpg", kind=tarfile.SYMTYPE, link="/etc/passwd")
        add("hard.jpg", kind=tarfile.LNKTYPE, link="good.jpg")
        add("pipe.jpg", kind=tarfile.FIFOTYPE)
        add("device.jpg", kind=tarfile.CHRTYPE)
        add("folder", kind=tarfile.DIRTYPE)
        add("lonely.txt", b"A caption without an image.")
        add("twice.jpg", jpeg(quality=70))
        add("twice.jpg", jpeg(quality=60))
        add("good.png", photograph("coffee.png"))
        add("bad.jpg", jpeg(quality=50))
        add("bad.json", b"{not json")
        add("._hidden.jpg", b"resource fork")
        add("last.jpg", jpeg(quality=40))
    return {
        "!/absolute.jpg": "bad_name",
        "!../outside.jpg": "bad_name",
        "!link.jpg": "not_a_file",
        "!hard.jpg": "not_a_file",
        "!pipe.jpg": "not_a_file",
        "!device.jpg": "not_a_file",
        "!lonely.txt": "no_image",
        "!twice.jpg": "duplicate_key",
        "!good.png": "duplicate_key",
        "!bad.json": "bad_text",
    }


def write_hostile_parquet(path: Path) -> dict[str, str]:
    """Four rows, of which the first and the last have an image; URI suffix → reason."""
    rows: list[Mapping[str, Any]] = [
        {"image": {"bytes": jpeg(), "path": None}, "caption": "A cat."},
        {"image": None, "caption": "No cell."},
        {"image": {"bytes": None, "path": None}, "caption": "No bytes."},
        {"image": {"bytes": jpeg(quality=80), "path": "a.jpg"}, "caption": "</s><loc_1>"},
    ]
    image = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    table = pa.Table.from_pylist(rows, schema=pa.schema([("image", image), ("caption", pa.string())]))
    pq.write_table(table, path)
    return {"#1": "no_bytes", "#2": "no_bytes"}


def write_hostile_coco(folder: Path) -> dict[str, str]:
    """`folder/labels.json` beside two photographs, the cat well annotated; URI suffix → reason."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "cat.jpg").write_bytes(jpeg())
    (folder / "rocket.jpg").write_bytes(photograph("rocket.jpg"))
    nan, infinite = float("nan"), float("inf")

    def box(identity: int, *xywh: float, image: int = 1, **more: Any) -> dict[str, Any]:
        return {"id": identity, "image_id": image, "category_id": 17, "bbox": list(xywh), "iscrowd": 0, **more}

    annotations = [
        {"id": 1, "image_id": 1, "caption": "A cat <loc_1> looks </s> up."},
        {"id": 2, "image_id": 1, "caption": "   "},
        box(3, 100, 50, 200, 150, segmentation=[[100, 50, 300, 50, 300, 200]]),
        box(4, -20, -20, 100, 100),
        box(5, 400, 250, 100, 100),
        box(6, 10, 10, -5, 20),
        box(7, 10, 10, 0, 20),
        box(8, nan, 10, 5, 20),
        box(9, 10, 10, infinite, 20),
        box(10, 1000, 1000, 5, 20),
        box(11, 1, 2, 3),
        box(12, 10, 10, 20, 20, image=99),
        box(13, 10, 10, 20, 20, category_id=99),
        box(14, 10, 10, 20, 20, segmentation=[[1, 2, 3]]),
        box(15, 10, 10, 20, 20, segmentation={"size": [300, 451], "counts": [4]}),
        box(16, 10, 10, 20, 20, iscrowd=1),
        box(17, 10, 10, 20, 20, image=2),
    ]
    tree = {
        "images": [
            {"id": 1, "file_name": "cat.jpg", "width": 451, "height": 300},
            {"id": 2, "file_name": "rocket.jpg", "width": 64, "height": 42},
            {"id": 3, "file_name": "gone.jpg", "width": 10, "height": 10},
            {"id": 4, "file_name": "../../etc/passwd", "width": 10, "height": 10},
            {"id": 3, "file_name": "again.jpg", "width": 10, "height": 10},
        ],
        "annotations": annotations,
        "categories": [{"id": 17, "name": "cat"}],
    }
    (folder / "labels.json").write_text(json.dumps(tree))
    return {
        "#annotation/6": "box_empty",
        "#annotation/7": "box_empty",
        "#annotation/8": "box_not_finite",
        "#annotation/9": "box_not_finite",
        "#annotation/10": "box_outside",
        "#annotation/11": "box_malformed",
        "#annotation/12": "dangling_id",
        "#annotation/13": "dangling_id",
        "#annotation/14": "bad_mask",
        "#annotation/15": "bad_mask",
        "#annotation/16": "crowd",
        "#annotation/17": "frame_mismatch",
        "#gone.jpg": "missing",
        "#../../etc/passwd": "bad_name",
        "#again.jpg": "duplicate_key",
    }
