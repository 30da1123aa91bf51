"""Which image is meant: by its id, a file's name, or a path."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest

from fld_engine.engine.inspect.explain import explain
from fld_engine.engine.inspect.find import find_image
from fld_engine.engine.plan.plan import Plan
from fld_engine.schemas.errors import ConfigError
from tests.roots import fake_config, run_pipeline, write_photographs


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three photographs in a folder; two of them called alike in two folders, and one file that is none."""
    folder = tmp_path_factory.mktemp("found") / "photos"
    write_photographs(folder / "a", 2)
    write_photographs(folder / "b", 1, seed=1)
    (folder / "b/photo-1-000.jpg").rename(folder / "b/photo-0-000.jpg")
    (folder / "b/broken.jpg").write_bytes(b"not an image")
    return folder


@pytest.fixture(scope="module")
def plan(photos: Path) -> Plan:
    return run_pipeline(photos.parent / "root", fake_config(photos)).plan()


def id_of(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()[:32]


@pytest.mark.parametrize(
    "wanted",
    [
        lambda photos: id_of(photos / "a/photo-0-001.jpg"),
        lambda photos: id_of(photos / "a/photo-0-001.jpg")[:8].upper(),
        lambda photos: "photo-0-001.jpg",
        lambda photos: "a/photo-0-001.jpg",  # its path in the source
        lambda photos: "photos/a/photo-0-001.jpg",  # as tables have it, the source's name before
        lambda photos: str(photos / "a/photo-0-001.jpg"),  # where it lies here
    ],
)
def test_an_image_is_found_by_its_id_and_by_the_names_that_people_have_for_it(
    photos: Path, plan: Plan, wanted: Callable[[Path], str]
) -> None:
    assert find_image(plan, wanted(photos)).id == id_of(photos / "a/photo-0-001.jpg")
    assert explain(plan, wanted(photos)).uris == ["photos/a/photo-0-001.jpg"]


def test_images_of_one_name_are_listed_with_their_ids(photos: Path, plan: Plan) -> None:
    with pytest.raises(ConfigError, match="fits 2 images; give the id of one") as error:
        find_image(plan, "photo-0-000.jpg")
    for folder in ("a", "b"):
        assert f"{id_of(photos / folder / 'photo-0-000.jpg')}  photos/{folder}/photo-0-000.jpg" in str(error.value)
    assert find_image(plan, "b/photo-0-000.jpg").id == id_of(photos / "b/photo-0-000.jpg")


def test_a_file_that_was_refused_is_said_to_be(plan: Plan) -> None:
    with pytest.raises(ConfigError, match=r"photos/b/broken.jpg is in quarantine .*; mend the file"):
        find_image(plan, "broken.jpg")


@pytest.mark.parametrize("wanted", ["nothing.jpg", "hoto-0-001.jpg", "photo-0-001", "zz", ""])
def test_what_means_no_image_says_what_could(plan: Plan, wanted: str) -> None:
    """A part of a name is none, or `1.jpg` would mean every tenth file."""
    with pytest.raises(ConfigError, match=r"its path in its source, such as 'photos/[ab]/photo-0-00"):
        find_image(plan, wanted)
