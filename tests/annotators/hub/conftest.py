"""Models on one thread, and a model hub on this machine."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import huggingface_hub
import pytest
import torch

from tests.annotators.hub.hub_cases import connect
from tests.annotators.hub.hub_server import Hub, serving_hub


@pytest.fixture(autouse=True, scope="session")
def _one_thread() -> Iterator[None]:
    """As in a worker of one CPU: more of them only wait for each other on a busy machine."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """The client's own settings, which it reads from the environment once, when it is imported."""
    with serving_hub() as serving:
        connect(monkeypatch, serving.url)
        for name in ("huggingface_hub.constants", "huggingface_hub.utils._cache_manager"):
            monkeypatch.setattr(f"{name}.HF_HUB_CACHE", str(tmp_path / "hub-cache"))
        monkeypatch.setenv("FLD_CACHE", str(tmp_path / "fld-cache"))
        yield serving
    huggingface_hub.close_session()
