"""A root that is there, and the config of its last run, which most commands go by."""

from __future__ import annotations

from collections.abc import Sequence

from fld_engine.engine.data.journal import note_limits
from fld_engine.engine.data.lease import LeaseHolder
from fld_engine.engine.data.store import CONFIG_FILE, Store
from fld_engine.engine.plan.config import RunConfig, dump_config, with_overrides
from fld_engine.engine.plan.yaml_text import mapping_of
from fld_engine.flows.origins import ORIGIN_FILE, Origins, read_origins
from fld_engine.schemas.errors import RootError


def existing_root(root: str, overrides: Sequence[str] | None) -> tuple[Store, RunConfig]:
    """Open a root. Raises `RootError` where none is or no run began, `ConfigError` for overrides that do not fit."""
    store = Store(root)
    store.open_root(create=False)
    if not store.exists(CONFIG_FILE):
        raise RootError(f"{root} has no {CONFIG_FILE}: no run has begun its work on it; run `fld run` first")
    where = f"{root}/{CONFIG_FILE}"
    return store, with_overrides(mapping_of(store.read_bytes(CONFIG_FILE), where=where), overrides or (), where=where)


def keep_config(store: Store, config: RunConfig, origins: Origins | None = None) -> None:
    """Make a config the one that the root goes by, and say where it comes from. Raises `LeaseError` beside a driver."""
    text = dump_config(config).encode()
    is_there = store.exists(CONFIG_FILE) and store.read_bytes(CONFIG_FILE) == text
    if is_there and origins in (None, read_origins(store)):
        return
    if store.guard is None:
        with LeaseHolder(store) as lease:
            keep_config(store.guarded(lease), config, origins)
        return
    if origins is not None:
        store.publish_model(ORIGIN_FILE, origins)
    if not is_there:
        note_limits(store, config.images)
        store.publish_bytes(CONFIG_FILE, text)
