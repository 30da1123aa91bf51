"""The commands that look at a root or an export and change no label: plan, status, explain, report, verify, diff."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from fld_engine.flows.asked import Asked
from fld_engine.flows.estimates import nodes_on_paper
from fld_engine.flows.forecast import forecast, print_forecast
from fld_engine.flows.options import (
    AfterRound,
    AsJson,
    Gold,
    Root,
    RootIfRecipe,
    RootOrRecipe,
    Set,
    Sources,
    plan_of_root,
    require,
    root_and_recipe,
)
from fld_engine.flows.progress import progress_bars
from fld_engine.flows.report import NUM_IMAGES, read_runs, report_root
from fld_engine.flows.root import existing_root
from fld_engine.flows.start import begin
from fld_engine.flows.terminal import out, print_explanation, print_status

inspect_app = typer.Typer()

Image = Annotated[
    str, typer.Argument(help="An image's id, the beginning of one, a file's name, or its path in its source.")
]


@inspect_app.command()
def plan(
    root_or_recipe: RootOrRecipe = "",
    root: RootIfRecipe = "",
    source: Sources = None,
    gold: Gold = None,
    set_: Set = None,
    images: Annotated[
        int, typer.Option(help="Estimate for this many images instead of those that are missing.", min=0)
    ] = 0,
    calibrate: Annotated[
        int, typer.Option(help="Run the annotators on the first N images, to know their rates.", min=0)
    ] = 0,
    nodes: Annotated[int, typer.Option(help="Estimate for this many nodes; 0: this machine.", min=0)] = 0,
    node_cpus: Annotated[float | None, typer.Option(help="Cores of a node: 64 with --nodes.", min=0.1)] = None,
    node_gpus: Annotated[float | None, typer.Option(help="GPUs of a node: 8 with --nodes.", min=0)] = None,
    node_memory_gb: Annotated[float | None, typer.Option(help="Memory of a node: 512 with --nodes.", min=0.1)] = None,
    as_json: AsJson = False,
) -> None:
    """Say what a run would do and how long it would take, touching nothing of the root."""
    on_paper = nodes_on_paper(nodes, cpus=node_cpus, gpus=node_gpus, memory_gb=node_memory_gb)
    root, recipe = root_and_recipe(root_or_recipe, root)
    begun = begin(Asked(root=root, recipe=recipe, sources=source or (), gold=gold or (), overrides=set_ or ()))
    found = forecast(begun, images=images, calibrate=calibrate, on_paper=on_paper)
    if as_json:
        out.print_json(json.dumps(found.tree()))
    else:
        print_forecast(out, found)


@inspect_app.command()
def status(
    root: Root,
    set_: Set = None,
    costs: Annotated[
        bool, typer.Option("--costs", help="Instead, hours, requests and bytes, also for each kept annotation.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Say what was found, and what became of it."""
    store, config = existing_root(root, set_)
    planned = plan_of_root(store, config)
    if not costs:
        print_status(planned, as_json=as_json)
        return
    from fld_engine.engine.inspect.costs import read_costs
    from fld_engine.flows.costs import print_costs

    spent = read_costs(planned, read_runs(store))
    if as_json:
        out.print_json(spent.model_dump_json())
    else:
        print_costs(out, spent)


@inspect_app.command()
def explain(image: Image, root: Root, set_: Set = None, as_json: AsJson = False) -> None:
    """Say for every annotation of an image why it was kept or dropped."""
    from fld_engine.engine.inspect.explain import explain as explain_image

    store, config = existing_root(root, set_)
    found = explain_image(plan_of_root(store, config), image)
    if as_json:
        out.print_json(found.model_dump_json())
        return
    print_explanation(found)


@inspect_app.command()
def report(
    root: Annotated[str, typer.Argument(help="Dataset root.")],
    against: Annotated[str, typer.Option(help="Another root, or the same one, to compare with.")] = "",
    set_: Set = None,
    against_set: Annotated[list[str] | None, typer.Option(help="key.path=value, over the other's config.")] = None,
    words: Annotated[str, typer.Option(help="`coco`, `lvis`, `openimages`, or a file of names.")] = "",
    floor: Annotated[
        int | None, typer.Option(help="Regions that a word of the list should have: 10.", min=0, show_default=False)
    ] = None,
    images: Annotated[int, typer.Option(help="Images of the gallery.", min=0)] = NUM_IMAGES,
    round_: AfterRound = None,
    against_round: Annotated[int | None, typer.Option(help="A round of the other root.", min=0)] = None,
) -> None:
    """Write pages that say what is in a root, beside FLD-5B, and what changed: ROOT/report/index.html."""
    require("--words", words, {"--floor": floor})
    require("--against", against, {"--against-set": against_set, "--against-round": against_round})
    other = (against, tuple(against_set or ()), against_round) if against else None
    least = 10 if floor is None else floor
    paths = report_root(
        root, tuple(set_ or ()), other, round_=round_, words=words, words_floor=least, num_images=images
    )  # fmt: skip
    out.print(f"{len(paths)} pages: {root.rstrip('/')}/{paths[0]}")


@inspect_app.command()
def verify(
    directory: Annotated[str, typer.Argument(help="An export: a folder or an fsspec URL.")],
    sums: Annotated[bool, typer.Option("--sums", help="Compare sha256 alone, and parse no sample: faster.")] = False,
) -> None:
    """Read every byte of an export again and compare it with the manifest."""
    from fld_engine.engine.stages.export.verify import verify as verify_export

    report = verify_export(directory, sums_only=sums)
    for problem in report.problems:
        out.print(str(problem), markup=False)
    if report.problems:
        out.print(f"{len(report.problems)} problems in {directory}")
        raise typer.Exit(1)
    out.print(f"{report.shards} shards, {report.samples} samples: all as the manifest says")


@inspect_app.command()
def diff(
    old: Annotated[str, typer.Argument(help="An export: a folder or an fsspec URL.")],
    new: Annotated[str, typer.Argument(help="Another.")],
    as_json: AsJson = False,
) -> None:
    """Say what is different between two exports: samples, shards, specialists, filters, config."""
    from fld_engine.engine.stages.export.diff import diff as diff_exports
    from fld_engine.flows.removal import print_diff

    with progress_bars() as watch:
        found = diff_exports(old, new, watch)
    print_diff(out, found, as_json=as_json)
