"""`fld refine` as a Prefect flow: one task a round, ended by the gate or by drift."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from prefect import flow, task
from prefect.artifacts import create_table_artifact
from prefect.cache_policies import NO_CACHE

from fld_engine.engine.data.store import Store
from fld_engine.engine.plan.config import parse_config
from fld_engine.engine.plan.rounds import RoundRecord
from fld_engine.engine.run.pipeline import Pipeline
from fld_engine.engine.stages.annotate.stage import require_annotated
from fld_engine.engine.stages.filter.stage import Filter
from fld_engine.flows.progress import progress_bars
from fld_engine.refinement.loop.details import round_details
from fld_engine.refinement.loop.loop import Loop
from fld_engine.refinement.loop.settings import RefineConfig
from fld_engine.refinement.loop.sparse import SparseStep
from fld_engine.refinement.loop.stopping import why_not_teach, why_stop
from fld_engine.refinement.loop.summary import RefineSummary


@task(name="initial-labels", task_run_name="round 0", cache_policy=NO_CACHE, persist_result=False)
def initial_round(loop: Loop) -> RoundRecord:
    return loop.initial_round()


@task(name="round", task_run_name="round {number}", cache_policy=NO_CACHE, persist_result=False)
def refine_round(loop: Loop, number: int, before: RoundRecord) -> RoundRecord:
    return loop.round(number, before)


@task(name="sparse", task_run_name="round {number}: sparse tasks", cache_policy=NO_CACHE, persist_result=False)
def write_sparse(step: SparseStep, number: int, before: RoundRecord) -> RoundRecord:
    return step.round(number, before)


@flow(name="fld-refine", flow_run_name="refinement of {root}", validate_parameters=False, persist_result=False)
def refine_flow(config: dict[str, Any], root: str, rounds: int) -> RefineSummary:
    """Up to `rounds` rounds; ends before where gold finds nothing better, or the labels drift away.

    With `refine.sparse` one more round follows, in which a specialist writes the texts that are missing.
    """
    resolved = parse_config(config, where="flow parameter `config`")
    # workers of a training have a working directory of their own
    store = Store(root if "://" in root else os.path.abspath(root))
    with progress_bars() as watch, Pipeline(store, resolved, watch) as pipeline:
        require_annotated(pipeline.plan())
        pipeline.run(Filter())
        loop = Loop(pipeline, resolved.section("refine", RefineConfig))
        done = [initial_round(loop)]
        sparse = SparseStep(loop, loop.settings.sparse) if loop.settings.sparse else None
        if sparse is not None:
            sparse.count(done[0])  # the rounds before it take long: too few texts are said now
        ended = why_not_teach(loop.taught_folds(done[0]))
        while not ended:
            done.append(refine_round(loop, len(done), done[-1]))
            ended = why_stop(done[-1]) or (
                f"all {rounds} rounds are done" if len(done) > rounds else why_not_teach(loop.taught_folds(done[-1]))
            )
        final = loop.final(done)
        if sparse is not None:
            done.append(write_sparse(sparse, len(done), done[-1]))
        create_table_artifact(key="fld-refine", table=_rows(done), description=f"Rounds of {root}: {ended}")
        return RefineSummary(rounds=tuple(done), ended=ended, final=final, num_readings=loop.final_readings.count())


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
