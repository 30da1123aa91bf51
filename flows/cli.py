"""The command line, `fld`: the commands that make something. Those that look at it are in `flows.looking`."""

from __future__ import annotations

import logging
import os
import sys
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from rich.console import Console

from fld_engine.engine.data.journal import read_journal
from fld_engine.engine.data.store import Store
from fld_engine.engine.plan.config import RunConfig, dump_config
from fld_engine.engine.plan.plan import Plan
from fld_engine.engine.plan.registry import pin
from fld_engine.engine.run.logs import LEVEL_VARIABLE
from fld_engine.engine.run.pipeline import Pipeline
from fld_engine.engine.stages.export.coco import export_coco
from fld_engine.engine.stages.export.stage import export_is_current
from fld_engine.engine.stages.ingest.ingest import new_chunks
from fld_engine.engine.stages.removal.request import parse_ids
from fld_engine.flows.installed import config_app, installed_app
from fld_engine.flows.looking import looking_app
from fld_engine.flows.models import models_app
from fld_engine.flows.opening import CONFIG_FILE, existing_root
from fld_engine.flows.options import (
    Address,
    AfterRound,
    AsJson,
    Gold,
    Recipe,
    Root,
    Runner,
    Set,
    Sources,
    Workers,
    config_of,
    plan_of_root,
)
from fld_engine.flows.progress import progress_bars
from fld_engine.flows.terminal import leave, out, print_status, warn_of_work_sets
from fld_engine.schemas.errors import ConfigError, FldError

HELP = """The data engine: specialists annotate, filters decide, verified shards come out.

Exit codes: 0 done; 1 failed; 2 bad usage or config; 3 done, with more failures or quarantine than the config allows.
"""
app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, help=HELP)
app.add_typer(looking_app)
app.add_typer(installed_app)
app.add_typer(models_app, name="models")
app.add_typer(config_app, name="config")

Format = Literal["shards", "coco"]


def main() -> None:
    """Entry point of the console command."""
    os.environ.setdefault("PREFECT_SERVER_ANALYTICS_ENABLED", "false")
    os.environ.setdefault("DO_NOT_TRACK", "1")
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("PREFECT_LOGGING_LEVEL", "CRITICAL")  # errors are reported here, once
    level = os.environ.get(LEVEL_VARIABLE, "WARNING").upper()
    logging.basicConfig(level=level, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    try:
        app()
    except FldError as error:
        Console(stderr=True, soft_wrap=True, highlight=False).print(f"error: {error}", style="red", markup=False)
        sys.exit(error.exit_code)


@app.command()
def run(
    recipe: Recipe,
    root: Root,
    source: Sources = None,
    gold: Gold = None,
    runner: Runner = None,
    workers: Workers = None,
    ray_address: Address = None,
    set_: Set = None,
) -> None:
    """Run the whole road, doing only what is missing."""
    config = pin(
        config_of(recipe, set_, source, gold, runner=runner, workers=workers, address=ray_address), strict=True
    )
    store = Store(root)
    store.open_root(create=True)
    store.write_bytes(CONFIG_FILE, dump_config(config).encode())
    plan = plan_of_root(store, config)
    if not plan.partitions and not config.sources:
        raise ConfigError("nothing to run on: the root is empty and no --source was given")
    warn_of_work_sets(plan)
    chunks = new_chunks(config, read_journal(store))
    if not chunks and _is_complete(plan):
        out.print(f"nothing to do: {root} is complete under this config (no model loaded, no image read)")
    else:
        _run_flow(config, root)
    print_status(plan_of_root(store, config))
    leave(plan_of_root(store, config))


@app.command()
def export(
    root: Root,
    set_: Set = None,
    format_: Annotated[Format, typer.Option("--format", help="Shards of the trainer, or COCO json.")] = "shards",
    images: Annotated[bool, typer.Option("--images", help="COCO: write the image files too.")] = False,
    round_: AfterRound = None,
) -> None:
    """Write the shards and the manifest again from what is annotated, doing only what is missing; or COCO json."""
    store, config = existing_root(root, set_)
    with Pipeline(store, config, round_=round_) as pipeline:
        if round_ is not None:
            pipeline.annotate()
        pipeline.decide()
        plan, url = pipeline.plan(), root.rstrip("/")
        if format_ == "coco":
            wrote = export_coco(plan, with_images=images)
            out.print(
                f"{wrote.regions} regions, {wrote.captions} captions, {wrote.images} images: {url}/{plan.folder}coco"
            )
            return
        summary = pipeline.export()
    out.print(f"{summary.num_samples} samples in {summary.num_shards} shards: {url}/{plan.export_folder}")


@app.command()
def replay(root: Root, set_: Set = None) -> None:
    """Run the annotators again on the images that failed, and everything that depends on them."""
    from fld_engine.engine.stages.replay.marks import mark_failed

    store, config = existing_root(root, set_)
    marked = mark_failed(plan_of_root(store, config))
    if not marked:
        out.print("nothing to replay: no annotator failed on any image")
        return
    out.print(f"replaying {marked} failed images")
    _run_flow(config, root)
    print_status(plan_of_root(store, config))


@app.command()
def remove(
    ids: Annotated[Path, typer.Option(help="A file with one image id a line.")],
    root: Root,
    set_: Set = None,
    as_json: AsJson = False,
) -> None:
    """Take images out of everything a root holds, and write its export again without them."""
    from fld_engine.flows.governance import print_removal

    store, config = existing_root(root, set_)
    if not ids.is_file():
        raise ConfigError(f"--ids {ids} is no file: expected a text file with one image id a line")
    wanted = parse_ids(ids.read_text(encoding="utf-8", errors="replace"), where=str(ids))
    with progress_bars() as watch, Pipeline(store, config, watch) as pipeline:
        report = pipeline.remove(wanted)
    print_removal(out, report, root, as_json=as_json)


@app.command()
def refine(
    root: Annotated[str, typer.Argument(help="Dataset root.")],
    rounds: Annotated[int, typer.Option(help="At most how many rounds.", min=1)] = 1,
    set_: Set = None,
    as_json: AsJson = False,
) -> None:
    """Train students on the labels, let them look again, and take over what gold finds better, round after round."""
    from fld_engine.flows.prefect_server import prefect_api
    from fld_engine.flows.rounds import print_rounds

    _, config = existing_root(root, set_)
    with prefect_api():
        from fld_engine.flows.refine import refine_flow

        summary = refine_flow(config.model_dump(mode="json"), root, rounds)
    print_rounds(out, summary, as_json=as_json)


@app.command()
def serve(
    recipe: Recipe,
    root: Root,
    source: Sources = None,
    cron: Annotated[str | None, typer.Option(help="When to run, as a cron expression.")] = None,
    set_: Set = None,
) -> None:
    """Register a Prefect deployment of the whole road and wait for its runs. Needs PREFECT_API_URL."""
    from fld_engine.flows.road import run_flow

    if not os.environ.get("PREFECT_API_URL"):
        raise ConfigError("fld serve needs a Prefect server: run `prefect server start` and set PREFECT_API_URL")
    config = config_of(recipe, set_, source)
    parameters: dict[str, Any] = {"config": config.model_dump(mode="json"), "root": root}
    run_flow.serve(name=f"fld-{config.name}", parameters=parameters, cron=cron)


def _is_complete(plan: Plan) -> bool:
    return not any(plan.missing(step) for step in plan.steps) and export_is_current(plan, read_journal(plan.store))


def _run_flow(config: RunConfig, root: str) -> None:
    from fld_engine.flows.prefect_server import prefect_api

    with prefect_api():
        from fld_engine.flows.road import run_flow

        summary = run_flow(config.model_dump(mode="json"), root)
    times = ", ".join(f"{stage} {seconds:.1f} s" for stage, seconds in summary.seconds.items())
    out.print(f"done: {times}")
