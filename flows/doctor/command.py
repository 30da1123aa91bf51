"""The command `fld doctor`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import partial
from typing import Annotated

import typer
from rich.table import Table

from fld_engine.engine.data.store import CONFIG_FILE, Store
from fld_engine.engine.plan.config import RunConfig
from fld_engine.flows.asked import Asked
from fld_engine.flows.doctor import machine, work
from fld_engine.flows.doctor.check import Check, tried
from fld_engine.flows.options import AsJson, Set, Sources
from fld_engine.flows.start import begin
from fld_engine.flows.terminal import out

doctor_app = typer.Typer()
NOWHERE = "memory://doctor"
"""Stands for the root where a recipe is looked at."""
SERVER_CURE = (
    "start it, `prefect server start`, mend its address, or unset PREFECT_API_URL for a temporary one of each run"
)
COLOURS = {"ok": "green", "absent": "dim", "warning": "yellow", "missing": "red"}


@doctor_app.command()
def doctor(
    recipe: Annotated[str, typer.Argument(help="A recipe or a YAML file whose needs are looked at, too.")] = "",
    root: Annotated[
        str, typer.Option(help="A root that has to be there for reading and writing; its config, too.")
    ] = "",
    source: Sources = None,
    set_: Set = None,
    as_json: AsJson = False,
) -> None:
    """Tell what is here and what is missing, each with its cure.

    Ends with exit code 1 where something is missing that the recipe, the root or its config, or a source needs. An
    extra that nobody asked for is merely absent.
    """
    checks = [*_checks(recipe, root, source or [], set_)]
    missing = [check for check in checks if check.state == "missing"]
    if as_json:
        told = {"ok": not missing, "checks": [check.model_dump() for check in checks]}
        out.print_json(json.dumps(told))
    else:
        table = Table("what", "", "found", "what to do")
        for check in checks:
            table.add_row(
                check.name, f"[{COLOURS[check.state]}]{check.state}[/]", _plain(check.found), _plain(check.cure)
            )
        out.print(table)
        out.print(f"{len(missing)} missing" if missing else "nothing that was asked for is missing")
    if missing:
        raise typer.Exit(1)


def _checks(recipe: str, root: str, sources: list[str], overrides: list[str] | None) -> Iterator[Check]:
    config: RunConfig | None = None
    if recipe or (root and _has_config(root)):
        # a root or a source that cannot be opened is a finding: they are looked at one by one, further down
        asked = Asked(root=NOWHERE if recipe else root, recipe=recipe or None, overrides=overrides or ())
        config = begin(asked).config
    yield from machine.python()
    yield from machine.installed_extras()
    yield from machine.devices()
    yield from machine.ray(config.runner.ray_address if config is not None else "")
    yield from tried("Prefect", machine.prefect, "install fld-engine again")
    yield from tried("Prefect server", machine.prefect_server, SERVER_CURE)
    yield from machine.cache()
    yield from machine.disk(root)
    if config is not None:
        yield from work.libraries(config, [root, *sources])
        yield from tried("packaged models", partial(work.models, config, recipe))
    if root:
        yield from tried(f"root {root}", partial(work.root_access, root))
    known = [spec.url for spec in config.sources] if config is not None else []
    for url in dict.fromkeys([*sources, *known]):
        yield from tried(f"source {url}", partial(work.source_access, url))


def _has_config(root: str) -> bool:
    try:
        return Store(root).exists(CONFIG_FILE)
    except Exception:  # noqa: BLE001 - whatever it is, the check of the root says it
        return False


def _plain(text: str) -> str:
    return text.replace("[", r"\[")
