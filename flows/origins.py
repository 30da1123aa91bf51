"""Where the settings of a root come from: `config.origin.json`, written beside `config.yaml` and under the same lease.

`config.yaml` is what a root goes by. The origins say what of it was given once, on the command line or in a deployment,
and stays until it is changed, and by which recipe or file the rest was said. Roots of version 0.1 have none.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import Field, JsonValue

from fld_engine.engine.data.store import Store
from fld_engine.engine.plan.config import AnnotatorConfig, ExporterConfig, FilterConfig, RunConfig
from fld_engine.engine.plan.layers import Tree, leaves, within
from fld_engine.engine.plan.protocols import Pinnable
from fld_engine.engine.plan.registry import build_annotator, build_exporter, build_filter
from fld_engine.schemas.annotations import Frozen
from fld_engine.schemas.errors import ConfigError

ORIGIN_FILE = "config.origin.json"

DEFAULT = "default"
PINNED = "pinned by a run"
ROOT = "root"
"""Origin of what a root has from a time when origins were not kept, or what somebody wrote into its config.yaml."""
SOURCE = "--source"
NAMED_LISTS = ("sources", "exclude")
"""Lists of settings whose items are known by their `name`, and not by their place."""


class Given(Frozen):
    """A setting that was given over the recipe, and the option that gave it: `--set`, `--workers` and the like."""

    value: JsonValue
    by: str


class Origins(Frozen):
    """Where settings come from, by path: `said` by recipes and files, `given` over them.

    `recipe` is what was named last; empty where a mapping was given. `added` are names of sources that were given
    beside the recipe's own, or `instead` of them; that is null where nobody knows.
    """

    recipe: str = ""
    said: Mapping[str, str] = Field(default_factory=dict)
    given: Mapping[str, Given] = Field(default_factory=dict)
    added: tuple[str, ...] = ()
    instead: bool | None = None

    def of(self, path: str) -> str:
        """Who said a setting, or something under it; `default` where nobody did."""
        for name in self.added:
            if within(path, f"sources.{name}"):
                return SOURCE
        for known, given in self.given.items():
            if within(path, known) or within(known, path):
                return given.by
        in_list = path.partition(".")[0] in NAMED_LISTS  # which is one value where it is said
        for known, origin in self.said.items():
            if path == known or within(known, path) or (in_list and within(path, known)):
                return origin
        return DEFAULT


def read_origins(store: Store) -> Origins | None:
    """The origins that a root keeps; None where it keeps none."""
    if not store.exists(ORIGIN_FILE):
        return None
    found: Origins = store.read_model(ORIGIN_FILE, Origins)
    return found


def settings_of(config: RunConfig) -> Tree:
    """All settings of a config as a tree, with the parameters that stand at their defaults.

    Sources and lists of `exclude` stand under their names. What is not installed here has the parameters it was given.
    """
    tree: Tree = config.model_dump(mode="json")
    for name, of_annotator in config.annotators.items():
        tree["annotators"][name]["params"] = _params(build_annotator, name, of_annotator)
    for name, of_filter in config.filters.items():
        tree["filters"][name]["params"] = _params(build_filter, name, of_filter)
    for name, of_exporter in config.exporters.items():
        tree["exporters"][name]["params"] = _params(build_exporter, name, of_exporter)
    for key in NAMED_LISTS:
        tree[key] = {one["name"]: one for one in tree[key]}
    return tree


def open_params(name: str, config: AnnotatorConfig) -> frozenset[str]:
    """Parameters that a run fills in where they are left empty: commits and hashes of checkpoints."""
    try:
        params: Any = build_annotator(name, config).params
    except ConfigError:
        return frozenset()
    if not isinstance(params, Pinnable):
        return frozenset()
    fields = type(params).model_fields  # type: ignore[attr-defined]
    return frozenset(key for key in params.runtime if key in fields and fields[key].default == "")


def origin_rows(config: RunConfig, origins: Origins | None) -> list[tuple[str, JsonValue, str]]:
    """Path, value and origin of every setting of a config."""
    known = origins or Origins()
    defaults = dict(leaves(_defaults(config)))
    pins = {
        f"annotators.{name}.params.{key}" for name, one in config.annotators.items() for key in open_params(name, one)
    }
    rows: list[tuple[str, JsonValue, str]] = []
    for path, value in leaves(settings_of(config)):
        origin = known.of(path)
        if origin == DEFAULT and not (path in defaults and defaults[path] == value):
            origin = PINNED if path in pins else ROOT
        rows.append((path, value, origin))
    return rows


def _params(build: Any, name: str, config: AnnotatorConfig | FilterConfig | ExporterConfig) -> Tree:
    """Parameters with their defaults; as they were given where they cannot be read here."""
    try:
        params = build(name, config).params
        dumped: Tree = params.model_dump(mode="json")
    except (ConfigError, AttributeError):
        return dict(config.params)
    return dumped


def _defaults(config: RunConfig) -> Tree:
    """The tree of a config with the same annotators, filters and exporters, of which nothing is said."""
    tree: Tree = RunConfig().model_dump(mode="json")
    for name, of_annotator in config.annotators.items():
        plain = AnnotatorConfig().model_dump(mode="json")
        tree["annotators"][name] = plain | {"params": _default_params(build_annotator, name, of_annotator)}
    for name, of_filter in config.filters.items():
        tree["filters"][name] = {"use": "", "params": _default_params(build_filter, name, of_filter)}
    for name, of_exporter in config.exporters.items():
        tree["exporters"][name] = {"use": "", "params": _default_params(build_exporter, name, of_exporter)}
    for key in NAMED_LISTS:
        tree[key] = {}
    return tree


def _default_params(build: Any, name: str, config: AnnotatorConfig | FilterConfig | ExporterConfig) -> Tree:
    try:
        model = type(build(name, config).params)
    except (ConfigError, AttributeError):
        return {}
    return {
        key: value
        for key, value in model.model_construct().model_dump(mode="json", warnings=False).items()
        if not model.model_fields[key].is_required()
    }
