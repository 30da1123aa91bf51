"""Models on one thread, and a model hub on this machine."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import huggingface_hub
import pytest

from tests.annotators.checkpoints.hub_cases import connect
from tests.annotators.checkpoints.hub_server import Hub, serving_hub
from tests.annotators.one_thread import one_thread

__all__ = ["hub", "one_thread"]


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
