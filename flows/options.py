"""Options that several commands share, and the config that they make."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from fld_engine.annotators.common.cache import cache_folder
from fld_engine.engine.data.journal import read_journal, read_partitions
from fld_engine.engine.data.store import Store
from fld_engine.engine.plan.config import RunConfig, load_config
from fld_engine.engine.plan.plan import Plan, make_plan
from fld_engine.engine.plan.registry import check_extensions
from fld_engine.flows.runner_options import runner_settings
from fld_engine.flows.samples import sample_sources
from fld_engine.schemas.errors import ConfigError

Recipe = Annotated[str, typer.Argument(help="A recipe (demo, laptop) or a YAML file.")]
Sources = Annotated[
    list[str] | None, typer.Option("--source", help="Folder, tars, Parquet or COCO json; any fsspec URL.")
]
Gold = Annotated[list[str] | None, typer.Option("--gold", help="A COCO json whose annotations are the reference.")]
Root = Annotated[str, typer.Option("--root", help="Dataset root: a folder or an fsspec URL.")]
Runner = Annotated[str | None, typer.Option("--runner", help="local or ray.")]
Workers = Annotated[int | None, typer.Option("--workers", help="Worker processes; local: 1, ray: all that fit.")]
Address = Annotated[
    str | None, typer.Option("--ray-address", help="A running Ray cluster, for runner ray; `auto` finds it.")
]
Set = Annotated[list[str] | None, typer.Option("--set", help="key.path=value, over the recipe.")]
AfterRound = Annotated[
    int | None, typer.Option("--round", help="The root as it stands after this round of refinement.", min=0)
]
AsJson = Annotated[bool, typer.Option("--json", help="Machine-readable output.")]


def config_of(
    recipe: str,
    overrides: list[str] | None,
    sources: list[str] | None,
    gold: list[str] | None = None,
    *,
    runner: str | None = None,
    workers: int | None = None,
    address: str | None = None,
) -> RunConfig:
    """A recipe with what the command line says over it, checked; the demo brings its own photographs."""
    extra: dict[str, Any] = {"runner": runner_settings(runner, workers, address)}
    given = [{"url": url} for url in sources or ()] + [{"url": url, "gold": True} for url in gold or ()]
    if given:
        extra["sources"] = given
    config = load_config(recipe, overrides or (), extra=extra)
    if recipe == "demo" and not config.sources:
        extra["sources"] = sample_sources(cache_folder() / "samples")
        config = load_config(recipe, overrides or (), extra=extra)
    check_extensions(config)
    return config


def require(other: str, value: object, given: Mapping[str, object]) -> None:
    """Raises `ConfigError` for options that do nothing without the option `other`, where that has no `value`."""
    for name, one in given.items():
        if one is not None and not value:
            raise ConfigError(f"{name} does nothing without {other}: give {other}, too, or leave {name} out")


def plan_of_root(store: Store, config: RunConfig) -> Plan:
    """What a run of a config on a root would do, and what is there already."""
    return make_plan(store, config, read_partitions(read_journal(store)))
