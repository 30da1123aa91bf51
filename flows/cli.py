"""The command line, `fld`: the commands that make something. Those that look at it are in `flows.inspect`."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from fld_engine.engine.data.discovery import installed
from fld_engine.engine.data.libraries import MadeWith
from fld_engine.engine.data.store import Store
from fld_engine.engine.inspect.installed import settings_of
from fld_engine.engine.plan.config import ExporterConfig, RunConfig
from fld_engine.engine.plan.libraries import check_libraries, mark_made_with
from fld_engine.engine.plan.plan import Plan
from fld_engine.engine.plan.registry import EXPORTERS, build_exporter, exporter_names, pin, stages_of_run
from fld_engine.engine.run.logs import configure_logging
from fld_engine.engine.run.pipeline import Pipeline
from fld_engine.engine.stages.annotate.stage import Annotate
from fld_engine.engine.stages.export.stage import Export, export_folder
from fld_engine.engine.stages.filter.stage import Filter
from fld_engine.engine.stages.removal.request import parse_ids
from fld_engine.engine.stages.removal.stage import Remove
from fld_engine.flows.errors import arguments_of, told_to_people
from fld_engine.flows.inspect import inspect_app
from fld_engine.flows.installed import config_app, installed_app
from fld_engine.flows.models import models_app
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
from fld_engine.flows.root import existing_root, keep_config
from fld_engine.flows.surroundings import prepare
from fld_engine.flows.terminal import leave, out, print_status, warn_of_work_sets
from fld_engine.schemas.errors import ConfigError, unknown_name

HELP = """The data engine: specialists annotate, filters decide, verified shards come out.

Exit codes: 0 done; 1 failed; 2 bad usage, config or source; 3 done, with more lost, by failures, quarantine or refused
labels, than the config allows, or with chunks of the sources that could not be read and are left for the next run.

An error is one sentence; with --debug (anywhere, or FLD_DEBUG=1) its traceback is shown, too. docs/troubleshooting.md
says what to do about each.
"""
app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, help=HELP)
app.add_typer(inspect_app)
app.add_typer(installed_app)
app.add_typer(models_app, name="models")
app.add_typer(config_app, name="config")

SHARDS = "shards"


def main() -> None:
    """Entry point of the console command."""
    arguments = arguments_of(sys.argv[1:])
    with told_to_people():
        prepare()
        configure_logging()
        app(args=arguments)


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
    """Run the whole pipeline, doing only what is missing."""
    config = pin(
        config_of(recipe, set_, source, gold, runner=runner, workers=workers, address=ray_address), strict=True
    )
    store = Store(root)
    store.open_root(create=True)
    plan = plan_of_root(store, config)
    if not plan.partitions and not config.sources:
        raise ConfigError("nothing to run on: the root is empty and no --source was given")
    warn_of_work_sets(plan)
    if _is_complete(plan):
        keep_config(store, config)
        out.print(f"nothing to do: {root} is complete under this config (no model loaded, no image read)")
    else:
        _run_flow(config, root)
    print_status(plan_of_root(store, config))
    leave(plan_of_root(store, config))


@app.command()
def export(
    root: Root,
    set_: Set = None,
    format_: Annotated[
        str, typer.Option("--format", help="`shards`, or an exporter: `fld exporters` lists them.")
    ] = SHARDS,
    images: Annotated[bool, typer.Option("--images", help="Write the image files too, if the format can.")] = False,
    round_: AfterRound = None,
) -> None:
    """Write the shards and the manifest again from what is annotated, doing only what is missing; or another format."""
    if images and format_ == SHARDS:
        raise ConfigError("--images is for exporters of other formats, and shards hold their images: leave it out")
    store, config = existing_root(root, set_)
    exporter = None if format_ == SHARDS else _exporter(config, format_, images=images)
    with Pipeline(store, config, round_=round_) as pipeline:
        if round_ is not None:
            pipeline.run(Annotate())
        pipeline.run(Filter())
        plan, url = pipeline.plan(), root.rstrip("/")
        if exporter is not None:
            numbers = exporter.numbers(pipeline.run(exporter))
            wrote = ", ".join(f"{number} {what}" for what, number in numbers.items())
            out.print(f"{wrote}: {url}/{exporter.folder(plan)}")
            return
        check_libraries(plan, [Export()])
        summary = pipeline.run(Export())
    out.print(f"{summary.num_samples} samples in {summary.num_shards} shards: {url}/{export_folder(plan)}")


@app.command()
def replay(
    root: Root,
    made_with: Annotated[
        str | None,
        typer.Option(
            help="Instead, make whole outputs again that were made with this library, such as torch==2.13.0; "
            "`other`: with other versions than are installed here."
        ),
    ] = None,
    set_: Set = None,
) -> None:
    """Run the annotators again on the images that failed, and take in those that were refused under other limits."""
    from fld_engine.engine.stages.replay.marks import mark_failed, mark_refused

    store, config = existing_root(root, set_)
    wanted = MadeWith(made_with) if made_with is not None else None
    with Pipeline(store, config) as pipeline:
        plan = pipeline.plan()
        if wanted is not None:
            marked = [(mark_made_with(plan, wanted), "making {} outputs again")]
            nothing = f"no output was made with {made_with}"
        else:
            refused = "looking again at {} images that were refused under other limits"
            marked = [(mark_failed(plan), "replaying {} failed images"), (mark_refused(plan), refused)]
            nothing = "no annotator failed on any image, and none was refused under other limits"
    if not any(number for number, _ in marked):
        out.print(f"nothing to replay: {nothing}", markup=False)
        return
    for number, what in marked:
        if number:
            out.print(what.format(number))
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
    from fld_engine.flows.removal import print_removal

    store, config = existing_root(root, set_)
    if not ids.is_file():
        raise ConfigError(f"--ids {ids} is no file: expected a text file with one image id a line")
    wanted = parse_ids(ids.read_text(encoding="utf-8", errors="replace"), where=str(ids))
    with progress_bars() as watch, Pipeline(store, config, watch) as pipeline:
        report = pipeline.run(Remove(wanted))
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
    """Register a Prefect deployment of the whole pipeline and wait for its runs. Needs PREFECT_API_URL."""
    from fld_engine.flows.pipeline import run_flow
    from fld_engine.flows.prefect_reachable import check_cron, check_reachable

    if not (url := os.environ.get("PREFECT_API_URL")):
        raise ConfigError("fld serve needs a Prefect server: run `prefect server start` and set PREFECT_API_URL")
    check_cron(cron)
    check_reachable(url)
    config = config_of(recipe, set_, source)
    parameters: dict[str, Any] = {"config": config.model_dump(mode="json"), "root": root}
    run_flow.serve(name=f"fld-{config.name}", parameters=parameters, cron=cron)


def _exporter(config: RunConfig, name: str, *, images: bool) -> Any:
    """An exporter with the parameters that the config has for it, and with `--images`."""
    if name not in exporter_names():
        raise ConfigError(unknown_name("format", name, [SHARDS, *exporter_names()]))
    given = config.exporters.get(name, ExporterConfig())
    model = settings_of(installed(EXPORTERS)[name], "exporter")
    if images and (model is None or "images" not in model.model_fields):
        raise ConfigError(
            f"--images: exporter {name!r} has no parameter `images`; leave it out, see `fld exporters {name}`"
        )
    params = {**given.params, **({"images": True} if images else {})}
    return build_exporter(name, given.model_copy(update={"params": params}))


def _is_complete(plan: Plan) -> bool:
    return all(stage.is_current(plan) for stage in stages_of_run(plan.config))


def _run_flow(config: RunConfig, root: str) -> None:
    from fld_engine.flows.prefect_server import prefect_api

    with prefect_api():
        from fld_engine.flows.pipeline import run_flow

        summary = run_flow(config.model_dump(mode="json"), root)
    times = ", ".join(f"{stage} {seconds:.1f} s" for stage, seconds in summary.seconds.items())
    out.print(f"done: {times}")
