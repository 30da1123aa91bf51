"""Shards open in every reader, hold the pixels that were annotated, and come out the same every time."""

from __future__ import annotations

import hashlib
import io
import json
import subprocess
import tarfile
from pathlib import Path

import numpy as np
import pytest
import webdataset
from PIL import Image

from fld_engine.engine.data.images import ImageLimits
from fld_engine.engine.data.jpeg_metadata import without_metadata
from fld_engine.engine.data.store import Store
from fld_engine.engine.stages.export.assemble import assemble
from fld_engine.engine.stages.export.manifest import Counts
from fld_engine.engine.stages.export.shards import ShardLimits, prepare, write_group
from fld_engine.schemas.errors import RootError
from tests.engine.stages.export.export_builder import annotated_view, write_export
from tests.engine.stages.export.view_builder import photographs, small_jpeg


def members(folder: Path) -> dict[str, bytes]:
    """Bytes of every member of every shard, by shard and name."""
    found = {}
    for path in sorted((folder / "shards").glob("*.tar")):
        with tarfile.open(path) as tar:
            for info in tar:
                file = tar.extractfile(info)
                assert file is not None
                found[f"{path.name}/{info.name}"] = file.read()
    return found


def test_members_are_plain_ustar_in_order(tmp_path: Path) -> None:
    """Anything but plain, ordered, ownerless members makes two equal exports differ or a reader skip samples."""
    write_export(tmp_path, [small_jpeg(n) for n in range(7)], max_samples=4)
    for path in sorted((tmp_path / "shards").glob("*.tar")):
        with tarfile.open(path) as tar:
            infos = tar.getmembers()
        names = [info.name for info in infos]
        assert names == sorted(names)
        assert [name.split(".")[1] for name in names] == ["jpg", "json", "txt"] * (len(names) // 3)
        for info in infos:
            assert (info.mtime, info.uid, info.gid, info.uname, info.gname, info.mode) == (0, 0, 0, "", "", 0o644)
        listed = subprocess.run(["tar", "tf", str(path)], capture_output=True, text=True, check=True)
        assert listed.stdout.split() == names
        assert listed.stderr == ""


def test_original_jpeg_bytes_are_kept_and_others_reencoded(tmp_path: Path) -> None:
    """Re-encoding a JPEG loses quality for nothing; a PNG under the name .jpg breaks readers."""
    pictures = photographs()
    write_export(tmp_path, list(pictures.values()))
    found = {Path(name).name: data for name, data in members(tmp_path).items()}
    for name, original in pictures.items():
        sha256 = hashlib.sha256(original).hexdigest()
        jpg, image = found[f"{sha256[:32]}.jpg"], json.loads(found[f"{sha256[:32]}.json"])["image"]
        assert image["original_sha256"] == sha256
        assert image["sha256"] == hashlib.sha256(jpg).hexdigest()
        assert image["reencoded"] == name.endswith(".png")
        assert (jpg == without_metadata(original)) == name.endswith(".jpg")
        before = np.asarray(Image.open(io.BytesIO(original)).convert("RGB"), dtype=np.int16)
        after = np.asarray(Image.open(io.BytesIO(jpg)), dtype=np.int16)
        assert after.shape == before.shape == (image["height"], image["width"], 3)
        assert np.abs(after - before).mean() < 3  # quality 95 without chroma subsampling


@pytest.mark.filterwarnings(
    "ignore:Exception ignored in:pytest.PytestUnraisableExceptionWarning"
)  # left to the collector
def test_webdataset_gives_the_geometry_of_the_json(tmp_path: Path) -> None:
    write_export(tmp_path, list(photographs().values()))
    urls = [str(path) for path in (tmp_path / "shards").glob("*.tar")]
    samples = list(webdataset.WebDataset(urls, shardshuffle=False, empty_check=False).decode("pil"))
    assert len(samples) == 5
    for sample in samples:
        assert sample["jpg"].size == (sample["json"]["image"]["width"], sample["json"]["image"]["height"])
        assert sample["txt"] == sample["json"]["texts"][0]["text"]
        assert sample["__key__"] == sample["json"]["id"]


def test_shards_are_bounded_and_lose_nothing(tmp_path: Path) -> None:
    images = [small_jpeg(n) for n in range(23)]
    manifest = write_export(tmp_path / "a", images, max_samples=4, splits=("train", "val"))
    assert [(s.split, s.samples) for s in manifest.shards] == [
        ("train", 4), ("train", 4), ("train", 4), ("val", 4), ("val", 4), ("val", 3),
    ]  # fmt: skip
    assert [s.name for s in manifest.shards][:2] == ["train-00000-0000.tar", "train-00000-0001.tar"]
    assert manifest.samples == 23
    assert len(members(tmp_path / "a")) == 3 * 23
    bounded = write_export(tmp_path / "b", images, max_bytes=20_000)
    assert all(shard.bytes <= 20_000 for shard in bounded.shards)
    assert all((tmp_path / "b" / "shards" / shard.name).stat().st_size == shard.bytes for shard in bounded.shards)
    assert bounded.samples == 23
    alone = write_export(tmp_path / "c", images[:3], max_bytes=1)
    assert [shard.samples for shard in alone.shards] == [1, 1, 1]  # larger than a shard: a shard of its own


def test_same_samples_in_any_order_give_the_same_bytes(tmp_path: Path) -> None:
    """Workers finish in any order; the seed alone deals samples to shards."""
    images = [small_jpeg(n) for n in range(12)]
    view = annotated_view(images)
    by_id = {hashlib.sha256(data).hexdigest()[:32]: data for data in images}
    prepared = [prepare(sample) for sample in assemble(view, lambda g: "train")]
    runs = {}
    for name, order, seed in (("a", prepared, 0), ("b", prepared[::-1], 0), ("c", prepared, 1)):
        write_group(
            order,
            by_id.__getitem__,
            Store(str(tmp_path / name)),
            group=3,
            seed=seed,
            limits=ShardLimits(max_samples=5, max_bytes=1 << 20),
            images=ImageLimits(),
        )
        runs[name] = {p.name: p.read_bytes() for p in (tmp_path / name / "shards").iterdir()}
    assert runs["a"]
    assert runs["a"] == runs["b"]
    assert runs["a"] != runs["c"]


def test_counts_are_those_of_the_samples(tmp_path: Path) -> None:
    manifest = write_export(tmp_path, [small_jpeg(n) for n in range(5)], plain=2)
    found = [json.loads(data) for name, data in members(tmp_path).items() if name.endswith("json")]
    targets = sum(len(sample["targets"]) for sample in found)
    assert manifest.counts == Counts(
        texts=5, regions=5, region_texts=3, region_masks=3, groundings=3, phrases=3, phrase_regions=3, phrase_masks=3,
        targets=targets,
    )  # fmt: skip


@pytest.mark.parametrize("original", [small_jpeg(0), photographs()["chelsea.png"]], ids=["handed on", "re-encoded"])
def test_bytes_of_another_image_are_refused(tmp_path: Path, original: bytes) -> None:
    """A damaged partition must stop the export, not be sealed with a fresh checksum."""
    view = annotated_view([original])
    with pytest.raises(RootError, match="damaged"):
        write_group(
            [prepare(sample) for sample in assemble(view, lambda g: "train")],
            lambda image_id: small_jpeg(1),
            Store(str(tmp_path)),
            group=0,
            seed=0,
            limits=ShardLimits(max_samples=5, max_bytes=1 << 20),
            images=ImageLimits(),
        )
    assert not any(path.is_file() for path in tmp_path.rglob("*"))
