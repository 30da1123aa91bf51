"""`fld refine` as a Prefect flow: one task a round, ended by the gate or by drift."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from prefect import flow, task
from prefect.artifacts import create_table_artifact
from prefect.cache_policies import NO_CACHE

from fld_engine.engine.plan.rounds import RoundRecord
from fld_engine.engine.run.interrupt import interrupts
from fld_engine.engine.run.pipeline import Pipeline
from fld_engine.engine.stages.annotate.stage import require_annotated
from fld_engine.engine.stages.filter.stage import Filter
from fld_engine.flows.artifacts import key_of, progress_artifacts
from fld_engine.flows.asked import Asked
from fld_engine.flows.attempts import recorded
from fld_engine.flows.places import absolute
from fld_engine.flows.prefect_logs import prefect_logs
from fld_engine.flows.progress import progress_bars
from fld_engine.flows.start import begin
from fld_engine.flows.stoppable import stoppable
from fld_engine.flows.summary import RunSummary, make_summary
from fld_engine.refinement.loop.details import round_details
from fld_engine.refinement.loop.loop import Loop
from fld_engine.refinement.loop.settings import RefineConfig
from fld_engine.refinement.loop.sparse import SparseStep
from fld_engine.refinement.loop.stopping import why_not_teach, why_stop
from fld_engine.refinement.loop.summary import RefineSummary


@task(name="initial-labels", task_run_name="round 0", cache_policy=NO_CACHE, persist_result=False)
def initial_round(loop: Loop) -> RoundRecord:
    with interrupts().at("in round 0"):
        return loop.initial_round()


@task(name="round", task_run_name="round {number}", cache_policy=NO_CACHE, persist_result=False)
def refine_round(loop: Loop, number: int, before: RoundRecord) -> RoundRecord:
    with interrupts().at(f"in round {number}"):
        return loop.round(number, before)


@task(name="sparse", task_run_name="round {number}: sparse tasks", cache_policy=NO_CACHE, persist_result=False)
def write_sparse(step: SparseStep, number: int, before: RoundRecord) -> RoundRecord:
    with interrupts().at(f"in round {number}"):
        return step.round(number, before)


@flow(name="fld-refine", flow_run_name="refinement of {root}", persist_result=False)
@stoppable
def refine_flow(root: str, *, rounds: int = 1, overrides: list[str] | None = None) -> RefineSummary:
    """Up to `rounds` rounds; ends before where gold finds nothing better, or the labels drift away.

    With `refine.sparse` one more round follows, in which a specialist writes the texts that are missing.

    Args:
        root: The dataset root, a folder or an fsspec URL.
        rounds: At most how many rounds.
        overrides: Settings over the root's own, each `key.path=value`; they stay until they are changed.
    """
    started = time.time()
    begun = begin(Asked(root=absolute(root), overrides=overrides or ()))  # training workers have a folder of their own
    begun.require_libraries(refine=True)
    store = begun.store
    with (
        prefect_logs(),
        progress_bars() as board,
        progress_artifacts(store, board),
        Pipeline(store, begun.config, board) as pipeline,
        recorded(pipeline, started, lambda: _attempt(pipeline, root, started)) as record,
    ):
        board.follow(pipeline)
        require_annotated(pipeline.plan())
        begun.keep(pipeline.store, begun.config)
        pipeline.run(Filter())
        loop = Loop(pipeline, begun.config.section("refine", RefineConfig))
        with board.stage("round 0"):
            done = [initial_round(loop)]
        sparse = SparseStep(loop, loop.settings.sparse) if loop.settings.sparse else None
        if sparse is not None:
            sparse.count(done[0])  # the rounds before it take long: too few texts are said now
        ended = why_not_teach(loop.taught_folds(done[0]))
        while not ended:
            with board.stage(f"round {len(done)}"):
                done.append(refine_round(loop, len(done), done[-1]))
            ended = why_stop(done[-1]) or (
                f"all {rounds} rounds are done" if len(done) > rounds else why_not_teach(loop.taught_folds(done[-1]))
            )
        final = loop.final(done)
        if sparse is not None:
            with board.stage(f"round {len(done)}: sparse tasks"):
                done.append(write_sparse(sparse, len(done), done[-1]))
        record()
        create_table_artifact(key=key_of(store, "refine"), table=_rows(done), description=f"Rounds of {root}: {ended}")
        return RefineSummary(rounds=tuple(done), ended=ended, final=final, num_readings=loop.final_readings.count())


def _attempt(pipeline: Pipeline, root: str, started: float) -> RunSummary:
    """The line of the refinement in the history of its root, for what it costs; it ingests and exports nothing."""
    seconds = {"refine": time.time() - started}
    return make_summary(pipeline.config, root, 0, pipeline.work, (0, 0), 0, seconds, pipeline.meter.costs)


def _rows(rounds: Sequence[RoundRecord]) -> list[dict[str, Any]]:
    return [
        {
            "round": record.number,
            **{gate.specialist: f"{gate.metric} {gate.before:.3f} -> {gate.after:.3f}" for gate in record.gates},
            "accepted": ", ".join(gate.specialist for gate in record.gates if gate.accepted),
            "edits": round_details(record).num_edits if record.number else 0,
        }
        for record in rounds
    ]
