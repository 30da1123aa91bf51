"""The commands that say what is installed: annotators, filters and the like, and the settings of a config."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Annotated

import typer
from rich.table import Column, Table

from fld_engine.engine.data.discovery import package_of
from fld_engine.engine.inspect.installed import GROUPS, Extension, Group, entries_of, extension, extensions
from fld_engine.engine.inspect.reference import reference
from fld_engine.engine.inspect.schema import config_schema
from fld_engine.flows.options import AsJson
from fld_engine.flows.terminal import out
from fld_engine.schemas.errors import ConfigError, unknown_name

Name = Annotated[str, typer.Argument(help="One of them, with its parameters; none: all.")]
Package = Annotated[str, typer.Option(help="Only what this package brings, such as fld-engine.")]

installed_app = typer.Typer()
config_app = typer.Typer(no_args_is_help=True, help="The settings of a config: their JSON Schema and their reference.")


@config_app.command("schema")
def print_schema(package: Package = "") -> None:
    """Print the JSON Schema of a config file, with the parameters of everything that is installed."""
    _require_package(package)
    typer.echo(json.dumps(config_schema(package=package), indent=2, sort_keys=True, ensure_ascii=False))


@config_app.command("reference")
def print_reference(package: Package = "") -> None:
    """Print all settings, and the parameters of everything that is installed, as Markdown."""
    _require_package(package)
    typer.echo(reference(package=package), nl=False)


def _require_package(package: str) -> None:
    """Raises `ConfigError` for a package that brings nothing here."""
    packages = {package_of(entry) for group in GROUPS for entry in entries_of(group).values()}
    if package and package not in packages:
        raise ConfigError(unknown_name("package", package, packages))


def _command(group: Group) -> Callable[..., None]:
    def listed(name: Name = "", as_json: AsJson = False) -> None:
        found = [extension(group, name)] if name else extensions(group)
        if as_json:
            described = [one.model_dump(mode="json") for one in found]
            out.print_json(json.dumps(described[0] if name else described))
        elif name:
            _print_one(group, found[0])
        else:
            _print_all(group, found)

    listed.__doc__ = f"List the {group.plural} that are installed, or one with its parameters."
    return listed


for _group in GROUPS:
    installed_app.command(_group.plural)(_command(_group))


def _print_all(group: Group, found: list[Extension]) -> None:
    if not found:
        out.print(f"no {group.singular} is installed")
        return
    about = Column("about", min_width=30)
    table = Table("name", *group.says, about, "version", "package")
    for one in found:
        version = "" if one.version is None else str(one.version)
        table.add_row(one.name, *map(one.said, group.says), one.about, version, f"{one.package} {one.release}")
    out.print(table, markup=False)


def _print_one(group: Group, found: Extension) -> None:
    version = "" if found.version is None else f", version {found.version}"
    out.print(f"{found.name}, of {found.package} {found.release}{version}", markup=False)
    out.print(found.description, markup=False)
    for key in group.says:
        if said := found.said(key):
            out.print(f"{key}: {said}", markup=False)
    if not found.parameters:
        out.print("no parameters")
        return
    table = Table("parameter", "type", "default", "bounds", "about", caption=found.about_parameters or None)
    for one in found.parameters:
        table.add_row(one.name, one.type, one.default_text, one.bounds, one.description)
    out.print(table, markup=False)
