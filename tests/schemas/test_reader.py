"""The reader that every export carries: order, parts, positions, choices, versions, and damage of any kind."""

from __future__ import annotations

import importlib.util
import io
import json
import random
import subprocess
import sys
import tarfile
from collections import Counter
from pathlib import Path
from types import ModuleType
from typing import Any

import fsspec
import jsonschema
import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from fld_engine.schemas import reader
from fld_engine.schemas.reader import ExportError, Position, Sample, ShardError, choose, open_export
from fld_engine.schemas.sample import sample_schema
from tests.engine.stages.export.export_builder import write_export
from tests.object_store import served_bucket

NUM = 23


def photographs(num: int) -> list[bytes]:
    found = []
    for seed in range(num):
        stream = io.BytesIO()
        pixels = np.random.default_rng(seed).integers(0, 256, (16, 20, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(stream, "JPEG")
        found.append(stream.getvalue())
    return found


@pytest.fixture(scope="module")
def export(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """23 samples in shards of 4; one in three is for validation."""
    folder = tmp_path_factory.mktemp("export")
    write_export(folder, photographs(NUM), max_samples=4, splits=("train", "train", "val"))
    return folder


def keys(folder: Path, split: str = "train", **how: Any) -> list[str]:
    return [sample.key for sample, _ in open_export(str(folder), split).epoch(**{"epoch": 0, "seed": 0, **how})]


def in_tars(folder: Path, split: str) -> dict[str, dict[str, bytes]]:
    """What plain `tarfile` finds: key → extension → bytes."""
    found: dict[str, dict[str, bytes]] = {}
    for path in sorted((folder / "shards").glob(f"{split}-*.tar")):
        with tarfile.open(path) as tar:
            for member in tar:
                key, extension = member.name.split(".")
                found.setdefault(key, {})[extension] = tar.extractfile(member).read()  # type: ignore[union-attr]
    return found


def test_every_sample_comes_once_with_its_bytes(export: Path) -> None:
    expected = in_tars(export, "train")
    found = {sample.key: sample for sample, _ in open_export(str(export), "train").epoch(epoch=0, seed=0)}
    assert len(expected) > 4
    assert found.keys() == expected.keys()
    for key, sample in found.items():
        assert sample.image == expected[key]["jpg"]
        assert sample.record == json.loads(expected[key]["json"])
    assert sorted([*keys(export), *keys(export, "val")]) == sorted([*expected, *in_tars(export, "val")])


def test_order_follows_from_seed_and_epoch(export: Path) -> None:
    assert keys(export) == keys(export)
    assert len({tuple(keys(export, epoch=epoch, seed=seed)) for epoch in range(3) for seed in range(3)}) == 9


@pytest.mark.parametrize("parts", [1, 2, 3, 4, 7, 50])
def test_parts_share_an_epoch_also_where_there_are_more_of_them_than_shards(export: Path, parts: int) -> None:
    num_shards = len(open_export(str(export), "train").shards)
    assert 3 < num_shards < 7
    shared = [key for part in range(parts) for key in keys(export, part=part, parts=parts)]
    assert Counter(shared) == Counter(keys(export))


@pytest.mark.parametrize(("part", "parts"), [(0, 1), (1, 2), (2, 9)])
def test_an_epoch_goes_on_where_it_was(export: Path, part: int, parts: int) -> None:
    """From every position, through JSON as a checkpoint keeps it."""
    opened = open_export(str(export), "train")
    whole = [(s.key, p) for s, p in opened.epoch(epoch=3, seed=1, part=part, parts=parts)]
    for done, (_, position) in enumerate(whole, start=1):
        kept = Position(*json.loads(json.dumps(position)))
        rest = [s.key for s, _ in opened.epoch(epoch=3, seed=1, part=part, parts=parts, position=kept)]
        assert rest == [key for key, _ in whole[done:]]


def sample_of(tasks: list[str], key: str = "k") -> Sample:
    targets = [{"task": task, "prompt": f"{task}?", "target": f"answer {n}"} for n, task in enumerate(tasks)]
    return Sample(key, b"jpg", {"targets": targets}, "shard")


def test_tasks_come_as_often_as_they_weigh() -> None:
    weights = {"<OD>": 3.0, "<CAPTION>": 1.0, "<OCR>": 0.0}
    chosen = Counter(
        pair.task
        if (pair := choose(sample_of(["<OD>", "<CAPTION>", "<OCR>"], f"k{n}"), weights, seed=0, epoch=0))
        else ""
        for n in range(4000)
    )
    assert set(chosen) == {"<OD>", "<CAPTION>"}
    assert 0.72 < chosen["<OD>"] / 4000 < 0.78, "five standard errors around 3/4"


def test_a_choice_is_the_same_again_and_another_in_another_epoch() -> None:
    sample = sample_of(["<CAPTION>"] * 10)
    first = [choose(sample, seed=0, epoch=epoch) for epoch in range(40)]
    assert first == [choose(sample, seed=0, epoch=epoch) for epoch in range(40)]
    answers = {pair.target for pair in first if pair}
    assert len(answers) > 5, "all ten answers are chosen from"
    assert first[0] is not None
    assert (first[0].image, first[0].prompt, first[0].task) == (b"jpg", "<CAPTION>?", "<CAPTION>")


def test_a_sample_without_such_a_task_gives_no_pair() -> None:
    assert choose(sample_of(["<OD>"]), {"<CAPTION>": 1.0}, seed=0, epoch=0) is None
    assert choose(sample_of([]), seed=0, epoch=0) is None


def test_every_export_carries_the_reader_and_it_needs_nothing_else(export: Path, tmp_path: Path) -> None:
    """In a Python without site-packages, from another folder."""
    code = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "import reader\n"
        "found = [s.key for s, _ in reader.open_export(sys.argv[1], 'train').epoch(epoch=0, seed=0)]\n"
        "print(' '.join(found))\n"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", code, str(export)], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == keys(export)


def test_an_export_in_a_bucket_is_read_in_the_same_order(export: Path) -> None:
    with served_bucket() as bucket:
        store, place = fsspec.url_to_fs(bucket)
        store.put(f"{export}/", f"{place}/export/", recursive=True)
        opened = open_export(f"{bucket}/export/", "train")
        assert [s.key for s, _ in opened.epoch(epoch=1, seed=2)] == keys(export, epoch=1, seed=2)
        with pytest.raises(ExportError, match="no whole export"):
            open_export(f"{bucket}/elsewhere", "train")


def test_what_cannot_open_an_address_is_said(export: Path) -> None:
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]); import reader; reader.open_export('s3://bucket/export', 'train')"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", code, str(export)], capture_output=True, text=True, check=False
    )
    assert "ExportError: s3://bucket/export/manifest.json is no local file" in done.stderr
    assert "No module named 'fsspec'" in done.stderr


def test_published_schemas_describe_what_is_published(export: Path) -> None:
    schema = json.loads((export / "schema/sample.schema.json").read_text())
    records = [json.loads(members["json"]) for members in in_tars(export, "train").values()]
    for record in records:
        jsonschema.validate(record, schema)
    broken = {**records[0], "texts": "none"}
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(broken, schema)
    arrow = pa.ipc.read_schema(pa.BufferReader((export / "schema/sample.arrow").read_bytes()))
    assert arrow.equals(sample_schema(classes=False))
    assert pa.Table.from_pylist(records, schema=arrow).to_pylist() == records
    listed = (export / "SHA256SUMS").read_text()
    assert all(f"  {path}\n" in listed for path in ("reader.py", "schema/sample.schema.json", "schema/sample.arrow"))


def test_the_reader_and_the_writer_are_of_one_version(export: Path) -> None:
    schema = json.loads((export / "schema/sample.schema.json").read_text())
    assert schema["x-version"] == f"{reader.MAJOR}.{reader.MINOR}"


# ---------------------------------------------------------------------------------------------------- versions


def rewritten(export: Path, folder: Path, change: dict[str, Any]) -> Path:
    """The same export as a later writer might have made it: keys added or changed in every json."""
    (folder / "shards").mkdir(parents=True)
    for path in (export / "shards").glob("*.tar"):
        with (
            tarfile.open(path) as old,
            tarfile.open(folder / "shards" / path.name, "w", format=tarfile.USTAR_FORMAT) as new,
        ):
            for member in old:
                data = old.extractfile(member).read()  # type: ignore[union-attr]
                if member.name.endswith(".json"):
                    data = json.dumps({**json.loads(data), **change}).encode()
                member.size = len(data)
                new.addfile(member, io.BytesIO(data))
        whole = (folder / "shards" / path.name).read_bytes().rstrip(b"\0")  # tarfile fills up to 10 kB
        (folder / "shards" / path.name).write_bytes(whole + bytes(-len(whole) % 512 + 1024))
    (folder / "manifest.json").write_bytes((export / "manifest.json").read_bytes())
    return folder


def test_a_later_minor_version_is_read(export: Path, tmp_path: Path) -> None:
    later = rewritten(export, tmp_path / "later", {"moods": ["calm"], "depth": {"unit": "m"}})
    assert keys(later) == keys(export)


def test_another_major_version_is_refused(export: Path, tmp_path: Path) -> None:
    with pytest.raises(ExportError, match=r"of schema 2, and this reader reads 1: use the reader\.py of that export"):
        keys(rewritten(export, tmp_path / "later", {"schema": 2}))
    manifest = json.loads((tmp_path / "later/manifest.json").read_text())
    (tmp_path / "later/manifest.json").write_text(json.dumps({**manifest, "schema_version": 2}))
    with pytest.raises(ExportError, match="of schema 2"):
        open_export(str(tmp_path / "later"), "train")


def test_what_is_no_export_says_so(export: Path, tmp_path: Path) -> None:
    with pytest.raises(ExportError, match=r"no whole export: it has no manifest\.json"):
        open_export(str(tmp_path), "train")
    with pytest.raises(ExportError, match=r"no split 'test'; expected one of: train, val"):
        open_export(str(export), "test")
    (tmp_path / "manifest.json").write_text('{"shards": 3')
    with pytest.raises(ExportError, match="is damaged"):
        open_export(str(tmp_path), "train")


# ------------------------------------------------------------------------------------------------------ damage


def damaged(export: Path, folder: Path, change: Any) -> tuple[Path, str]:
    """A copy of the export in which the bytes of one shard are changed; and the shard's name."""
    (folder / "shards").mkdir(parents=True)
    for path in (export / "shards").glob("*.tar"):
        (folder / "shards" / path.name).write_bytes(path.read_bytes())
    (folder / "manifest.json").write_bytes((export / "manifest.json").read_bytes())
    victim = sorted((folder / "shards").glob("train-*.tar"))[1]
    victim.write_bytes(change(victim.read_bytes()))
    return folder, victim.name


@pytest.mark.parametrize("seed", range(40))
def test_a_shard_that_ends_early_is_named(export: Path, tmp_path: Path, seed: int) -> None:
    place = random.Random(seed)
    folder, name = damaged(export, tmp_path / "cut", lambda data: data[: place.randrange(len(data))])
    with pytest.raises(ShardError, match=name):
        keys(folder)


@pytest.mark.parametrize("seed", range(120))
def test_a_flipped_bit_is_named_or_does_not_change_what_is_read(export: Path, tmp_path: Path, seed: int) -> None:
    """Hashes and sums cover images and headers; `fld verify` covers words of a json, texts and padding, too."""
    draw = random.Random(seed)
    places: list[int] = []

    def flip(data: bytes) -> bytes:
        changed = bytearray(data)
        places.append(draw.randrange(len(data)))
        changed[places[0]] ^= 1 << draw.randrange(8)
        return bytes(changed)

    images = {key: members["jpg"] for key, members in in_tars(export, "train").items()}
    folder, name = damaged(export, tmp_path / "flipped", flip)
    said = ""
    found = {}
    try:
        found = {sample.key: sample.image for sample, _ in open_export(str(folder), "train").epoch(epoch=0, seed=0)}
    except ExportError as error:
        said = str(error)
    assert name in said if said else found == images


def test_an_image_that_is_not_the_one_its_json_speaks_of_is_named(export: Path, tmp_path: Path) -> None:
    def flip(data: bytes) -> bytes:
        start = data.index(b"\xff\xd8\xff")  # of the first JPEG
        return data[: start + 40] + bytes([data[start + 40] ^ 1]) + data[start + 41 :]

    folder, name = damaged(export, tmp_path / "image", flip)
    with pytest.raises(ShardError, match=rf"{name} is damaged: the image of .* is not the one"):
        keys(folder)


@pytest.mark.parametrize("targets", [None, {}, [5], [["task", "prompt", "target"]], [{"task": "<OD>"}]])
def test_targets_that_are_none_are_told_with_their_shard(export: Path, tmp_path: Path, targets: Any) -> None:
    with pytest.raises(ShardError, match=r"shard train-.* is damaged: the targets of .* cannot be read"):
        keys(rewritten(export, tmp_path / "other", {"targets": targets}))


def test_the_carried_reader_is_this_file(export: Path) -> None:
    spec = importlib.util.spec_from_file_location("carried", export / "reader.py")
    assert spec is not None
    assert spec.loader is not None
    module: ModuleType = importlib.util.module_from_spec(spec)
    sys.modules["carried"] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    assert (module.MAJOR, module.MINOR) == (reader.MAJOR, reader.MINOR)
