from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchmarks.refinement.cutouts import CLASSES, MIN_VISIBLE, SIZES, CutoutWorld, find_cutouts
from benchmarks.refinement.scenes import Scene

PX = 48
GROUND = 40
"""Of every colour of the grounds; those of the cut-outs are far from it, in any light."""


@pytest.fixture
def stamps(tmp_path: Path) -> Path:
    """Eight bright discs of noise a class, in the place of photographs."""
    rng = np.random.default_rng(0)
    rows, columns = np.mgrid[:64, :64]
    alpha = np.where((rows - 32) ** 2 + (columns - 32) ** 2 < 28**2, 255, 0)
    for name, folder in CLASSES.items():
        (tmp_path / folder).mkdir(parents=True)
        for i in range(8):
            pixels = np.dstack([rng.integers(200, 256, size=(64, 64, 3)), alpha]).astype(np.uint8)
            Image.fromarray(pixels).save(tmp_path / folder / f"{name}{i}.png")
    return tmp_path


@pytest.fixture
def grounds(tmp_path: Path) -> list[Path]:
    paths = [tmp_path / f"ground{i}.png" for i in range(2)]
    for path in paths:
        Image.new("RGB", (90, 60), (GROUND,) * 3).save(path)
    return paths


def drawn(world: CutoutWorld, num_things: int, seed: int = 1) -> list[Scene]:
    rng = np.random.default_rng(seed)
    return [world.draw(rng, num_things) for _ in range(40)]


def test_a_thing_is_where_its_box_says(stamps: Path, grounds: list[Path]) -> None:
    for scene in drawn(CutoutWorld("base", PX, stamps=stamps, grounds=grounds), 1):
        (thing,) = scene.things
        rows, columns = np.nonzero(scene.pixels.min(axis=2) > 90)
        found = columns.min(), rows.min(), columns.max() + 1, rows.max() + 1
        assert np.abs(np.subtract(found, thing.box_xyxy)).max() <= 1
        x, y = np.array(thing.polygon).reshape(-1, 2).T
        assert np.abs(np.subtract((x.min(), y.min(), x.max() + 1, y.max() + 1), thing.box_xyxy)).max() <= 1
        sides = thing.box_xyxy[2] - thing.box_xyxy[0], thing.box_xyxy[3] - thing.box_xyxy[1]
        assert SIZES[0] * PX - 2 <= max(sides) <= SIZES[1] * PX + 2
        assert scene.caption == f"A {thing.label}."


def test_nothing_hides_more_of_a_thing_than_it_may(stamps: Path, grounds: list[Path]) -> None:
    scenes = drawn(CutoutWorld("base", PX, stamps=stamps, grounds=grounds), 3)
    assert max(len(scene.things) for scene in scenes) == 3
    for scene in scenes:
        for thing in scene.things:
            x1, y1, x2, y2 = (int(v) for v in thing.box_xyxy)
            bright = (scene.pixels[y1:y2, x1:x2].min(axis=2) > 90).mean()
            assert bright > MIN_VISIBLE * np.pi / 4 - 0.1, "what is left of a disc in the box of it"


def test_the_same_generator_draws_the_same_scene(stamps: Path, grounds: list[Path]) -> None:
    world = CutoutWorld("benchmark", PX, stamps=stamps, grounds=grounds)
    for a, b, other in zip(drawn(world, 2), drawn(world, 2), drawn(world, 2, seed=2), strict=True):
        assert np.array_equal(a.pixels, b.pixels)
        assert (a.things, a.caption) == (b.things, b.caption)
        assert not np.array_equal(a.pixels, other.pixels)


@pytest.mark.parametrize("split", [0, 5])
def test_the_halves_share_no_picture(stamps: Path, grounds: list[Path], split: int) -> None:
    base, benchmark = (
        repr(CutoutWorld(half, PX, stamps=stamps, grounds=grounds, split=split)) for half in ("base", "benchmark")
    )
    files = [f"{cutout.path.name}" for cutout in find_cutouts(stamps)]
    assert len(files) == 8 * len(CLASSES)
    for name in [*files, *(path.name for path in grounds)]:
        assert (f"'{name}'" in base) != (f"'{name}'" in benchmark)


def test_splits_differ(stamps: Path, grounds: list[Path]) -> None:
    worlds = {repr(CutoutWorld("base", PX, stamps=stamps, grounds=grounds, split=split)) for split in range(4)}
    assert len(worlds) == 4


def test_drawings_are_left_out(stamps: Path) -> None:
    Image.new("RGBA", (64, 64), (255, 0, 0, 255)).save(stamps / CLASSES["fruit"] / "drawing.png")
    assert len(find_cutouts(stamps)) == 8 * len(CLASSES)


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=f"no photographed cut-outs of {', '.join(CLASSES)}"):
        CutoutWorld("base", PX, stamps=tmp_path)
