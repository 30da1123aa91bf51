"""What Python programs do with a dataset root: the functions behind `from fld_engine import …`, and behind `fld`.

Importing this module loads neither Prefect nor Ray nor a model library; a run does.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from fld_engine.engine.data.discovery import installed
from fld_engine.engine.data.journal import read_journal
from fld_engine.engine.data.kept_rows import judged
from fld_engine.engine.data.partition import load_view
from fld_engine.engine.data.status import StatusReport
from fld_engine.engine.data.store import Store
from fld_engine.engine.inspect.explain import Explanation
from fld_engine.engine.inspect.installed import settings_of
from fld_engine.engine.plan.config import ExporterConfig, RunConfig
from fld_engine.engine.plan.libraries import check_libraries
from fld_engine.engine.plan.plan import Plan
from fld_engine.engine.plan.registry import EXPORTERS, build_exporter, exporter_names
from fld_engine.engine.run.pipeline import Pipeline
from fld_engine.engine.stages.annotate.stage import Annotate
from fld_engine.engine.stages.coverage.stage import committed
from fld_engine.engine.stages.export.stage import Export, export_folder
from fld_engine.engine.stages.filter.stage import Filter
from fld_engine.flows.asked import Asked, RunnerKind
from fld_engine.flows.options import plan_of_root
from fld_engine.flows.root import existing_root
from fld_engine.flows.start import begin, run_root
from fld_engine.flows.surroundings import prepare
from fld_engine.schemas.annotations import Frozen
from fld_engine.schemas.errors import ConfigError, unknown_name
from fld_engine.schemas.tables import VERDICT_TARGETS

if TYPE_CHECKING:
    from fld_engine.refinement.loop.summary import RefineSummary

SHARDS = "shards"
Path = str | os.PathLike[str]
Settings = Mapping[str, Any] | Sequence[str]
"""Settings over a recipe: by their dotted path, or as lines `key.path=value`."""


class Exported(Frozen):
    """What an export wrote: where it lies, and what it counts, such as `samples` and `shards`."""

    url: str
    numbers: Mapping[str, int]


class DatasetRoot:
    """A root that a run has begun its work on, to be looked at; `config` is what it goes by."""

    def __init__(self, url: str, overrides: Sequence[str] = ()) -> None:
        """Raises `RootError` where no root is, or no run began."""
        self.url = url.rstrip("/")
        self.store: Store
        self.config: RunConfig
        self.store, self.config = existing_root(url, overrides)

    def __repr__(self) -> str:
        return f"DatasetRoot({self.url!r})"

    @property
    def plan(self) -> Plan:
        """What is there and what is missing, read anew."""
        return plan_of_root(self.store, self.config)

    @property
    def export_url(self) -> str:
        """Where the shards lie, or will."""
        return f"{self.url}/{export_folder(self.plan)}"

    def status(self) -> StatusReport:
        """What was found, and what became of it."""
        from fld_engine.engine.inspect.status import read_status

        return read_status(self.plan, read_journal(self.store))

    def explain(self, image: str) -> Explanation:
        """Why each annotation of an image was kept or dropped; the beginning of an id, or a file's name, is enough.

        Raises `ConfigError` where no image, or several, are meant.
        """
        from fld_engine.engine.inspect.explain import explain

        return explain(self.plan, image)

    def tables(self, name: str) -> Iterator[pa.Table]:
        """The rows of a table, such as `regions` or `texts`, one Arrow table a partition, with their verdicts.

        Columns `kept`, `reason` and `chosen` say what the filters decided; gold is not among the rows. Raises
        `ConfigError` for a name that there is not.
        """
        if name not in VERDICT_TARGETS:
            raise ConfigError(unknown_name("table", name, VERDICT_TARGETS))
        plan = self.plan
        for record in plan.partitions:
            yield judged(load_view(self.store, record, committed(plan, record)), name)


def open_root(root: Path) -> DatasetRoot:
    """A root, to be looked at. Raises `RootError` where none is, or no run has begun its work on it."""
    return DatasetRoot(os.fspath(root))


def run(
    recipe: Path | Mapping[str, Any] | RunConfig | None = None,
    *,
    root: Path,
    sources: Sequence[Path | Mapping[str, Any]] = (),
    gold: Sequence[Path] = (),
    overrides: Settings = (),
    runner: RunnerKind | None = None,
    workers: int | None = None,
    ray_address: str | None = None,
    metrics_port: int | None = None,
    yes: bool = False,
) -> DatasetRoot:
    """Run the whole pipeline on a root, doing only what is missing, as `fld run` does.

    `recipe` is the name of one, a YAML file, or a config; without one, the root goes on with its own settings. With
    `yes`, settings of the root may change though they are not named. A program that calls this from a script starts
    worker processes: guard it by `if __name__ == "__main__":`.

    Raises `ConfigError` for wrong settings, `SourceError`, `RootError`, and all other errors of a run (`FldError`).
    """
    prepare()
    run_root(
        Asked(
            root=os.fspath(root),
            recipe=_recipe(recipe),
            sources=[one if isinstance(one, Mapping) else os.fspath(one) for one in sources],
            gold=[os.fspath(one) for one in gold],
            overrides=_lines(overrides),
            runner=runner,
            workers=workers,
            ray_address=ray_address,
            metrics_port=metrics_port,
            yes=yes,
        )
    )
    return open_root(root)


def refine(root: Path, *, rounds: int = 1, overrides: Settings = ()) -> RefineSummary:
    """Train students on the labels of a root and take over what gold finds better, for at most `rounds` rounds.

    Raises `ConfigError` where the extra `refine` is not installed, and all errors of a run.
    """
    from fld_engine.flows.prefect_server import prefect_api

    prepare()
    url, lines = os.fspath(root), list(_lines(overrides))
    begin(Asked(root=url, overrides=lines)).require_libraries(refine=True)
    with prefect_api():
        from fld_engine.flows.refine import refine_flow

        summary: RefineSummary = refine_flow(url, rounds=rounds, overrides=lines)
        return summary


def export(
    root: Path, *, format: str = SHARDS, images: bool = False, round: int | None = None, overrides: Settings = ()
) -> Exported:
    """Write the shards of a root again, doing only what is missing; or another format, by its exporter's name.

    `images` has an exporter write the image files too, if it can; `round` takes the root as it stands after that round
    of refinement. Raises `ConfigError` for a format that is not installed.
    """
    if images and format == SHARDS:
        raise ConfigError("--images is for exporters of other formats, and shards hold their images: leave it out")
    store, config = existing_root(os.fspath(root), _lines(overrides))
    exporter = None if format == SHARDS else _exporter(config, format, images=images)
    with Pipeline(store, config, round_=round) as pipeline:
        if round is not None:
            pipeline.run(Annotate())
        pipeline.run(Filter())
        plan = pipeline.plan()
        if exporter is not None:
            numbers = exporter.numbers(pipeline.run(exporter))
            return Exported(url=f"{store.url}/{exporter.folder(plan)}", numbers=numbers)
        check_libraries(plan, [Export()])
        summary = pipeline.run(Export())
    numbers = {"samples": summary.num_samples, "shards": summary.num_shards}
    return Exported(url=f"{store.url}/{export_folder(plan)}", numbers=numbers)


def _recipe(recipe: Path | Mapping[str, Any] | RunConfig | None) -> str | Mapping[str, Any] | None:
    if isinstance(recipe, RunConfig):
        return recipe.model_dump(mode="json", exclude_defaults=True)
    return recipe if recipe is None or isinstance(recipe, Mapping) else os.fspath(recipe)


def _lines(overrides: Settings) -> Sequence[str]:
    if isinstance(overrides, Mapping):
        return [f"{path}={json.dumps(value)}" for path, value in overrides.items()]
    return list(overrides)


def _exporter(config: RunConfig, name: str, *, images: bool) -> Any:
    """An exporter with the parameters that the config has for it."""
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
