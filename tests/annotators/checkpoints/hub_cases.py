"""The client of the hub, connected to a hub on this machine, and checkpoints to put there."""

from __future__ import annotations

import pickle
from pathlib import Path

import huggingface_hub
import numpy as np
import pytest
from huggingface_hub import constants
from safetensors.numpy import save_file

COMMIT, OTHER = "a" * 40, "b" * 40
CARD = "---\nlicense: apache-2.0\n---\n# A model\n"


def connect(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setattr(constants, "ENDPOINT", url)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", url + "/{repo_id}/resolve/{revision}/{filename}")
    huggingface_hub.close_session()


def saved(folder: Path, *, pickled: bool = False) -> Path:
    """A checkpoint's files, with others beside them that a hub's repositories often have."""
    folder.mkdir(parents=True)
    if pickled:
        (folder / "pytorch_model.bin").write_bytes(pickle.dumps({"weight": [1.0]}))
    else:
        save_file({"weight": np.arange(6.0)}, folder / "model.safetensors")
        (folder / "flax_model.msgpack").write_bytes(b"x" * 100)
    (folder / "config.json").write_text("{}")
    (folder / "tokenizer.json").write_text('{"version": "1.0"}')
    (folder / "modeling_own.py").write_text("raise SystemExit\n")
    (folder / "README.md").write_text(CARD)
    return folder
