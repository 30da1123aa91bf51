"""Photographs of installed packages, read where they lie; nothing of them is stored.

`apt-get install gcompris-qt-data opencv-doc mate-backgrounds` brings them, or `apt-get download`
and `dpkg -x PACKAGE FOLDER`, with `--under FOLDER`. Those of scikit-image and scikit-learn come with the tests.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from PIL import Image

MIN_SIDE = 180
MIN_COLOURS = 400
"""Of 5 bits a channel, in a picture of 128 by 128: drawings have fewer."""
LONGEST = 640
"""Side that photographs are made smaller to, as web sources have them."""

ACTIVITIES = (
    "categorization", "erase", "explore_farm_animals", "explore_monuments", "explore_world_animals",
    "explore_world_music", "louis-braille",
)  # fmt: skip
"""Activities of GCompris that come with photographs. Those with paintings hold the same ones whole and in parts."""
OPENCV = (
    "aero1", "aloeL", "apple", "baboon", "basketball1", "board", "building", "butterfly", "cards", "chicky_512",
    "ela_original", "fruits", "graf1", "home", "messi5", "orange", "leuvenA", "licenseplate_motion", "smarties",
    "squirrel_cls", "stuff", "box_in_scene", "box", "sudoku", "imageTextN", "left01", "HappyFish", "rubberwhale1",
    "starry_night", "chessboard", "lena",
)  # fmt: skip
"""Photographs of opencv-doc, one of each scene."""
SCIKIT = (
    "astronaut.png", "chelsea.png", "coffee.png", "rocket.jpg", "motorcycle_left.png", "hubble_deep_field.jpg",
    "retina.jpg", "camera.png", "coins.png", "brick.png", "grass.png", "gravel.png",
)  # fmt: skip
_RESOURCE = re.compile(rb"RIFF....WEBP|\xff\xd8\xff[\xe0\xe1\xdb]", re.DOTALL)


def photographs(under: Path = Path("/")) -> dict[str, Image.Image]:
    """Photographs by name, at most `LONGEST` pixels long, those of Debian packages below a folder; without copies.

    Raises `FileNotFoundError` where there are fewer than 300.
    """
    found: dict[str, Image.Image] = {}
    seen: list[np.ndarray[tuple[int, ...], np.dtype[np.float64]]] = []
    for name, image in _all(under):
        image.thumbnail((LONGEST, LONGEST), Image.Resampling.LANCZOS)
        tiny = np.asarray(image.convert("L").resize((16, 16)), dtype=np.float64)
        if all(np.abs(tiny - other).mean() > 2 for other in seen):
            seen.append(tiny)
            found[name] = image
    if len(found) < 300:
        raise FileNotFoundError(
            f"{len(found)} photographs under {under}, and 300 are needed: apt-get install gcompris-qt-data opencv-doc "
            "mate-backgrounds, or unpack these packages and give --under"
        )
    return found


def _all(under: Path) -> Iterator[tuple[str, Image.Image]]:
    share = under / "usr/share"
    for activity in ACTIVITIES:
        for archive in share.glob(f"gcompris-qt/rcc/{activity}.rcc"):
            yield from _resources(archive)
    documentation = share if (share / "doc/opencv-doc").is_dir() else Path("/usr/share")
    for folder, pattern in (("data", "*"), ("text", "*.jpg")):
        for path in sorted((documentation / "doc/opencv-doc/examples" / folder).glob(pattern)):
            if path.suffix in (".jpg", ".png") and (folder == "text" or path.stem in OPENCV):
                yield path.stem, Image.open(path).convert("RGB")
    for path in sorted((share / "backgrounds/mate/nature").glob("*.jpg")):
        yield path.stem, Image.open(path).convert("RGB")
    for package, folder in (("skimage", "data"), ("sklearn", "datasets/images")):
        spec = find_spec(package)
        if spec is not None and spec.origin is not None:
            for path in sorted((Path(spec.origin).parent / folder).iterdir()):
                if path.name in SCIKIT or (package == "sklearn" and path.suffix == ".jpg"):
                    yield path.stem, Image.open(path).convert("RGB")


def _resources(archive: Path) -> Iterator[tuple[str, Image.Image]]:
    """Pictures in a resource file of Qt, where they lie as they are, each after its length."""
    data = archive.read_bytes()
    for match in _RESOURCE.finditer(data):
        start = match.start()
        is_webp = data[start : start + 4] == b"RIFF"
        size = int.from_bytes(data[start + 4 : start + 8], "little") + 8 if is_webp else _length(data, start)
        try:
            image = Image.open(io.BytesIO(data[start : start + size]))
            image.load()
        except OSError:
            continue
        if min(image.size) >= MIN_SIDE and not image.has_transparency_data and _is_photograph(image.convert("RGB")):
            yield f"{archive.stem}-{start}", image.convert("RGB")


def _length(data: bytes, start: int) -> int:
    return int.from_bytes(data[start - 4 : start], "big")


def _is_photograph(image: Image.Image) -> bool:
    colours = np.asarray(image.resize((128, 128))).reshape(-1, 3) // 8
    return len(np.unique(colours, axis=0)) >= MIN_COLOURS
