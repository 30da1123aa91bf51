"""Whether the packaged models that a run will load are on this machine: asked before any work, not after an ingest."""

from __future__ import annotations

from fld_engine.annotators.assets.prepare import is_ready
from fld_engine.engine.plan.protocols import Packaged
from fld_engine.engine.run.pipeline import Pipeline
from fld_engine.engine.stages.ingest.ingest import new_chunks
from fld_engine.schemas.errors import ModelError


def require_models(pipeline: Pipeline) -> None:
    """Raises `ModelError` for models that are not prepared here, where an annotator with work to do loads them.

    What the nodes of a cluster have is for them to say.
    """
    if pipeline.config.runner.kind == "ray" and pipeline.config.runner.ray_address:
        return
    plan = pipeline.plan()
    absent = {
        name: [model for model in annotator.packaged if not is_ready(model)]
        for name, annotator in plan.annotators.items()
        if isinstance(annotator, Packaged)
    }
    absent = {name: models for name, models in absent.items() if models}
    if not absent:
        return
    if plan.partitions and not new_chunks(pipeline.store, pipeline.config, pipeline.journal()):
        absent = {name: models for name, models in absent.items() if plan.missing(name)}
    if absent:
        models = ", ".join(sorted({model for models in absent.values() for model in models}))
        raise ModelError(
            f"models that annotators {', '.join(absent)} load are not on this machine: {models}. Fetch them once with "
            "`fld models pull`, with the recipe's name to have its own alone, and run again; nothing was begun"
        )
