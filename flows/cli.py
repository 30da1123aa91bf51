"""The command line, `fld`: the only place that prints.

Exit codes: 0 done; 1 failed; 2 bad usage or config; 3 done, with more failures or quarantine than the config allows.
"""

from __future__ import annotations

import json
import logging
import os
import sys
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from rich.console import Console
from rich.table import Table

from annotators.packaged.cache import cache_folder
from engine.config import RunConfig, dump_config, load_config
from engine.estimate import estimate
from engine.export.coco import export_coco
from engine.export.stage import export_is_current
from engine.ingest.ingest import new_chunks, read_journal, read_partitions
from engine.pipeline import Pipeline
from engine.plan import Plan, make_plan
from engine.protocols import Resources
from engine.registry import pin
from engine.removal.request import parse_ids
from engine.runners.logs import LEVEL_VARIABLE
from engine.store import Store
from flows.estimates import (
    Measured,
    estimate_table,
    measure,
    stated_rates,
    this_machine,
    training_estimate,
    training_table,
)
from flows.models import models_app
from flows.opening import CONFIG_FILE, existing_root
from flows.progress import progress_bars
from flows.report import NUM_IMAGES, report_root
from flows.samples import sample_sources
from flows.terminal import leave, out, print_explanation, print_status, warn_of_work_sets
from schemas.errors import ConfigError, FldError

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, help=__doc__)
app.add_typer(models_app, name="models")

Recipe = Annotated[str, typer.Argument(help="A recipe (demo, laptop) or a YAML file.")]
Sources = Annotated[
    list[str] | None, typer.Option("--source", help="Folder, tars, Parquet or COCO json; any fsspec URL.")
]
Gold = Annotated[list[str] | None, typer.Option("--gold", help="A COCO json whose annotations are the reference.")]
Root = Annotated[str, typer.Option("--root", help="Dataset root: a folder or an fsspec URL.")]
Runner = Annotated[str | None, typer.Option("--runner", help="local or ray.")]
Workers = Annotated[int | None, typer.Option("--workers", help="Worker processes; local: 1, ray: all that fit.")]
Address = Annotated[str | None, typer.Option("--ray-address", help="A running Ray cluster; `auto` finds it.")]
Set = Annotated[list[str] | None, typer.Option("--set", help="key.path=value, over the recipe.")]
Format = Literal["shards", "coco"]
AfterRound = Annotated[
    int | None, typer.Option("--round", help="The root as it stands after this round of refinement.", min=0)
]
AsJson = Annotated[bool, typer.Option("--json", help="Machine-readable output.")]


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


# ---------------------------------------------------------------- running


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
    config = pin(_config(recipe, source, gold, runner, workers, ray_address, set_), strict=True)
    store = Store(root)
    store.open_root(create=True)
    store.write_bytes(CONFIG_FILE, dump_config(config).encode())
    plan = _plan(store, config)
    if not plan.partitions and not config.sources:
        raise ConfigError("nothing to run on: the root is empty and no --source was given")
    warn_of_work_sets(plan)
    chunks = new_chunks(config, read_journal(store))
    if not chunks and _is_complete(plan):
        out.print(f"nothing to do: {root} is complete under this config (no model loaded, no image read)")
    else:
        _run_flow(config, root)
    print_status(_plan(store, config))
    leave(_plan(store, config))


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
    from engine.replay import mark_failed

    store, config = existing_root(root, set_)
    marked = mark_failed(_plan(store, config))
    if not marked:
        out.print("nothing to replay: no annotator failed on any image")
        return
    out.print(f"replaying {marked} failed images")
    _run_flow(config, root)
    print_status(_plan(store, config))


@app.command()
def remove(
    ids: Annotated[Path, typer.Option(help="A file with one image id a line.")],
    root: Root,
    set_: Set = None,
    as_json: AsJson = False,
) -> None:
    """Take images out of everything a root holds, and write its export again without them."""
    from flows.governance import print_removal

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
    from flows.prefect_server import prefect_api
    from flows.rounds import print_rounds

    _, config = existing_root(root, set_)
    with prefect_api():
        from flows.refine import refine_flow

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
    from flows.road import run_flow

    if not os.environ.get("PREFECT_API_URL"):
        raise ConfigError("fld serve needs a Prefect server: run `prefect server start` and set PREFECT_API_URL")
    config = _config(recipe, source, None, None, None, None, set_)
    parameters: dict[str, Any] = {"config": config.model_dump(mode="json"), "root": root}
    run_flow.serve(name=f"fld-{config.name}", parameters=parameters, cron=cron)


# ---------------------------------------------------------------- looking


@app.command()
def plan(
    recipe: Recipe,
    root: Root,
    source: Sources = None,
    gold: Gold = None,
    set_: Set = None,
    images: Annotated[int, typer.Option(help="Estimate for this many images instead of those that are missing.")] = 0,
    calibrate: Annotated[int, typer.Option(help="Run the annotators on the first N images, to know their rates.")] = 0,
    nodes: Annotated[int, typer.Option(help="Estimate for this many nodes; 0: this machine.")] = 0,
    node_cpus: Annotated[float, typer.Option(help="Cores of a node.")] = 64,
    node_gpus: Annotated[float, typer.Option(help="GPUs of a node.")] = 8,
    node_memory_gb: Annotated[float, typer.Option(help="Memory of a node.")] = 512,
    as_json: AsJson = False,
) -> None:
    """Say what a run would do and how long it would take, touching nothing of the root."""
    config = pin(_config(recipe, source, gold, None, None, None, set_), strict=False)
    store = Store(root)
    there = store.exists("root.json")
    if there:
        store.open_root(create=False)
    planned = _plan(store, config)
    chunks = len(new_chunks(config, read_journal(store)))
    missing = {step: sum(r.num_images for r in planned.missing(step)) for step in planned.steps}
    total = sum(r.num_images for r in planned.partitions)
    node = Resources(cpus=node_cpus, gpus=node_gpus, memory_mb=int(node_memory_gb * 1024))
    measured = measure(config, calibrate) if calibrate else Measured()
    training = training_estimate(config, measured)
    lanes = estimate(
        planned,
        {name: images or missing[name] for name in planned.graph.order},
        {**stated_rates(config), **measured.rates},
        [node] * nodes if nodes else [this_machine()],
    )
    if as_json:
        found: dict[str, Any] = {"new_source_chunks": chunks, "images": total, "missing_images": missing}
        if training:
            found["training"] = training.model_dump(mode="json")
        out.print_json(json.dumps({**found, "lanes": [lane.model_dump(mode="json") for lane in lanes]}))
        return
    out.print(f"{root}: {total} images ingested, {chunks} new source chunks to read")
    warn_of_work_sets(planned)
    table = Table("step", "model", "revision", "images to do", "of")
    for step, number in missing.items():
        model = planned.annotators[step].model if step in planned.annotators else None
        name, revision = (model.id, model.revision[:12] or "not pinned") if model else ("arithmetic", "")
        table.add_row(step, name, revision, str(number) + (" + new" if chunks else ""), str(total))
    out.print(table)
    if any(lane.images for lane in lanes):
        out.print(estimate_table(lanes))
    if training:
        out.print(training_table(training))


@app.command()
def status(root: Root, set_: Set = None, as_json: AsJson = False) -> None:
    """Say what was found, and what became of it."""
    store, config = existing_root(root, set_)
    print_status(_plan(store, config), as_json=as_json)


@app.command()
def explain(image_id: str, root: Root, set_: Set = None, as_json: AsJson = False) -> None:
    """Say for every annotation of an image why it was kept or dropped."""
    from engine.explain import explain as explain_image

    store, config = existing_root(root, set_)
    found = explain_image(_plan(store, config), image_id)
    if as_json:
        out.print_json(found.model_dump_json())
        return
    print_explanation(found)


@app.command()
def report(
    root: Annotated[str, typer.Argument(help="Dataset root.")],
    against: Annotated[str, typer.Option(help="Another root, or the same one, to compare with.")] = "",
    set_: Set = None,
    against_set: Annotated[list[str] | None, typer.Option(help="key.path=value, over the other's config.")] = None,
    words: Annotated[str, typer.Option(help="`coco`, `lvis`, `openimages`, or a file of names.")] = "",
    floor: Annotated[int, typer.Option(help="Regions that a word of the list should have.")] = 10,
    images: Annotated[int, typer.Option(help="Images of the gallery.")] = NUM_IMAGES,
    round_: AfterRound = None,
    against_round: Annotated[int | None, typer.Option(help="A round of the other root.", min=0)] = None,
) -> None:
    """Write pages that say what is in a root, beside FLD-5B, and what changed: ROOT/report/index.html."""
    other = (against, tuple(against_set or ()), against_round) if against else None
    paths = report_root(
        root, tuple(set_ or ()), other, round_=round_, words=words, words_floor=floor, num_images=images
    )  # fmt: skip
    out.print(f"{len(paths)} pages: {root.rstrip('/')}/{paths[0]}")


@app.command()
def verify(
    directory: Annotated[str, typer.Argument(help="An export: a folder or an fsspec URL.")],
    sums: Annotated[bool, typer.Option("--sums", help="Compare sha256 alone, and parse no sample: faster.")] = False,
) -> None:
    """Read every byte of an export again and compare it with the manifest."""
    from engine.export.verify import verify as verify_export

    report = verify_export(directory, sums_only=sums)
    for problem in report.problems:
        out.print(str(problem), markup=False)
    if report.problems:
        out.print(f"{len(report.problems)} problems in {directory}")
        raise typer.Exit(1)
    out.print(f"{report.shards} shards, {report.samples} samples: all as the manifest says")


@app.command()
def diff(
    old: Annotated[str, typer.Argument(help="An export: a folder or an fsspec URL.")],
    new: Annotated[str, typer.Argument(help="Another.")],
    as_json: AsJson = False,
) -> None:
    """Say what is different between two exports: samples, shards, specialists, filters, config."""
    from engine.export.diff import diff as diff_exports
    from flows.governance import print_diff

    with progress_bars() as watch:
        found = diff_exports(old, new, watch)
    print_diff(out, found, as_json=as_json)


# ---------------------------------------------------------------- helpers


def _config(
    recipe: str,
    sources: list[str] | None,
    gold: list[str] | None,
    runner: str | None,
    workers: int | None,
    address: str | None,
    overrides: list[str] | None,
) -> RunConfig:
    extra: dict[str, Any] = {"runner": {}}
    given = [{"url": url} for url in sources or ()] + [{"url": url, "gold": True} for url in gold or ()]
    if given:
        extra["sources"] = given
    for key, value in (("kind", runner), ("workers", workers), ("ray_address", address)):
        if value is not None:
            extra["runner"][key] = value
    config = load_config(recipe, overrides or (), extra=extra)
    if recipe == "demo" and not config.sources:
        extra["sources"] = sample_sources(cache_folder() / "samples")
        config = load_config(recipe, overrides or (), extra=extra)
    return config


def _plan(store: Store, config: RunConfig) -> Plan:
    return make_plan(store, config, read_partitions(read_journal(store)))


def _is_complete(plan: Plan) -> bool:
    return not any(plan.missing(step) for step in plan.steps) and export_is_current(plan, read_journal(plan.store))


def _run_flow(config: RunConfig, root: str) -> None:
    from flows.prefect_server import prefect_api

    with prefect_api():
        from flows.road import run_flow

        summary = run_flow(config.model_dump(mode="json"), root)
    times = ", ".join(f"{stage} {seconds:.1f} s" for stage, seconds in summary.seconds.items())
    out.print(f"done: {times}")
