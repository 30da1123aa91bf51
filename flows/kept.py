"""What a root goes by until now: its config, the origins of its settings, and what its runs filled in."""

from __future__ import annotations

from dataclasses import dataclass

from fld_engine.engine.data.store import CONFIG_FILE, ROOT_FILE, Store
from fld_engine.engine.plan.config import RunConfig, parse_config
from fld_engine.engine.plan.layers import Tree
from fld_engine.engine.plan.registry import build_annotator, runtime_params
from fld_engine.engine.plan.yaml_text import mapping_of
from fld_engine.flows.origins import Origins, open_params, read_origins


@dataclass(frozen=True, slots=True)
class Kept:
    """What a root goes by until now: its config as it was read, and the origins, if it keeps them."""

    text: bytes
    config: RunConfig
    origins: Origins | None


def read_kept(store: Store) -> Kept | None:
    """What a root keeps; None where there is no root, or no run has begun its work on it. Raises `RootError`."""
    if not store.exists(ROOT_FILE):
        return None
    store.open_root(create=False)
    if not store.exists(CONFIG_FILE):
        return None
    text = store.read_bytes(CONFIG_FILE)
    where = f"{store.url}/{CONFIG_FILE}"
    config = parse_config(mapping_of(text, where=where), where=where)
    return Kept(text, config, read_origins(store))


def unpinned(kept: Kept) -> Tree:
    """The config of a root without what a run filled in, so that other checkpoints are not taken for these."""
    tree: Tree = kept.config.model_dump(mode="json")
    said = kept.origins.said if kept.origins else {}
    given = kept.origins.given if kept.origins else {}
    for name, config in kept.config.annotators.items():
        for key in open_params(name, config):
            path = f"annotators.{name}.params.{key}"
            if path not in said and path not in given:
                tree["annotators"][name]["params"].pop(key, None)
    return tree


def repinned(config: RunConfig, kept: Kept) -> RunConfig:
    """With what the root's runs filled in, where the config leaves it open and means the same checkpoint.

    So a branch that moved makes nothing again.
    """
    found = dict(config.annotators)
    plain = unpinned(kept)["annotators"]
    for name, now in config.annotators.items():
        before = kept.config.annotators.get(name)
        filling = open_params(name, now) - now.params.keys()
        if before is None or before.use != now.use or not filling or filling & plain[name]["params"].keys():
            continue
        runtime = runtime_params(build_annotator(name, now))
        if all(before.params.get(key, value) == value for key, value in now.params.items() if key in runtime):
            filled = {key: before.params[key] for key in filling if before.params.get(key)}
            ours = {key: value for key, value in filled.items() if value != kept.config.models_root}
            found[name] = now.model_copy(update={"params": {**now.params, **ours}})
    return config.model_copy(update={"annotators": found})
