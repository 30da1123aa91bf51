"""The Prefect flows: one for the whole pipeline, one for each stage. Prefect moves stages and nothing smaller.

Resume never depends on Prefect: a task that runs again finds what is there already and does the rest.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from prefect import flow, task
from prefect.artifacts import create_table_artifact
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State, TaskRun
from prefect.tasks import Task as PrefectTask

from fld_engine.engine.data.journal import totals
from fld_engine.engine.data.unread import read_unread
from fld_engine.engine.inspect.losses import lost_sources
from fld_engine.engine.plan.config import RunConfig
from fld_engine.engine.plan.registry import stages_of_run
from fld_engine.engine.plan.stages import Stage
from fld_engine.engine.run.interrupt import interrupts
from fld_engine.engine.run.pipeline import Pipeline
from fld_engine.engine.stages.export.stage import export_folder
from fld_engine.engine.stages.export.verify import verify
from fld_engine.engine.stages.ingest.stage import Ingest
from fld_engine.flows.artifacts import key_of, progress_artifacts
from fld_engine.flows.asked import Asked, RunnerKind
from fld_engine.flows.attempts import recorded
from fld_engine.flows.models_here import require_models
from fld_engine.flows.prefect_logs import prefect_logs
from fld_engine.flows.progress import progress_bars
from fld_engine.flows.report import make_report
from fld_engine.flows.report_artifact import tell_of_report
from fld_engine.flows.start import begin
from fld_engine.flows.stoppable import stoppable
from fld_engine.flows.summary import RunSummary, make_summary
from fld_engine.schemas.errors import FldError, SourceError, TransportError, VerificationError

Row = dict[str, Any]


def _worth_retrying(_: PrefectTask[..., Any], __: TaskRun, state: State[Any]) -> bool:
    """Errors of our own say what is wrong and do not pass by waiting; those of a store may."""
    error = state.result(raise_on_failure=False)
    return isinstance(error, TransportError) or not isinstance(error, FldError)


def _task(name: str, do: Callable[[Pipeline], Row]) -> PrefectTask[[Pipeline], Row]:
    as_task = task(
        name=name,
        task_run_name=name,
        retries=2,
        retry_delay_seconds=5,
        retry_condition_fn=_worth_retrying,
        cache_policy=NO_CACHE,
        persist_result=False,
    )
    return as_task(do)


def _stage(stage: Stage[Any]) -> PrefectTask[[Pipeline], Row]:
    """A stage as a task; its row also says what models had to do with it."""

    def do(pipeline: Pipeline) -> Row:
        models, images = pipeline.work.models_loaded, pipeline.work.images_read
        row: Row = dict(stage.numbers(pipeline.run(stage)))
        if read := pipeline.work.images_read - images:
            row |= {"models_loaded": pipeline.work.models_loaded - models, "images_read": read}
        return row

    return _task(stage.name, do)


def check(pipeline: Pipeline) -> Row:
    """Read the whole export again."""
    folder = export_folder(pipeline.plan())
    report = verify(pipeline.store.path(folder) if pipeline.store.local else f"{pipeline.store.url}/{folder}")
    if report.problems:
        first = report.problems[0]
        raise VerificationError(
            f"{len(report.problems)} problems in {pipeline.store.url}/{folder}, the first: {first}; "
            "remove the shards it names and run again"
        )
    return {"problems": 0}


def report(pipeline: Pipeline) -> Row:
    """Write the pages."""
    paths = make_report(pipeline)
    tell_of_report(pipeline, paths[0])
    return {"pages": len(paths)}


CHECKS = {"verify": _task("verify", check), "report": _task("report", report)}
"""What looks at the result of all stages."""


def tasks_of(config: RunConfig) -> dict[str, PrefectTask[[Pipeline], Row]]:
    """Task by name, in the order of the pipeline: stages, exporters of the config, and what looks at the result."""
    return {stage.name: _stage(stage) for stage in stages_of_run(config)} | CHECKS


def _run_stages(asked: Asked, only: str = "") -> RunSummary:
    started, root = time.time(), asked.root
    begun = begin(asked)
    begun.require_yes()
    begun.require_work()
    begun.require_libraries()
    tasks = tasks_of(begun.config)
    stages = (only,) if only else tuple(tasks)
    seconds: dict[str, float] = {}
    rows: dict[str, Row] = {}
    store = begun.store
    store.open_root(create=True)
    with (
        prefect_logs(),
        progress_bars() as board,
        progress_artifacts(store, board),
        Pipeline(store, begun.config, board) as pipeline,
        recorded(pipeline, started, lambda: _summary(pipeline, root, rows, seconds)) as record,
    ):
        board.follow(pipeline)
        with board.doing("starting Ray" if begun.config.runner.kind == "ray" else "looking at this machine"):
            pipeline.preflight()
            require_models(pipeline)
        begun.keep(pipeline.store, pipeline.config)
        for stage in stages:
            record()  # the report tells of the very run that makes it
            with _timed(seconds, stage), board.stage(stage), interrupts().at(f"in {stage}"):
                rows[stage] = tasks[stage](pipeline)
            if stage == Ingest.name:
                refuse_lost_sources(pipeline)
        table = [{"stage": s, "seconds": round(seconds[s], 1), **_flat(rows[s])} for s in stages]
        create_table_artifact(key=key_of(store, "road"), table=table, description=f"Stages of {root}")
        record()
        return _summary(pipeline, root, rows, seconds)


def refuse_lost_sources(pipeline: Pipeline) -> None:
    """Raises `SourceError` where nothing of a source in the config can be used: no later stage makes that good.

    Where ingests of earlier versions left no accounts, nobody knows what they read, and nothing is refused; nor is it
    where chunks of a source are left for the next run.
    """
    journal = pipeline.journal()
    accounts = totals(journal).sources if all(ingest.sources for ingest in journal) else {}
    names = {spec.name for spec in pipeline.config.sources} - {one.source for one in read_unread(pipeline.store)}
    given = {name: account for name, account in accounts.items() if name in names}
    if lost := lost_sources(given, pipeline.config.limits):
        raise SourceError(
            f"{'; '.join(lost)}. Mend the source or its settings, or take it out of the config, and run again"
        )


def _summary(pipeline: Pipeline, root: str, rows: Mapping[str, Row], seconds: Mapping[str, float]) -> RunSummary:
    exported = rows.get("export", {})
    return make_summary(
        pipeline.config,
        root,
        rows.get("ingest", {}).get("new", 0),
        pipeline.work,
        (exported.get("samples", 0), exported.get("shards", 0)),
        rows.get("verify", {}).get("problems", 0),
        seconds,
        pipeline.meter.costs,
    )


def _flat(row: Row) -> Row:
    return {"result": ", ".join(f"{key} {value}" for key, value in row.items())}


@contextmanager
def _timed(seconds: dict[str, float], stage: str) -> Iterator[None]:
    begin = time.perf_counter()
    yield
    seconds[stage] = time.perf_counter() - begin


@flow(name="fld-run", flow_run_name="run of {root}", persist_result=False)
@stoppable
def run_flow(
    root: str,
    *,
    recipe: str | dict[str, Any] | None = None,
    sources: list[str | dict[str, Any]] | None = None,
    gold: list[str] | None = None,
    overrides: list[str] | None = None,
    runner: RunnerKind | None = None,
    workers: int | None = None,
    ray_address: str | None = None,
    metrics_port: int | None = None,
    yes: bool = False,
) -> RunSummary:
    """The whole pipeline on a root, doing only what is missing.

    Args:
        root: The dataset root, a folder or an fsspec URL; it is made where there is none.
        recipe: A recipe's name, a YAML file, or a config; without one, the root goes on with its own settings.
        sources: Sources to read, each an fsspec URL or a mapping such as {"url": ..., "name": ...}; they stay.
        gold: COCO json files whose annotations are the reference; they stay.
        overrides: Settings over the recipe, each `key.path=value`; they stay until they are changed.
        runner: Where tasks run, `local` or `ray`; it stays until it is changed.
        workers: Worker processes; 0 is one with `local`, all that fit with `ray`.
        ray_address: A running Ray cluster; `auto` finds it.
        metrics_port: Where the local runner serves metrics for Prometheus, a port of 127.0.0.1.
        yes: Change settings of the root that are not named here, such as overrides of earlier runs.
    """
    return _run_stages(
        Asked(
            root=root,
            recipe=recipe,
            sources=sources or (),
            gold=gold or (),
            overrides=overrides or (),
            runner=runner,
            workers=workers,
            ray_address=ray_address,
            metrics_port=metrics_port,
            yes=yes,
        )
    )


@flow(name="fld-stage", flow_run_name="{stage} {root}", persist_result=False)
@stoppable
def stage_flow(
    root: str,
    *,
    stage: str,
    recipe: str | dict[str, Any] | None = None,
    sources: list[str | dict[str, Any]] | None = None,
    overrides: list[str] | None = None,
    yes: bool = False,
) -> RunSummary:
    """One stage alone; the other parameters are those of the whole pipeline.

    Args:
        root: The dataset root, a folder or an fsspec URL.
        stage: The stage, such as `export`.
        recipe: A recipe's name, a YAML file, or a config; without one, the root goes on with its own settings.
        sources: Sources to read.
        overrides: Settings over the recipe, each `key.path=value`.
        yes: Change settings of the root that are not named here.
    """
    asked = Asked(root=root, recipe=recipe, sources=sources or (), overrides=overrides or (), yes=yes)
    return _run_stages(asked, stage)


STAGE_FLOWS = {stage: stage_flow.with_options(name=f"fld-{stage}") for stage in tasks_of(RunConfig())}
"""A flow for each stage, named after it: `STAGE_FLOWS["export"](root, stage="export")`."""
