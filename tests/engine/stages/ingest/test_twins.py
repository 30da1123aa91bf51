"""Near-twins end up in one group, so that no split holds the twin of another's image."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from fld_engine.engine.stages.ingest.stage import Ingest
from fld_engine.engine.stages.ingest.twin_steps import MAX_GROUP
from fld_engine.engine.stages.ingest.twins import MAX_DISTANCE, twin_roots
from tests.hostile import pixels
from tests.known_faults.in_process import Root, new_root, plain_config
from tests.known_faults.pictures import as_bytes


@given(st.integers(0, 2**64 - 1), st.sets(st.integers(0, 63), max_size=MAX_DISTANCE))
def test_two_hashes_within_the_distance_share_a_group(value: int, flipped: set[int]) -> None:
    twin = value ^ sum(1 << bit for bit in flipped)
    assert twin_roots(np.array([value, twin], dtype=np.uint64)).tolist() == [0, 0]


def test_distant_images_stay_apart_and_groups_are_named_by_their_first_image() -> None:
    hashes = np.array([0x0, 0xFFFF_FFFF_FFFF_FFFF, 0x1, 0xFFFF_FFFF_FFFF_FFFE, 0x0123_4567_89AB_CDEF], dtype=np.uint64)
    assert twin_roots(hashes).tolist() == [0, 1, 0, 1, 4]


def test_a_later_image_joins_the_group_of_an_earlier_one() -> None:
    early = np.array([5, 0xFF << 40], dtype=np.uint64)
    late = np.concatenate([early, np.array([4], dtype=np.uint64)])
    assert twin_roots(late)[:2].tolist() == twin_roots(early).tolist()
    assert twin_roots(late)[2] == 0


def test_the_image_that_most_others_are_within_reach_of_leads() -> None:
    """An original between two copies that are 6 bits apart: were a copy to lead, the other would have no group."""
    original = 0x0123_4567_89AB_CDEF
    hashes = np.array([original ^ 0b111, original ^ 0b111000, original], dtype=np.uint64)
    assert twin_roots(hashes).tolist() == [2, 2, 2]


def test_a_picture_that_is_there_a_hundred_thousand_times_makes_groups_of_bounded_size() -> None:
    hashes = np.full(100_500, 0x0123_4567_89AB_CDEF, dtype=np.uint64)
    assert np.unique(twin_roots(hashes), return_counts=True)[1].tolist() == [MAX_GROUP] * 100 + [500]


# ------------------------------------------------------------------------------------------------ pictures


def groups_of(root: Root) -> dict[str, str]:
    """Twin group by file name."""
    return {row["uri"].rsplit("/", 1)[-1]: row["twin_group"] for row in root.rows("images")}


def test_a_later_ingest_joins_earlier_groups_and_changes_none(tmp_path: Path) -> None:
    """Who trains on an export has images in train and in val: one that moved would be in both."""
    cat, coffee = (Image.fromarray(pixels(name)) for name in ("chelsea.png", "coffee.png"))
    folder = tmp_path / "photos"
    folder.mkdir()
    (folder / "cat.jpg").write_bytes(as_bytes(cat, quality=95))
    (folder / "cat again.jpg").write_bytes(as_bytes(cat, quality=60))
    root = new_root(tmp_path / "root", plain_config({"url": str(folder), "name": "photos"}))
    root.run(Ingest())
    first = groups_of(root)
    (folder / "a cat.jpg").write_bytes(as_bytes(cat.resize((300, 200)), quality=80))
    (folder / "coffee.jpg").write_bytes(as_bytes(coffee, quality=95))
    (folder / "coffee again.jpg").write_bytes(as_bytes(coffee, quality=60))
    root.run(Ingest())
    second = groups_of(root)
    assert {name: second[name] for name in first} == first
    assert second["a cat.jpg"] == first["cat.jpg"] == first["cat again.jpg"]
    assert second["coffee.jpg"] == second["coffee again.jpg"] != first["cat.jpg"]


def test_pictures_without_anything_to_compare_are_alone(tmp_path: Path) -> None:
    """Flat, striped, shaded and ring-shaped pictures look different, and have the same few bits or none."""
    (tmp_path / "photos").mkdir()
    ramp = np.linspace(0, 255, 96).astype(np.uint8)
    pictures = {
        "white": np.full((64, 96), 255),
        "grey": np.full((70, 96), 128),
        "shaded": np.tile(ramp, (64, 1)),
        "striped": np.tile(np.arange(96) // 8 % 2 * 255, (64, 1)),
        "upright": np.tile(ramp[:, None], (1, 64)),
        "disc": 255 * (np.hypot(*np.mgrid[-32:32, -32:32] + 0.5) < 20),
        "ring": 255 * (np.abs(np.hypot(*np.mgrid[-32:32, -32:32] + 0.5) - 20) < 4),
    }
    for name, grey in pictures.items():
        (tmp_path / f"photos/{name}.png").write_bytes(as_bytes(Image.fromarray(grey.astype(np.uint8)), "PNG"))
    root = new_root(tmp_path / "root", plain_config({"url": str(tmp_path / "photos"), "name": "photos"}))
    root.run(Ingest())
    assert {row["id"] for row in root.rows("images")} == set(groups_of(root).values())
