"""What `fld models pull` and `fld models list` do with checkpoints."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from huggingface_hub import constants

from fld_engine.annotators.checkpoints.inventory import CachedCheckpoint, cached, fetch
from fld_engine.annotators.checkpoints.params import HubParams
from fld_engine.schemas.errors import ModelError
from tests.annotators.checkpoints.hub_cases import COMMIT, saved
from tests.annotators.checkpoints.hub_server import Hub


def size_of(folder: Path, *names: str) -> int:
    return sum((folder / name).stat().st_size for name in names)


FETCHED = ("model.safetensors", "config.json", "tokenizer.json", "README.md")


def test_nothing_is_listed_where_nothing_was_fetched(hub: Hub) -> None:
    assert cached() == []


def test_fetching_from_the_hub_pins_says_how_and_is_listed(hub: Hub, tmp_path: Path) -> None:
    source = saved(tmp_path / "m")
    hub.add("org/model", source, COMMIT)
    lines: list[str] = []
    pinned = fetch(HubParams(checkpoint="org/model"), lines.append)
    assert (pinned.revision, pinned.source.folder().is_dir()) == (COMMIT, True)
    assert lines[0] == f"org/model: ready in {pinned.source.folder()}"
    assert lines[1] == f"org/model: to pin it, put `revision: {COMMIT}` into its params"
    assert cached() == [CachedCheckpoint("org/model", COMMIT, size_of(source, *FETCHED), "apache-2.0")]
    lines.clear()
    fetch(HubParams(checkpoint="org/model", revision=COMMIT), lines.append)
    assert len(lines) == 1, "a pinned one needs no advice"


def test_fetching_with_a_models_root_publishes_there_once(hub: Hub, tmp_path: Path) -> None:
    source = saved(tmp_path / "m")
    hub.add("org/model", source, COMMIT)
    params = HubParams(checkpoint="org/model", revision=COMMIT, models_root=str(tmp_path / "root"))
    lines: list[str] = []
    pinned = fetch(params, lines.append)
    fetch(params, lines.append)
    where = f"{tmp_path / 'root'}/org--model/{COMMIT}"
    assert lines == [f"org/model: published under {where}", f"org/model: already under {where}"]
    shutil.rmtree(constants.HF_HUB_CACHE)  # as on a node
    pinned.source.folder()
    assert cached() == [CachedCheckpoint("org/model", COMMIT, size_of(source, *FETCHED), "apache-2.0")]


def test_a_local_folder_is_ready_and_never_listed(hub: Hub, tmp_path: Path) -> None:
    """It is not in a cache."""
    folder = saved(tmp_path / "clip")
    lines: list[str] = []
    pinned = fetch(HubParams(checkpoint=str(folder)), lines.append)
    assert lines == [f"{folder}: ready in {folder}"]
    assert len(pinned.sha256) == 64
    assert pinned.licence == "apache-2.0"
    assert cached() == []


def test_what_cannot_be_fetched_says_so(hub: Hub) -> None:
    with pytest.raises(ModelError, match="'org/modle' is neither on the hub nor a folder"):
        fetch(HubParams(checkpoint="org/modle"), lambda line: None)
    assert cached() == []
