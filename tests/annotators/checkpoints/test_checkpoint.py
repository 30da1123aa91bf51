"""Checkpoints in folders: pinned by their content, published once, copied to a node once, every file checked."""

from __future__ import annotations

import multiprocessing
import pickle
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import fsspec
import numpy as np
import pytest
from safetensors.numpy import save_file

from fld_engine.annotators.checkpoints.checkpoint import HASHES, Checkpoint
from fld_engine.schemas.errors import ModelError
from tests.annotators.checkpoints.copying import copy
from tests.object_store import served_bucket


def saved(folder: Path) -> Path:
    folder.mkdir(parents=True)
    for number in (1, 2):
        save_file({f"weight{number}": np.arange(60.0) * number}, folder / f"model-0000{number}-of-00002.safetensors")
    (folder / "config.json").write_text('{"model_type": "clip"}')
    (folder / "vocab").mkdir()
    (folder / "vocab" / "merges.txt").write_text("a b\n")
    (folder / "README.md").write_text("---\nlicense: mit\n---\n")
    return folder


def pinned(folder: Path, models_root: str = "", *, trust_remote_code: bool = False) -> Checkpoint:
    return Checkpoint(str(folder), trust_remote_code=trust_remote_code).pinned(models_root=models_root, strict=True)


def contents(folder: Path) -> dict[str, bytes]:
    found = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in found}


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FLD_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture(params=["folder", "s3"])
def models_root(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    if request.param == "folder":
        yield str(tmp_path / "root")
    else:
        with served_bucket() as url:
            yield f"{url}/of/ours"


def test_a_folder_is_known_by_its_name_and_content(tmp_path: Path) -> None:
    here = pinned(saved(tmp_path / "a" / "clip"))
    (tmp_path / "b").mkdir()
    there = pinned(Path(shutil.move(tmp_path / "a" / "clip", tmp_path / "b" / "clip")))
    assert here.identity == there.identity
    assert here.identity.id == "clip"
    assert len(here.identity.sha256) == 64
    assert pinned(saved(tmp_path / "c" / "other")).identity != here.identity


@pytest.mark.parametrize("name", ["model-00002-of-00002.safetensors", "config.json", "vocab/merges.txt"])
def test_one_flipped_byte_is_another_checkpoint_and_refused(tmp_path: Path, name: str) -> None:
    folder = saved(tmp_path / "clip")
    before = pinned(folder)
    data = bytearray((folder / name).read_bytes())
    data[-2] ^= 1
    (folder / name).write_bytes(data)
    assert pinned(folder).identity != before.identity
    with pytest.raises(
        ModelError, match=f"{folder} holds other files .*expected {before.sha256}.*put the old ones back"
    ):
        before.folder()


def test_the_card_is_no_part_of_a_checkpoints_content(tmp_path: Path) -> None:
    """Correcting a typing error in it would make every annotation stale."""
    folder = saved(tmp_path / "clip")
    before = pinned(folder)
    assert before.licence() == "mit"
    (folder / "README.md").write_text("---\nlicense: bsd\n---\n")
    assert pinned(folder).identity == before.identity
    assert before.licence() == "bsd"


def test_code_counts_where_it_is_trusted(tmp_path: Path) -> None:
    folder = saved(tmp_path / "clip")
    plain, trusting = pinned(folder), pinned(folder, trust_remote_code=True)
    (folder / "modeling.py").write_text("import os\n")
    assert pinned(folder).identity == plain.identity
    assert pinned(folder, trust_remote_code=True).sha256 != trusting.sha256
    assert trusting.identity.remote_code
    assert not plain.identity.remote_code


def test_a_folder_with_pickled_weights_alone(tmp_path: Path) -> None:
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "pytorch_model.bin").write_bytes(pickle.dumps({"weight": [1.0]}))
    with pytest.raises(ModelError, match=r"old holds no \*\.safetensors: .*convert pickled weights"):
        pinned(tmp_path / "old")


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="nowhere does not exist: expected one that save_pretrained wrote"):
        pinned(tmp_path / "nowhere")
    missing = Checkpoint(str(tmp_path / "nowhere"), sha256="0" * 64)
    with pytest.raises(ModelError, match="nowhere is not on this machine; set models_root"):
        missing.folder()


def test_published_once_and_copied_whole(tmp_path: Path, models_root: str, cache: Path) -> None:
    folder = saved(tmp_path / "clip")
    checkpoint = pinned(folder, models_root)
    assert checkpoint.publish(models_root)
    assert not checkpoint.publish(models_root)
    expected = contents(folder)
    shutil.rmtree(folder)  # as on a node
    copy = checkpoint.folder()
    assert copy == cache / "checkpoints" / "clip" / checkpoint.sha256
    assert contents(copy) == expected
    fs, where = fsspec.core.url_to_fs(models_root)
    fs.rm(where, recursive=True)
    assert checkpoint.folder() == copy, "copied once, it needs the models root no more"


def test_a_relative_folder_is_found_under_the_models_root_by_a_node_without_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    saved(tmp_path / "driver" / "checkpoints" / "clip")
    monkeypatch.chdir(tmp_path / "driver")
    checkpoint = pinned(Path("checkpoints/clip"), str(tmp_path / "root"))
    identity = checkpoint.identity
    checkpoint.publish(checkpoint.models_root)
    (tmp_path / "node").mkdir()
    monkeypatch.chdir(tmp_path / "node")
    assert checkpoint.identity == identity
    assert (checkpoint.folder() / "config.json").is_file()


def test_not_published_says_what_to_run(tmp_path: Path, models_root: str) -> None:
    checkpoint = pinned(saved(tmp_path / "clip"), models_root)
    shutil.rmtree(tmp_path / "clip")
    with pytest.raises(ModelError, match=f"{checkpoint.key} holds no SHA256SUMS: .* run `fld models pull`"):
        checkpoint.folder()


def test_a_published_checkpoint_is_opened_by_its_url(tmp_path: Path, models_root: str, cache: Path) -> None:
    """As a student of a root on an object store is."""
    folder = pinned(saved(tmp_path / "clip"), models_root)
    folder.publish(models_root)
    url = f"{models_root}/{folder.key}" if "://" in models_root else f"file://{models_root}/{folder.key}"
    checkpoint = Checkpoint(url).pinned(models_root="", strict=True)
    assert checkpoint.sha256 == folder.sha256
    assert contents(checkpoint.folder()) == contents(tmp_path / "clip")
    assert cache in checkpoint.folder().parents
    fs, where = fsspec.core.url_to_fs(url)
    fs.pipe_file(f"{where}/{HASHES}", b"0" * 64 + b"  config.json\n")
    with pytest.raises(ModelError, match="holds other files than when it was pinned"):
        checkpoint.folder()
    fs.rm(f"{where}/{HASHES}")
    with pytest.raises(ModelError, match="holds no SHA256SUMS"):
        Checkpoint(url).pinned(models_root="", strict=True)


def test_an_upload_that_broke_off_is_not_taken_for_a_checkpoint(tmp_path: Path, models_root: str) -> None:
    """The hashes are written last: without them, nothing is there, and publishing goes on."""
    folder = saved(tmp_path / "clip")
    checkpoint = pinned(folder, models_root)
    checkpoint.publish(models_root)
    fs, where = fsspec.core.url_to_fs(f"{models_root}/{checkpoint.key}")
    fs.rm(f"{where}/{HASHES}")
    fs.rm(f"{where}/config.json")
    assert checkpoint.publish(models_root)
    shutil.rmtree(folder)
    assert (checkpoint.folder() / "config.json").read_text() == '{"model_type": "clip"}'


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        ("flip", r"config\.json is not what was published \(sha256 [0-9a-f]{64}, expected [0-9a-f]{64}\)"),
        ("cut", r"config\.json is not what was published"),
        ("lose", r"lacks a file that was published .*config\.json"),
    ],
)
def test_a_damaged_copy_is_refused_and_not_left_behind(
    tmp_path: Path, models_root: str, cache: Path, damage: str, message: str
) -> None:
    folder = saved(tmp_path / "clip")
    checkpoint = pinned(folder, models_root)
    checkpoint.publish(models_root)
    fs, where = fsspec.core.url_to_fs(f"{models_root}/{checkpoint.key}")
    if damage == "lose":
        fs.rm(f"{where}/config.json")
    else:
        data = fs.cat_file(f"{where}/config.json")
        fs.pipe_file(f"{where}/config.json", data[:-1] if damage == "cut" else b"[" + data[1:])
    moved = folder.rename(tmp_path / "elsewhere")  # a node
    with pytest.raises(ModelError, match=f"{message}.*: delete .*{checkpoint.key} and run `fld models pull`"):
        checkpoint.folder()
    assert list((cache / "checkpoints").rglob("*.json")) == []

    moved.rename(folder)  # the cure that the message names
    fs.rm(where, recursive=True)
    assert checkpoint.publish(models_root)
    folder.rename(moved)
    assert contents(checkpoint.folder()) == contents(moved)


def test_a_copy_that_was_killed_half_way_is_made_again(tmp_path: Path, cache: Path) -> None:
    folder = saved(tmp_path / "clip")
    checkpoint = pinned(folder, str(tmp_path / "root"))
    checkpoint.publish(checkpoint.models_root)
    expected = contents(folder)
    shutil.rmtree(folder)
    partial = cache / "checkpoints" / "clip" / f".{checkpoint.sha256}.partial"
    partial.mkdir(parents=True)
    (partial / "stale.json").write_text("{}")
    assert contents(checkpoint.folder()) == expected


def test_four_processes_that_ask_at_once_share_one_copy(tmp_path: Path, cache: Path) -> None:
    folder = saved(tmp_path / "clip")
    checkpoint = pinned(folder, str(tmp_path / "root"))
    checkpoint.publish(checkpoint.models_root)
    names = sorted(contents(folder))
    shutil.rmtree(folder)
    start, done = tmp_path / "start", tmp_path / "done"
    done.mkdir()
    spawn = multiprocessing.get_context("spawn")
    workers = [spawn.Process(target=copy, args=(checkpoint, start, done)) for _ in range(4)]
    for worker in workers:
        worker.start()
    while len(list(done.glob("*.here"))) < 4 and all(worker.is_alive() for worker in workers):
        time.sleep(0.01)
    start.touch()
    for worker in workers:
        worker.join()
    assert [worker.exitcode for worker in workers] == [0] * 4
    said = {path.read_text() for path in done.glob("*.done")}
    assert len(said) == 1, "one of them saw another copy, or half of one"
    assert said.pop().endswith(str(names))
    assert [path.name for path in (cache / "checkpoints" / "clip").iterdir()] == [checkpoint.sha256]
