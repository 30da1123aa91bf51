"""How many changed copies of reference photographs are found, and how many other photographs are taken for one.

`python -m benchmarks.twins.contamination --under FOLDER`. Photographs are halved by hash of their name. Thresholds were
set on the half `tuned`; `measured` is the half that they have not seen. In each half every other photograph is a
reference, and the rest, with the same changes, must not be found. `--references N` adds regions of photographs to the
reference set until it has that many, to see what larger lists cost and confuse.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import random
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageOps

from benchmarks.twins.photographs import photographs
from fld_engine.engine.data.images import phash64
from fld_engine.engine.stages.contamination.matching import PictureIndex
from fld_engine.engine.stages.contamination.views import Views, views_of

Change = Callable[[Image.Image, random.Random], Image.Image]


def encoded(image: Image.Image, quality: int) -> Image.Image:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality)
    return Image.open(buffer).convert("RGB")


def by_quality(quality: int) -> Change:
    return lambda image, _: encoded(image, quality)


def resized(factor: float) -> Change:
    return lambda image, _: image.resize((round(image.width * factor), round(image.height * factor)))


def squared(image: Image.Image, _: random.Random) -> Image.Image:
    return image.resize((256, 256))


def cropped(share: float) -> Change:
    """That share of the width and the height from each side."""
    return lambda image, _: image.crop(
        (
            round(image.width * share),
            round(image.height * share),
            round(image.width * (1 - share)),
            round(image.height * (1 - share)),
        )
    )


def cropped_evenly(share: float) -> Change:
    """The same number of pixels from each side, that share of the shorter one."""
    return lambda image, _: ImageOps.crop(image, round(share * min(image.size)))


def cropped_anywhere(share: float) -> Change:
    """A window that is smaller by that share, anywhere."""

    def change(image: Image.Image, draw: random.Random) -> Image.Image:
        width, height = round(image.width * (1 - share)), round(image.height * (1 - share))
        left, top = draw.randint(0, image.width - width), draw.randint(0, image.height - height)
        return image.crop((left, top, left + width, top + height))

    return change


def mirrored(image: Image.Image, _: random.Random) -> Image.Image:
    return ImageOps.mirror(image)


def bordered(share: float, colour: str) -> Change:
    return lambda image, _: ImageOps.expand(image, round(image.width * share), colour)


def letterboxed(image: Image.Image, _: random.Random) -> Image.Image:
    return ImageOps.expand(image, (0, image.height // 6), "black")


def with_logo(image: Image.Image, draw: random.Random) -> Image.Image:
    marked = image.copy()
    left, top = draw.choice((0.03, 0.78)) * image.width, draw.choice((0.03, 0.85)) * image.height
    ImageDraw.Draw(marked).rectangle(
        (left, top, left + 0.19 * image.width, top + 0.12 * image.height), fill="red", outline="white", width=3
    )
    return marked


CHANGES: dict[str, tuple[Change, ...]] = {
    "re-encoding": (by_quality(70), by_quality(40)),
    "resizing": (resized(0.5), resized(0.25), squared),
    "crop of 5 %": (cropped(0.05), cropped_evenly(0.05), cropped_anywhere(0.05)),
    "crop of 10 %": (cropped(0.10), cropped_evenly(0.10), cropped_anywhere(0.10)),
    "mirror": (mirrored,),
    "border": (bordered(1 / 12, "white"), bordered(0.05, "black"), bordered(0.1, "#5a781e"), letterboxed),
    "logo": (with_logo,),
}
SAVED_AT = 75
"""Quality of the JPEG that every changed photograph is saved as."""


def copies(image: Image.Image, change: str, draw: random.Random) -> Iterator[Image.Image]:
    for one in CHANGES[change]:
        yield encoded(one(image, draw), SAVED_AT)


def half_of(name: str) -> str:
    return ("tuned", "measured")[hashlib.sha256(name.encode()).digest()[0] % 2]


def seen(image: Image.Image) -> Views:
    return views_of(np.asarray(image.convert("RGB")))


def regions(images: list[Image.Image], number: int) -> list[Views]:
    """Views of parts of photographs, none over another of the same one: stand-ins for more references."""
    found: list[Views] = []
    for side in (240, 160, 120, 80):
        for image in images:
            for top in range(0, image.height - side + 1, side):
                for left in range(0, image.width - side + 1, side):
                    if len(found) < number:
                        found.append(seen(image.crop((left, top, left + side, top + side))))
    return found


def measure(half: str, found: dict[str, Image.Image], num_references: int) -> None:
    mine = {name: image for name, image in sorted(found.items()) if half_of(name) == half}
    names = list(mine)
    references, others = names[::2], names[1::2]
    views = [seen(mine[name]) for name in references]
    elsewhere = [image for name, image in sorted(found.items()) if half_of(name) != half]
    views += regions(elsewhere, max(0, num_references - len(views)))
    begin = time.perf_counter()
    index = PictureIndex(views)
    built = time.perf_counter() - begin
    hashes = [int(phash64(np.asarray(mine[name])), 16) for name in references]
    draw = random.Random(0)
    print(f"\n{half}: {len(references)} reference photographs ({len(views)} references), {len(others)} others")
    print(f"{'change':14} {'copies':>6} {'found':>7} {'by hash':>8} {'others':>7} {'false':>6}")
    looked = spent = making = num_false = 0.0
    for change in CHANGES:
        copied = [(i, copy) for i, name in enumerate(references) for copy in copies(mine[name], change, draw)]
        foreign = [copy for name in others for copy in copies(mine[name], change, draw)]
        begin = time.perf_counter()
        asked = [seen(image) for image in (*(copy for _, copy in copied), *foreign)]
        making += time.perf_counter() - begin
        begin = time.perf_counter()
        answers = list(index.look_up(asked))
        spent += time.perf_counter() - begin
        looked += len(asked)
        right = sum(any(one.reference == i for one in answer) for (i, _), answer in zip(copied, answers, strict=False))
        wrong = sum(bool(answer) for answer in answers[len(copied) :])
        num_false += wrong
        hashed = sum(
            (hashes[i] ^ int(phash64(np.asarray(copy)), 16)).bit_count() <= 3 for i, copy in copied
        )  # fmt: skip
        print(
            f"{change:14} {len(copied):6} {right / len(copied):7.1%} {hashed / len(copied):8.1%} {len(foreign):7} "
            f"{wrong:6}"
        )
    total = sum(len(changes) for changes in CHANGES.values()) * len(others)
    print(f"falsely matched: {num_false:.0f} of {total} ({1000 * num_false / total:.2f} in 1,000)")
    print(
        f"ms an image: views {1000 * making / looked:.1f} (from a decoded one), look-up {1000 * spent / looked:.1f}; "
        f"ms a reference, once a worker: {1000 * built / len(views):.1f}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--under", type=Path, default=Path("/"), help="Folder that packages are unpacked in.")
    parser.add_argument("--references", type=int, default=0, help="Size of the reference set.")
    given = parser.parse_args()
    found = photographs(given.under)
    print(f"{len(found)} photographs")
    for half in ("tuned", "measured"):
        measure(half, found, given.references)


if __name__ == "__main__":
    main()
