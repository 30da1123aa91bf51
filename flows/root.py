"""A root that is there, and the config of its last run."""

from __future__ import annotations

from collections.abc import Sequence

import yaml

from fld_engine.engine.data.store import Store
from fld_engine.engine.plan.config import RunConfig, with_overrides

CONFIG_FILE = "config.yaml"


def existing_root(root: str, overrides: Sequence[str] | None) -> tuple[Store, RunConfig]:
    """Open a root. Raises `RootError` where there is none, `ConfigError` for overrides that do not fit."""
    store = Store(root)
    store.open_root(create=False)
    tree = yaml.safe_load(store.read_bytes(CONFIG_FILE))
    return store, with_overrides(tree, overrides or (), where=f"{root}/{CONFIG_FILE}")
