"""The Prefect flows: one for the whole pipeline, one for each stage. Prefect moves stages and nothing smaller.

Resume never depends on Prefect: a task that runs again finds what is there already and does the rest.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from prefect import flow, task
from prefect.artifacts import create_link_artifact, create_table_artifact
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State, TaskRun
from prefect.tasks import Task as PrefectTask

from fld_engine.engine.data.journal import totals
from fld_engine.engine.data.store import Store
from fld_engine.engine.data.unread import read_unread
from fld_engine.engine.inspect.losses import lost_sources
from fld_engine.engine.plan.config import RunConfig, parse_config
from fld_engine.engine.plan.registry import stages_of_run
from fld_engine.engine.plan.stages import Stage
from fld_engine.engine.run.pipeline import Pipeline
from fld_engine.engine.stages.export.stage import export_folder
from fld_engine.engine.stages.export.verify import verify
from fld_engine.engine.stages.ingest.stage import Ingest
from fld_engine.flows.models_here import require_models
from fld_engine.flows.progress import progress_bars
from fld_engine.flows.report import make_report
from fld_engine.flows.root import keep_config
from fld_engine.flows.summary import RunSummary, make_summary, record_attempt
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
    create_link_artifact(
        key="fld-report",
        link=_link(pipeline.store, paths[0]),
        link_text="Coverage report",
        description=pipeline.store.url,
    )
    return {"pages": len(paths)}


def _link(store: Store, path: str) -> str:
    """Where a browser finds a page: a file's address, or the object's own."""
    return Path(store.path(path)).absolute().as_uri() if store.local else f"{store.url}/{path}"


CHECKS = {"verify": _task("verify", check), "report": _task("report", report)}
"""What looks at the result of all stages."""


def tasks_of(config: RunConfig) -> dict[str, PrefectTask[[Pipeline], Row]]:
    """Task by name, in the order of the pipeline: stages, exporters of the config, and what looks at the result."""
    return {stage.name: _stage(stage) for stage in stages_of_run(config)} | CHECKS


def _run_stages(config: RunConfig, root: str, only: str = "") -> RunSummary:
    started = time.time()
    tasks = tasks_of(config)
    stages = (only,) if only else tuple(tasks)
    store = Store(root)
    seconds: dict[str, float] = {}
    rows: dict[str, Row] = {}
    store.open_root(create=True)
    with progress_bars() as watch, Pipeline(store, config, watch) as pipeline:
        pipeline.preflight()
        require_models(pipeline)
        keep_config(pipeline.store, config)
        for stage in stages:
            if stage == "report":  # it tells of the very run that makes it
                record_attempt(pipeline.store, started, _summary(pipeline, root, rows, seconds))
            with _timed(seconds, stage):
                rows[stage] = tasks[stage](pipeline)
            if stage == Ingest.name:
                refuse_lost_sources(pipeline)
        table = [{"stage": s, "seconds": round(seconds[s], 1), **_flat(rows[s])} for s in stages]
        create_table_artifact(key="fld-road", table=table, description=f"Stages of {root}")
        summary = _summary(pipeline, root, rows, seconds)
        record_attempt(pipeline.store, started, summary)
    return summary


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
    )


def _flat(row: Row) -> Row:
    return {"result": ", ".join(f"{key} {value}" for key, value in row.items())}


@contextmanager
def _timed(seconds: dict[str, float], stage: str) -> Iterator[None]:
    begin = time.perf_counter()
    yield
    seconds[stage] = time.perf_counter() - begin


@flow(name="fld-run", flow_run_name="run of {root}", validate_parameters=False, persist_result=False)
def run_flow(config: dict[str, Any], root: str) -> RunSummary:
    """The whole pipeline. `config` is a resolved `RunConfig` as a mapping: a deployment can be scheduled with it."""
    return _run_stages(parse_config(config, where="flow parameter `config`"), root)


@flow(name="fld-stage", flow_run_name="{stage} {root}", validate_parameters=False, persist_result=False)
def stage_flow(config: dict[str, Any], root: str, stage: str) -> RunSummary:
    """One stage alone."""
    return _run_stages(parse_config(config, where="flow parameter `config`"), root, stage)


STAGE_FLOWS = {stage: stage_flow.with_options(name=f"fld-{stage}") for stage in tasks_of(RunConfig())}
"""A flow for each stage, named after it: `STAGE_FLOWS["export"](config, root, "export")`."""
