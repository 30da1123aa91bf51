"""Options that several commands share, and the config that they make."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Annotated

import typer

from fld_engine.engine.data.journal import read_journal, read_partitions
from fld_engine.engine.data.store import ROOT_FILE, Store
from fld_engine.engine.plan.config import RunConfig
from fld_engine.engine.plan.layers import is_recipe, recipe_names
from fld_engine.engine.plan.plan import Plan, make_plan
from fld_engine.engine.run.logs import FORMAT_VARIABLE, configure_logging
from fld_engine.flows.asked import RunnerKind
from fld_engine.schemas.errors import ConfigError

Recipe = Annotated[str, typer.Argument(help="A recipe (demo, laptop) or a YAML file.")]
RootOrRecipe = Annotated[
    str, typer.Argument(help="A dataset root, which goes on with its settings; or, with --root, a recipe or YAML file.")
]
RootIfRecipe = Annotated[str, typer.Option("--root", help="Dataset root of a recipe: a folder or an fsspec URL.")]
Yes = Annotated[bool, typer.Option("--yes", help="Change settings of the root though they are not named here.")]
Sources = Annotated[
    list[str] | None, typer.Option("--source", help="Folder, tars, Parquet or COCO json; any fsspec URL. It stays.")
]
Gold = Annotated[list[str] | None, typer.Option("--gold", help="A COCO json whose annotations are the reference.")]
Root = Annotated[str, typer.Option("--root", help="Dataset root: a folder or an fsspec URL.")]
Runner = Annotated[RunnerKind | None, typer.Option("--runner", help="Where tasks run.")]
Workers = Annotated[int | None, typer.Option("--workers", help="Worker processes; local: 1, ray: all that fit.")]
Address = Annotated[
    str | None, typer.Option("--ray-address", help="A running Ray cluster, for runner ray; `auto` finds it.")
]
Set = Annotated[list[str] | None, typer.Option("--set", help="key.path=value, over the recipe or the root's own.")]
MetricsPort = Annotated[
    int | None, typer.Option(help="Serve metrics for Prometheus at this port of 127.0.0.1.", min=0, max=65535)
]
AfterRound = Annotated[
    int | None, typer.Option("--round", help="The root as it stands after this round of refinement.", min=0)
]
AsJson = Annotated[bool, typer.Option("--json", help="Machine-readable output.")]


def _log_in(format_: str | None) -> str | None:
    """Log in this format from now on, workers and processes that are started too."""
    if format_ is not None:
        os.environ[FORMAT_VARIABLE] = format_
        configure_logging()
    return format_


LogFormat = Annotated[
    str | None,
    typer.Option(
        help=f"Standard error as `text`, or as `json`: one object a line. {FORMAT_VARIABLE} says it for every command.",
        callback=_log_in,
        is_eager=True,
    ),
]


def require(other: str, value: object, given: Mapping[str, object]) -> None:
    """Raises `ConfigError` for options that do nothing without the option `other`, where that has no `value`."""
    for name, one in given.items():
        if one is not None and not value:
            raise ConfigError(f"{name} does nothing without {other}: give {other}, too, or leave {name} out")


def plan_of_root(store: Store, config: RunConfig) -> Plan:
    """What a run of a config on a root would do, and what is there already."""
    return make_plan(store, config, read_partitions(read_journal(store)))


def root_and_recipe(named: str, root: str) -> tuple[str, str | None]:
    """What is named on a command line, as a root and the recipe to run on it, if one is named.

    A root is taken for one wherever --root does not name another. Raises `ConfigError` where there is no root.
    """
    if root:
        return root, named or None
    if not named:
        raise ConfigError("name a dataset root, or a recipe with --root: `fld run ROOT`, `fld run laptop --root ROOT`")
    if Store(named).exists(ROOT_FILE):
        return named, None
    if is_recipe(named):
        raise ConfigError(f"{named} is a recipe, and no dataset root of that name is here: say on which with --root")
    raise ConfigError(
        f"{named} is neither a dataset root (it has no {ROOT_FILE}) nor a recipe ({', '.join(recipe_names())}) or YAML "
        f"file; to make a root there: `fld run laptop --source PHOTOS --root {named}`"
    )
