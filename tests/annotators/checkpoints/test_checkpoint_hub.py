"""Checkpoints of a hub, over the real client and a server that speaks the hub's protocol."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
import yaml
from huggingface_hub import constants

from fld_engine.annotators.checkpoints.checkpoint import Checkpoint
from fld_engine.annotators.checkpoints.params import HubParams
from fld_engine.engine.plan.config import dump_config, parse_config
from fld_engine.engine.plan.registry import build_annotator, pin
from fld_engine.schemas.errors import ModelError
from tests.annotators.checkpoints.hub_cases import COMMIT, OTHER, connect, saved
from tests.annotators.checkpoints.hub_server import Hub


def files_of(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_a_branch_is_pinned_to_its_commit_and_says_so(
    hub: Hub, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    hub.add("org/model", saved(tmp_path / "m"), COMMIT)
    with caplog.at_level(logging.WARNING):
        pinned = Checkpoint("org/model").pinned(models_root="", strict=True)
    assert pinned.revision == COMMIT
    assert f"put `revision: {COMMIT}` into its params" in caplog.text
    assert pinned.identity.id == "org/model"
    assert pinned.identity.revision == COMMIT


def test_a_config_without_a_commit_gets_one_for_every_worker_and_the_manifest(
    hub: Hub, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """`config.yaml` of a root is the pinned config, and an annotator's model is what the manifest says of it."""
    hub.add("org/model", saved(tmp_path / "m"), COMMIT)
    given = parse_config(
        {"annotators": {"detector": {"use": "object-detection", "params": {"checkpoint": "org/model"}}}}, where="test"
    )
    with caplog.at_level(logging.WARNING):
        config = pin(given, strict=True)
    again = parse_config(yaml.safe_load(dump_config(config)), where="test")
    assert again.annotators["detector"].params["revision"] == COMMIT
    assert build_annotator("detector", again.annotators["detector"]).model.revision == COMMIT
    assert "org/model is not pinned: using commit" in caplog.text
    caplog.clear()
    hub.requests.clear()
    hub.add("org/model", saved(tmp_path / "later"), OTHER)
    assert pin(again, strict=True) == again
    assert (hub.requests, caplog.text) == ([], "")


def test_a_commit_asks_nobody(hub: Hub, caplog: pytest.LogCaptureFixture) -> None:
    given = Checkpoint("org/model", revision=COMMIT)
    assert given.pinned(models_root="", strict=True) == given
    assert hub.requests == []
    assert caplog.text == ""


def test_weights_configs_and_card_alone_are_fetched_and_once(hub: Hub, tmp_path: Path) -> None:
    source = saved(tmp_path / "m")
    hub.add("org/model", source, COMMIT)
    checkpoint = Checkpoint("org/model", revision=COMMIT)
    assert checkpoint.licence() == ""
    folder = checkpoint.folder()
    wanted = {"model.safetensors", "config.json", "tokenizer.json", "README.md"}
    assert files_of(folder) == {name: (source / name).read_bytes() for name in wanted}
    assert sorted(hub.downloads) == sorted(wanted)
    assert checkpoint.licence() == "apache-2.0"
    hub.requests.clear()
    assert checkpoint.folder() == folder
    assert hub.requests == [], "what is here is not asked for again"


def test_the_licence_is_known_before_the_weights_are_here(hub: Hub, tmp_path: Path) -> None:
    """Else the manifest of a first run would say that none is stated, and that of the next run another thing."""
    hub.add("org/model", saved(tmp_path / "m"), COMMIT)
    params = HubParams(checkpoint="org/model", revision=COMMIT)
    assert params.pinned(models_root="", strict=False).licence == ""
    assert hub.requests == [], "a plan asks nobody"
    assert params.pinned(models_root="", strict=True).licence == "apache-2.0"
    assert hub.downloads == ["README.md"]
    hub.repos.clear()
    assert params.pinned(models_root="", strict=True).licence == "apache-2.0"
    folderless = HubParams(checkpoint="org/none", revision=COMMIT).pinned(models_root="", strict=True)
    assert folderless.licence == "", "a card that is not there stops nobody"


def test_code_is_fetched_only_where_the_config_trusts_it(hub: Hub, tmp_path: Path) -> None:
    hub.add("org/model", saved(tmp_path / "m"), COMMIT)
    plain, trusting = (Checkpoint("org/model", COMMIT, trust_remote_code=trusts) for trusts in (False, True))
    assert not (plain.folder() / "modeling_own.py").exists()
    assert (trusting.folder() / "modeling_own.py").exists()
    assert plain.identity != trusting.identity


def test_what_was_fetched_works_without_a_network(hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.add("org/model", saved(tmp_path / "m"), COMMIT)
    folder = Checkpoint("org/model").pinned(models_root="", strict=True).folder()
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    hub.requests.clear()
    pinned = Checkpoint("org/model").pinned(models_root="", strict=True)
    assert (pinned.revision, pinned.folder(), pinned.licence()) == (COMMIT, folder, "apache-2.0")
    assert hub.requests == []


def test_offline_without_cache_says_how_to_get_it(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    message = r"org/model at main is not in this machine's cache.* run `fld models pull` where there is a network"
    with pytest.raises(ModelError, match=message):
        Checkpoint("org/model").pinned(models_root="", strict=True)
    with pytest.raises(ModelError, match=f"org/model at {COMMIT} is not in .*or set models_root"):
        Checkpoint("org/model", COMMIT).folder()


def test_a_hub_that_cannot_be_reached(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hub: Hub) -> None:
    connect(monkeypatch, "http://127.0.0.1:1")  # nothing listens there
    with pytest.raises(
        ModelError, match=r"org/model at main .* the hub cannot be reached \(.*refused.*`fld models pull`"
    ):
        Checkpoint("org/model").pinned(models_root="", strict=True)
    lenient = Checkpoint("org/model").pinned(models_root="s3://models", strict=False)
    assert lenient == Checkpoint("org/model", models_root="s3://models")


def test_not_on_the_hub(hub: Hub) -> None:
    message = "'org/modle' is neither on the hub nor a folder on this machine; if it is private, set HF_TOKEN"
    with pytest.raises(ModelError, match=message):
        Checkpoint("org/modle").pinned(models_root="", strict=True)
    with pytest.raises(ModelError, match=message):
        Checkpoint("org/modle", COMMIT).folder()


def test_no_such_revision(hub: Hub, tmp_path: Path) -> None:
    hub.add("org/model", saved(tmp_path / "m"), COMMIT)
    with pytest.raises(ModelError, match="org/model has no revision 'v2' on the hub"):
        Checkpoint("org/model", "v2").pinned(models_root="", strict=True)
    with pytest.raises(ModelError, match=f"org/model has no revision '{OTHER}' on the hub"):
        Checkpoint("org/model", OTHER).folder()


def test_a_gated_checkpoint_asks_for_consent(hub: Hub, tmp_path: Path) -> None:
    hub.add("org/gated", saved(tmp_path / "m"), COMMIT, gated=True)
    with pytest.raises(ModelError, match="org/gated asks for consent: accept its terms on the hub, then set HF_TOKEN"):
        Checkpoint("org/gated", COMMIT).folder()


def test_what_is_no_hub_id_is_said(hub: Hub) -> None:
    with pytest.raises(ModelError, match="neither a hub id such as `org/name` nor an existing folder"):
        Checkpoint("models/of/mine").pinned(models_root="", strict=True)


def test_a_branch_is_never_loaded_unpinned(hub: Hub) -> None:
    with pytest.raises(ModelError, match="org/model is not pinned: expected a commit of 40 hex digits as `revision`"):
        Checkpoint("org/model", "main").folder()


def test_pickled_weights_are_refused_and_never_fetched(hub: Hub, tmp_path: Path) -> None:
    hub.add("org/old", saved(tmp_path / "m", pickled=True), COMMIT)
    with pytest.raises(ModelError, match=f"org/old has no weights as safetensors at {COMMIT}: choose a revision"):
        Checkpoint("org/old", COMMIT).folder()
    assert "pytorch_model.bin" not in hub.downloads


def test_a_download_that_broke_is_not_taken_for_the_weights(hub: Hub, tmp_path: Path) -> None:
    source = saved(tmp_path / "m")
    hub.add("org/model", source, COMMIT)
    hub.truncates = True
    checkpoint = Checkpoint("org/model", COMMIT)
    with pytest.raises(ModelError, match="org/model"):
        checkpoint.folder()
    hub.truncates = False
    assert (checkpoint.folder() / "model.safetensors").read_bytes() == (source / "model.safetensors").read_bytes()


def test_a_checkpoint_of_the_hub_is_published_with_its_card(hub: Hub, tmp_path: Path) -> None:
    source = saved(tmp_path / "m")
    hub.add("org/model", source, COMMIT)
    root = tmp_path / "root"
    checkpoint = Checkpoint("org/model", COMMIT, models_root=str(root))
    assert checkpoint.publish(str(root))
    hub.repos.clear()
    assert checkpoint.licence() == "apache-2.0"
    copy = checkpoint.folder()
    assert copy == tmp_path / "fld-cache" / "checkpoints" / "org--model" / COMMIT
    for name in ("model.safetensors", "config.json", "README.md"):
        assert (copy / name).read_bytes() == (source / name).read_bytes()
