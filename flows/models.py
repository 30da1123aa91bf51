"""`fld models`: what is cached, and fetching ahead."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.table import Table

from fld_engine.engine.plan.config import load_config
from fld_engine.engine.plan.protocols import Packaged
from fld_engine.engine.plan.registry import build_annotator
from fld_engine.flows.options import require
from fld_engine.flows.terminal import out

models_app = typer.Typer(no_args_is_help=True, help="The packaged models: what is cached, and fetching ahead.")


@models_app.command("list")
def models_list() -> None:
    """Show the packaged models, and the checkpoints of a model hub on this machine: size and licence."""
    from fld_engine.annotators.assets.prepare import listing
    from fld_engine.annotators.checkpoints.inventory import cached

    table = Table("model", "revision", "cached", "MB", "licence")
    for name, is_cached, num_bytes, licence in listing():
        table.add_row(name, "packaged", "yes" if is_cached else "no", f"{num_bytes / 1e6:.1f}", licence)
    for checkpoint in cached():
        size = f"{checkpoint.num_bytes / 1e6:.1f}"
        table.add_row(checkpoint.id, checkpoint.revision[:12], "yes", size, checkpoint.licence or "not stated")
    out.print(table)


@models_app.command("pull")
def models_pull(
    recipe: Annotated[str, typer.Argument(help="A recipe or a YAML file; none: every packaged model.")] = "",
    set_: Annotated[list[str] | None, typer.Option("--set", help="key.path=value, over the recipe.")] = None,
) -> None:
    """Fetch and verify the models of a recipe, once; with `models_root`, publish its checkpoints there."""
    from fld_engine.annotators.assets.catalogue import PACKAGED
    from fld_engine.annotators.assets.prepare import pull
    from fld_engine.annotators.checkpoints.inventory import fetch
    from fld_engine.annotators.checkpoints.params import HubParams

    require("RECIPE", recipe, {"--set": set_})
    packaged, checkpoints = list(PACKAGED), []
    if recipe:
        config = load_config(recipe, set_ or ())
        built = [build_annotator(name, of_annotator) for name, of_annotator in config.annotators.items()]
        packaged = [name for annotator in built if isinstance(annotator, Packaged) for name in annotator.packaged]
        checkpoints = [a.params for a in built if isinstance(a.params, HubParams)]
    for pulled in pull(packaged, lambda line: out.print(line, markup=False)):
        if not pulled.was_cached:
            out.print(f"{pulled.name}: ready")
    for params in {params.source: params for params in checkpoints}.values():
        root = params.models_root or config.models_root
        fetch(params.model_copy(update={"models_root": root}), lambda line: out.print(line, markup=False))
