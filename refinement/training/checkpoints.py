"""Checkpoints of a training on fsspec: everything that is needed to go on as if nothing had happened.

One file each, named by the number of steps done, complete once it has its name. It holds weights, optimiser,
schedule position, the random state of every worker, and a fingerprint of what is trained on what: a checkpoint of
something else is never continued.
"""

from __future__ import annotations

import io
import re
from collections.abc import Mapping
from typing import Any

from fld_engine.engine.data.store import Store
from fld_engine.schemas.errors import RootError

_NAME = re.compile(r"step-(\d{8})\.pt")


class Checkpoints:
    """The checkpoints of one training in a folder of a store. `keep` latest ones stay."""

    def __init__(self, store: Store, folder: str, fingerprint: str, *, keep: int = 2) -> None:
        self._store, self._folder, self._fingerprint, self._keep = store, folder, fingerprint, keep

    def save(self, step: int, state: Mapping[str, Any]) -> None:
        """Write the state after `step` steps, then remove what is older than the ones to keep."""
        import torch

        buffer = io.BytesIO()
        torch.save({**state, "step": step, "fingerprint": self._fingerprint}, buffer)
        with self._store.open_commit(self._path(step)) as stream:
            stream.write(buffer.getvalue())
        for old in self.steps()[: -self._keep]:
            self._store.delete(self._path(old))

    def load(self, step: int | None = None) -> dict[str, Any] | None:
        """The state after that many steps, by default the latest; None where there is none.

        Raises `RootError` where it belongs to another training.
        """
        import torch

        steps = self.steps() if step is None else [step]
        if not steps:
            return None
        data = self._store.read_bytes(self._path(steps[-1]))
        state: dict[str, Any] = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
        if state["fingerprint"] != self._fingerprint:
            raise RootError(
                f"{self._store.url}/{self._folder} holds a checkpoint of another training "
                f"({state['fingerprint']}, expected {self._fingerprint}): give this one a folder of its own"
            )
        return state

    def steps(self) -> list[int]:
        """Numbers of steps done that there is a checkpoint of, rising."""
        names = (_NAME.fullmatch(name) for name in self._store.list_names(self._folder))
        return sorted(int(match[1]) for match in names if match)

    def _path(self, step: int) -> str:
        return f"{self._folder}/step-{step:08d}.pt"
