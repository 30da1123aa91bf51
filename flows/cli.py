"""The command line, `fld`: the commands that make something. Those that look at it are in `flows.inspect`."""

from __future__ import annotations

import logging
import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from fld_engine.engine.data.libraries import MadeWith
from fld_engine.engine.plan.libraries import mark_made_with, not_made_again
from fld_engine.engine.run.logs import configure_logging
from fld_engine.engine.run.pipeline import Pipeline
from fld_engine.engine.stages.removal.request import parse_ids
from fld_engine.engine.stages.removal.stage import Remove
from fld_engine.flows import api, settings
from fld_engine.flows.asked import Asked
from fld_engine.flows.doctor.command import doctor_app
from fld_engine.flows.doctor.machine import release
from fld_engine.flows.errors import arguments_of, told_to_people
from fld_engine.flows.gc import gc_app
from fld_engine.flows.inspect import inspect_app
from fld_engine.flows.installed import config_app, installed_app
from fld_engine.flows.look import look_app
from fld_engine.flows.models import models_app
from fld_engine.flows.options import (
    Address,
    AfterRound,
    AsJson,
    Gold,
    LogFormat,
    MetricsPort,
    Root,
    RootIfRecipe,
    RootOrRecipe,
    Runner,
    Set,
    Sources,
    Workers,
    Yes,
    plan_of_root,
    root_and_recipe,
)
from fld_engine.flows.progress import progress_bars
from fld_engine.flows.root import existing_root
from fld_engine.flows.start import begin, run_root, start_flow
from fld_engine.flows.surroundings import prepare
from fld_engine.flows.terminal import confirm, leave, out, print_status, print_times, tell
from fld_engine.schemas.errors import ConfigError

log = logging.getLogger(__name__)

HELP = """The data engine: specialists annotate, filters decide, verified shards come out.

Exit codes: 0 done; 1 failed; 2 bad usage, config or source; 3 done, with more lost, by failures, quarantine or refused
labels, than the config allows, or with chunks of the sources that could not be read and are left for the next run;
130 stopped by Ctrl-C (SIGINT), 143 by SIGTERM: the same command goes on.

An error is one sentence; with --debug (anywhere, or FLD_DEBUG=1) its traceback is shown, too. docs/troubleshooting.md
says what to do about each.
"""
app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False, help=HELP)
app.add_typer(inspect_app)
app.add_typer(look_app)
app.add_typer(doctor_app)
app.add_typer(gc_app)
app.add_typer(installed_app)
app.add_typer(models_app, name="models")
app.add_typer(config_app, name="config")
config_app.command("show")(settings.show)
app.command("init")(settings.init)


def main() -> None:
    """Entry point of the console command."""
    arguments = arguments_of(sys.argv[1:])
    with told_to_people():
        prepare()
        configure_logging()
        app(args=arguments)


def _print_version(asked: bool) -> None:
    if asked:
        out.print(f"fld-engine {release()}")
        raise typer.Exit


@app.callback()
def options(
    _version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version, and end.")
    ] = False,
) -> None:
    """What comes before any command."""


@app.command()
def run(
    root_or_recipe: RootOrRecipe = "",
    root: RootIfRecipe = "",
    source: Sources = None,
    gold: Gold = None,
    runner: Runner = None,
    workers: Workers = None,
    ray_address: Address = None,
    metrics_port: MetricsPort = None,
    set_: Set = None,
    yes: Yes = False,
    log_format: LogFormat = None,
) -> None:
    """Run the whole pipeline, doing only what is missing; a root goes on with the settings it has."""
    place, recipe = root_and_recipe(root_or_recipe, root)
    asked = Asked(
        root=place,
        recipe=recipe,
        sources=source or (),
        gold=gold or (),
        overrides=set_ or (),
        runner=runner,
        workers=workers,
        ray_address=ray_address,
        metrics_port=metrics_port,
        yes=yes,
    )
    summary = run_root(asked, tell, confirm)
    if summary is None:
        out.print(f"nothing to do: {place} is complete under this config (no model loaded, no image read)")
    else:
        print_times(summary)
    plan = plan_of_root(*existing_root(place, ()))
    print_status(plan)
    leave(plan)


@app.command()
def export(
    root: Root,
    set_: Set = None,
    format_: Annotated[
        str, typer.Option("--format", help="`shards`, or an exporter: `fld exporters` lists them.")
    ] = api.SHARDS,
    images: Annotated[bool, typer.Option("--images", help="Write the image files too, if the format can.")] = False,
    round_: AfterRound = None,
) -> None:
    """Write the shards and the manifest again from what is annotated, doing only what is missing; or another format."""
    done = api.export(root, format=format_, images=images, round=round_, overrides=set_ or ())
    if format_ == api.SHARDS:
        out.print(f"{done.numbers['samples']} samples in {done.numbers['shards']} shards: {done.url}")
    else:
        out.print(f"{', '.join(f'{number} {what}' for what, number in done.numbers.items())}: {done.url}")


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
    fetch: Annotated[
        bool,
        typer.Option(
            "--fetch",
            help="Instead, ask again for addresses that may answer now: timeouts, broken connections, 5xx, 429, DNS. "
            "What is final, such as 404 or an opt-out, is never asked again.",
        ),
    ] = False,
    set_: Set = None,
    log_format: LogFormat = None,
) -> None:
    """Run the annotators again on the images that failed, and take in those that were refused under other limits."""
    from fld_engine.engine.stages.fetch.again import mark_unfetched
    from fld_engine.engine.stages.replay.marks import is_unfinished, mark_failed, mark_refused

    asked = Asked(root=root, overrides=set_ or ())
    begun = begin(asked)
    wanted = MadeWith(made_with) if made_with is not None else None
    with Pipeline(begun.store, begun.config) as pipeline:
        plan = pipeline.plan()
        if wanted is not None:
            marked = [(mark_made_with(plan, wanted), "making {} outputs again")]
            for what in not_made_again(plan, wanted):
                out.print(what, markup=False)
            nothing = f"no output was made with {made_with}"
        elif fetch:
            marked = [(mark_unfetched(pipeline.store, pipeline.config), "asking again for {} addresses")]
            nothing = "every address was fetched, or has an answer that is final"
        else:
            refused = "looking again at {} images that were refused under other limits"
            marked = [(mark_failed(plan), "replaying {} failed images"), (mark_refused(plan), refused)]
            nothing = "no annotator failed on any image, and none was refused under other limits"
        goes_on = not any(number for number, _ in marked) and is_unfinished(plan)
    if goes_on:
        out.print("going on with a replay that was interrupted")
    elif not any(number for number, _ in marked):
        out.print(f"nothing to replay: {nothing}", markup=False)
        return
    for number, what in marked:
        if number:
            out.print(what.format(number))
    print_times(start_flow(asked))
    print_status(plan_of_root(*existing_root(root, ())))


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
    log_format: LogFormat = None,
) -> None:
    """Train students on the labels, let them look again, and take over what gold finds better, round after round."""
    from fld_engine.flows.rounds import print_rounds

    print_rounds(out, api.refine(root, rounds=rounds, overrides=set_ or ()), as_json=as_json)


@app.command()
def serve(
    root_or_recipe: RootOrRecipe,
    root: RootIfRecipe = "",
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
    place, recipe = root_and_recipe(root_or_recipe, root)
    asked = Asked(root=place, recipe=recipe, sources=source or (), overrides=set_ or ()).from_anywhere()
    name = begin(asked).config.name
    run_flow.serve(name=f"fld-{name}", parameters=asked.parameters, cron=cron)
