"""The files beside the shards: complete or visibly incomplete, the same everywhere, and read by their readers."""

from __future__ import annotations

import hashlib
import json
import subprocess
import warnings
from pathlib import Path
from typing import Any

import pytest
import yaml

from fld_engine.engine.data.store import Store
from fld_engine.engine.stages.export.card import features
from fld_engine.engine.stages.export.manifest import Manifest, manifest_json
from fld_engine.engine.stages.export.publish import withdraw_manifest
from tests.engine.stages.export.export_builder import MODELS, rewrite_index, write_export
from tests.engine.stages.export.view_builder import small_jpeg

IMAGES = [small_jpeg(n) for n in range(8)]


def load_dataset(folder: Path, cache: Path) -> Any:
    """All splits, as Hugging Face reads the folder."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the library's own
        import datasets

        datasets.disable_progress_bars()
        return datasets.load_dataset(str(folder), cache_dir=str(cache))


def test_sha256sum_agrees(tmp_path: Path) -> None:
    write_export(tmp_path, IMAGES, max_samples=3)
    subprocess.run(["sha256sum", "--check", "--strict", "--quiet", "SHA256SUMS"], cwd=tmp_path, check=True)


def test_sizes_are_where_open_clip_looks(tmp_path: Path) -> None:
    """It reads `sizes.json` from the folder of the first shard, by the shards' base names."""
    manifest = write_export(tmp_path, IMAGES, max_samples=3)
    sizes = json.loads((tmp_path / "shards" / "sizes.json").read_bytes())
    assert sizes == {shard.name: shard.samples for shard in manifest.shards}
    assert sum(sizes.values()) == 8


def test_manifest_says_nothing_of_where_it_was_made(tmp_path: Path) -> None:
    write_export(tmp_path / "a", IMAGES)
    write_export(tmp_path / "b", IMAGES)
    data = (tmp_path / "a" / "manifest.json").read_bytes()
    assert data == (tmp_path / "b" / "manifest.json").read_bytes()
    assert str(tmp_path).encode() not in data
    assert b"/home/somebody" not in data
    manifest = Manifest.model_validate_json(data)
    assert manifest_json(manifest) == data
    assert manifest.config == {"name": "demo", "seed": 0, "sources": [{"name": "photos", "kind": "folder"}]}
    assert manifest.models == MODELS


def test_rewriting_leaves_no_old_shard(tmp_path: Path) -> None:
    """A stale shard would be read by a glob, and train on what was since removed."""
    write_export(tmp_path, IMAGES, max_samples=2)
    (tmp_path / "shards" / "train-00000-0009.tar.1a2b3c4d.tmp").write_bytes(b"half a shard")
    manifest = write_export(tmp_path, IMAGES, max_samples=4)
    names = {path.name for path in (tmp_path / "shards").iterdir()}
    shards = {shard.name for shard in manifest.shards}
    assert names == shards | {f"{name}.idx" for name in shards} | {"sizes.json"}


def test_a_split_that_is_no_more_leaves_no_list(tmp_path: Path) -> None:
    """Its shards are gone: a reader would fail on the first."""
    write_export(tmp_path, IMAGES, splits=("train", "old"))
    write_export(tmp_path, IMAGES, splits=("train", "new"))
    assert {path.name for path in tmp_path.glob("wids-*")} == {"wids-train.json", "wids-new.json"}


def test_half_written_export_has_no_manifest(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    withdraw_manifest(store)  # nothing there yet
    manifest = write_export(tmp_path, IMAGES)
    withdraw_manifest(store)
    assert not (tmp_path / "manifest.json").exists()
    assert rewrite_index(tmp_path, manifest.shards) == manifest


def test_export_without_samples_is_complete(tmp_path: Path) -> None:
    manifest = write_export(tmp_path, [])
    assert (manifest.samples, manifest.shards) == (0, ())
    assert (tmp_path / "README.md").read_text().startswith("---\n")


@pytest.mark.filterwarnings("ignore")
def test_card_features_are_what_hugging_face_would_write() -> None:
    from datasets import Features

    assert Features._from_yaml_list(features())._to_yaml_list() == features()


@pytest.mark.filterwarnings("ignore")
def test_hugging_face_loads_what_its_inference_would_spoil(tmp_path: Path) -> None:
    """The loader looks at five samples of a shard. Six without region texts or masks and with whole-numbered boxes
    come first here, and fractional ones after them; without explicit features 1.5 reads as 1, or the load fails."""
    ordered = sorted(IMAGES, key=lambda data: hashlib.sha256(data).hexdigest())
    write_export(tmp_path / "export", ordered, plain=6)
    dataset = load_dataset(tmp_path / "export", tmp_path / "cache")["train"]
    assert len(dataset) == 8
    rows = list(dataset)
    assert [bool(row["json"]["regions"][0]["mask"]) for row in rows] == [False] * 6 + [True] * 2
    assert [row["json"]["regions"][0]["box"] for row in rows] == [[1, 2, 11, 12]] * 6 + [[1.5, 2.25, 11.5, 12.75]] * 2
    assert rows[0]["jpg"].size == (24, 16)
    assert rows[7]["txt"] == rows[7]["json"]["texts"][0]["text"]
    card = (tmp_path / "export" / "README.md").read_text().split("---\n")[1]
    assert dataset.features._to_yaml_list() == yaml.safe_load(card)["dataset_info"]["features"]


@pytest.mark.filterwarnings("ignore")
def test_hugging_face_sees_the_splits(tmp_path: Path) -> None:
    write_export(tmp_path / "export", IMAGES, splits=("train", "train", "val"), max_samples=2, plain=8)
    dataset = load_dataset(tmp_path / "export", tmp_path / "cache")
    assert {split: len(rows) for split, rows in dataset.items()} == {"train": 6, "val": 2}
