"""A root whose specialist tells the truth, annotated without a model, with gold as a test wants it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from benchmarks.refinement.labels import true_labels
from benchmarks.refinement.root import write_sources
from benchmarks.refinement.scenes import Scene
from fld_engine.engine.plan.config import RunConfig, load_config
from fld_engine.engine.stages.annotate.stage import Annotate
from fld_engine.engine.stages.filter.stage import Filter
from fld_engine.engine.stages.ingest.stage import Ingest
from tests.refinement import followers
from tests.refinement.tiny import scenes
from tests.roots import opened


def annotated_root(
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    *,
    num: int,
    num_gold: int,
    say: Callable[[Sequence[Scene], Path], None],
    annotators: Mapping[str, tuple[str, dict[str, Any]]],
) -> tuple[Path, RunConfig]:
    """Ingested, annotated and decided by runner `local`; the root and its config.

    `say` rewrites the json of gold, given all scenes; the last `num_gold` are on it. `annotators` are names → (what to
    use, parameters), beside the specialist.
    """
    drawn = scenes(num, num_things=1)
    labels = [true_labels(scene, str(i)) for i, scene in enumerate(drawn)]
    monkeypatch.syspath_prepend(str(folder))
    sources = write_sources(folder, drawn, labels, num_gold=num_gold, seed=0, refine={})
    say(drawn, folder / "gold/gold.json")
    followers.install(folder / "site")
    monkeypatch.syspath_prepend(str(folder / "site"))
    config = load_config(str(sources.config))
    like = config.annotators["specialist"].model_copy
    more = {name: like(update={"use": use, "params": params}) for name, (use, params) in annotators.items()}
    config = config.model_copy(
        update={
            "annotators": {**config.annotators, **more},
            "runner": config.runner.model_copy(update={"kind": "local"}),
        }
    )
    with opened(folder / "root", config) as pipeline:
        pipeline.run(Ingest())
        pipeline.run(Annotate())
        pipeline.run(Filter())
    return folder / "root", config
