"""A picture is told from another whatever was done to it, and odd pictures do no harm."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image, ImageOps

from fld_engine.engine.stages.contamination.matching import PictureIndex
from fld_engine.engine.stages.contamination.views import View, Views, views_of
from tests.hostile import pixels
from tests.refinement.tiny import scenes

NAMES = ("coffee.png", "chelsea.png", "rocket.jpg", "flower.jpg", "china.jpg")


def views(image: Image.Image) -> Views:
    return views_of(np.asarray(image.convert("RGB")))


@pytest.fixture(scope="module")
def photographs() -> dict[str, Image.Image]:
    return {name: Image.fromarray(pixels(name)) for name in NAMES}


@pytest.fixture(scope="module")
def index(photographs: dict[str, Image.Image]) -> PictureIndex:
    """All photographs but the last."""
    return PictureIndex([views(photographs[name]) for name in NAMES[:-1]])


CHANGES: dict[str, Callable[[Image.Image], Image.Image]] = {
    "as it is": lambda image: image,
    "a tenth of the size": lambda image: image.resize((image.width // 10, image.height // 10)),
    "squeezed": lambda image: image.resize((200, 200)),
    "cut on one side": lambda image: image.crop((image.width // 10, 0, image.width, image.height)),
    "mirrored and cut": lambda image: ImageOps.mirror(ImageOps.crop(image, image.height // 15)),
    "grey": lambda image: image.convert("L"),
    "in a frame": lambda image: ImageOps.expand(image, image.width // 10, "#203040"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_photograph_is_found_as_the_one_it_was(
    photographs: dict[str, Image.Image], index: PictureIndex, change: str
) -> None:
    """Each is found as itself alone, and a photograph that is not among the references as none."""
    found = list(index.look_up([views(CHANGES[change](photographs[name])) for name in NAMES]))
    assert [[one.reference for one in answer] for answer in found] == [[0], [1], [2], [3], []]


def test_drawings_of_a_few_shapes_are_not_taken_for_one_another() -> None:
    """They have little that could differ; a student that is taught by such has its images left."""
    drawn = [views_of(scene.pixels) for scene in scenes(80, seed=1)]
    assert not any(PictureIndex(drawn[:40]).look_up(drawn[40:]))


@pytest.mark.parametrize("size", [(1, 1), (1, 300), (300, 1), (2, 2), (500, 20)])
def test_pictures_of_odd_sizes_and_of_one_colour_match_nothing(index: PictureIndex, size: tuple[int, int]) -> None:
    """White is not a copy of white: nothing is shown."""
    plain = views(Image.new("RGB", size, "white"))
    assert list(index.look_up([plain])) == [[]]
    assert list(PictureIndex([plain]).look_up([plain])) == [[]]


def test_views_come_back_as_they_were_stored(photographs: dict[str, Image.Image]) -> None:
    view = views(photographs["coffee.png"]).whole
    stored = View.from_bytes(view.to_bytes())
    assert np.array_equal(stored.grey, view.grey)
    assert np.array_equal(stored.colour, view.colour)


def test_without_references_nothing_is_found(photographs: dict[str, Image.Image]) -> None:
    assert list(PictureIndex([]).look_up([views(photographs["coffee.png"])])) == [[]]
