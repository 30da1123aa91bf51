"""The commands about the settings of a run: `fld init`, which writes some down, and `fld config show`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from fld_engine.engine.data.store import ROOT_FILE, Store
from fld_engine.engine.inspect.starter import starter
from fld_engine.engine.plan.config import dump_config, parse_config
from fld_engine.engine.plan.layers import called, is_recipe, layers_of, merged
from fld_engine.flows.asked import Asked
from fld_engine.flows.options import AsJson, Set, Sources
from fld_engine.flows.origins import origin_rows
from fld_engine.flows.places import absolute
from fld_engine.flows.start import begin
from fld_engine.flows.terminal import out
from fld_engine.schemas.errors import ConfigError

FILE = "config.yaml"
NOWHERE = "nowhere yet"
"""Stands for the root of a recipe that is only looked at."""

Origin = Annotated[bool, typer.Option("--origin", help="One setting a line, with where its value came from.")]


def init(
    directory: Annotated[
        Path, typer.Argument(help="Folder to write config.yaml into; it is made where there is none.")
    ],
    recipe: Annotated[str, typer.Option(help="Recipe or YAML file to begin with.")] = "laptop",
    source: Sources = None,
) -> None:
    """Write a commented config to begin with: DIRECTORY/config.yaml."""
    file = directory / FILE
    if (directory / ROOT_FILE).exists():
        raise ConfigError(f"{directory} is a dataset root, whose {FILE} is its own: give another folder")
    if file.exists():
        raise ConfigError(f"{file} is there already, and is left as it is: edit it, or give another folder")
    tree = merged(layers_of(recipe))
    if source:
        tree["sources"] = [{"url": absolute(url)} for url in source]
    parse_config(tree, where=recipe)
    directory.mkdir(parents=True, exist_ok=True)
    file.write_text(starter(tree, recipe), encoding="utf-8")
    where = "" if tree.get("sources") else " --source PHOTOS"
    out.print(f"wrote {file}, from {called(recipe)}; edit it, then: fld run {file}{where} --root ROOT", markup=False)


def show(
    root_or_recipe: Annotated[str, typer.Argument(help="A dataset root, a recipe or a YAML file.")],
    origin: Origin = False,
    set_: Set = None,
    as_json: AsJson = False,
) -> None:
    """Show all settings of a recipe or a root, as YAML; with --origin, say where each value came from."""
    if Store(root_or_recipe).exists(ROOT_FILE):
        asked = Asked(root=root_or_recipe, overrides=set_ or ())
    elif is_recipe(root_or_recipe):
        asked = Asked(root=NOWHERE, recipe=root_or_recipe, overrides=set_ or ())
    else:
        raise ConfigError(
            f"{root_or_recipe} is neither a dataset root (it has no {ROOT_FILE}) nor a recipe or YAML file"
        )
    begun = begin(asked)
    if not origin:
        plain = begun.config.model_dump_json() if as_json else dump_config(begun.config)
        typer.echo(plain, nl=as_json)
        return
    known = begun.kept is None or begun.kept.origins is not None or bool(set_)
    rows = origin_rows(begun.config, begun.origins if known else None)
    if as_json:
        typer.echo(json.dumps([{"setting": path, "value": value, "origin": said} for path, value, said in rows]))
        return
    for path, value, said in rows:
        typer.echo(f"{path}: {json.dumps(value, ensure_ascii=False)}  # {said}")
