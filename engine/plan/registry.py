"""Annotators and filters found through entry points and built from the config."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from functools import cache
from importlib.metadata import EntryPoint
from typing import Any

from pydantic import BaseModel

from fld_engine.engine.data.discovery import import_entry, installed, package_of
from fld_engine.engine.data.settings import parse_settings
from fld_engine.engine.plan.config import AnnotatorConfig, ExporterConfig, FilterConfig, RunConfig
from fld_engine.engine.plan.keeps import Keeps
from fld_engine.engine.plan.protocols import Annotator, Factory, Filter, Pinnable, RuntimeParams
from fld_engine.schemas.errors import ConfigError, unknown_name
from fld_engine.schemas.origins import ANNOTATOR_WORDS

ANNOTATORS = "fld_engine.annotators"
FILTERS = "fld_engine.filters"
STAGES = "fld_engine.stages"
EXPORTERS = "fld_engine.exporters"
STEPS = "stages/"
"""Folder of a root with a folder for every step."""


def installed_annotators() -> dict[str, EntryPoint]:
    """Annotators that packages bring, by name. Raises `ConfigError` where one has a reserved name."""
    found = installed(ANNOTATORS)
    for name, entry in found.items():
        _refuse_reserved(name, f"package {package_of(entry)} brings annotator {name!r}", "uninstall it")
    return found


def build_annotator(name: str, config: AnnotatorConfig) -> Annotator:
    """The annotator `name` of a config, not loaded.

    Raises `ConfigError` for a reserved or an unknown name, and for wrong parameters.
    """
    _refuse_reserved(name, f"annotators.{name}", "call it something else, and say with `use` what it is")
    found = installed_annotators()
    built: Annotator = _build(found, "annotator", name, config.use or name, config.params)
    if config.batch_size is not None:
        built.batch_size = config.batch_size
    if config.resources is not None:
        built.resources = config.resources
    return built


def build_filter(name: str, config: FilterConfig) -> Filter:
    """The filter `name` of a config. Raises `ConfigError` for an unknown one or wrong parameters."""
    built: Filter = _build(installed(FILTERS), "filter", name, config.use or name, config.params)
    return built


def build_exporter(name: str, config: ExporterConfig) -> Any:
    """The exporter `name` of a config, a stage. Raises `ConfigError` for an unknown one or wrong parameters."""
    return _build(installed(EXPORTERS), "exporter", name, config.use or name, config.params)


def exporter_names() -> list[str]:
    """Exporters that are installed here, beside the shards."""
    return list(installed(EXPORTERS))


def check_extensions(config: RunConfig) -> None:
    """Raises `ConfigError` for annotators, filters and exporters that are not there, or have wrong parameters."""
    for name, of_annotator in config.annotators.items():
        build_annotator(name, of_annotator)
    for name, of_filter in config.filters.items():
        build_filter(name, of_filter)
    for name, of_exporter in config.exporters.items():
        build_exporter(name, of_exporter)


def runtime_params(annotator: Annotator) -> frozenset[str]:
    """Parameters that say how an annotator runs and not what it writes: no part of a fingerprint."""
    return annotator.params.runtime if isinstance(annotator.params, RuntimeParams) else frozenset()


def pin(config: RunConfig, *, strict: bool) -> RunConfig:
    """The config with everything pinned that could change outside of it: commits and hashes of checkpoints.

    With `strict`, what cannot be pinned raises `ModelError`; without, it stays as it is, which is enough for a plan.
    """
    pinned = dict(config.annotators)
    for name, of_annotator in config.annotators.items():
        params = build_annotator(name, of_annotator).params
        if isinstance(params, Pinnable):
            exact = params.pinned(models_root=config.models_root, strict=strict)
            given = {**of_annotator.params, **exact.model_dump(mode="json", include=set(params.runtime))}
            pinned[name] = of_annotator.model_copy(update={"params": given})
    return config.model_copy(update={"annotators": pinned})


@cache
def installed_stages() -> tuple[Any, ...]:
    """An object of every installed stage (`engine.plan.stages.Stage`), each after those whose work it reads.

    Raises `ConfigError` where stages wait for each other in a circle, or one calls itself other than its entry point.
    """
    entries = dict(sorted(_stage_entries().items()))
    waiting = {name: import_entry(entry, "stage")() for name, entry in entries.items()}
    for name, stage in waiting.items():
        if stage.name != name:
            raise ConfigError(
                f"package {package_of(entries[name])} brings stage {name!r} that calls itself {stage.name!r}: workers "
                "find a stage by one name, give it the same in both places"
            )
    ordered: list[Any] = []
    while waiting:
        ready = [name for name, stage in waiting.items() if not set(stage.after) & waiting.keys()]
        if not ready:
            raise ConfigError(f"stages read each other's work in a circle: {', '.join(waiting)}")
        ordered += [waiting.pop(name) for name in ready]
    return tuple(ordered)


def stages_of_run(config: RunConfig) -> tuple[Any, ...]:
    """The stages without which a run is not complete, then the exporters that its config lists."""
    exporters = (build_exporter(name, given) for name, given in config.exporters.items())
    return (*(stage for stage in installed_stages() if stage.every_run), *exporters)


def names_of_stages() -> frozenset[str]:
    """Stages that are installed here; nothing is loaded."""
    return frozenset(_stage_entries())


def package_of_stage(name: str) -> str:
    """The distribution that brings an installed stage."""
    return package_of(_stage_entries()[name])


def stage_named(name: str) -> Any:
    """An installed stage. Raises `ConfigError` for an unknown one."""
    found = {stage.name: stage for stage in installed_stages()}
    if name not in found:
        raise ConfigError(unknown_name("stage", name, found))
    return found[name]


def _stage_entries() -> dict[str, EntryPoint]:
    return installed(STAGES) | installed(EXPORTERS)


def parameters_of(factory: Factory, entry: EntryPoint, what: str) -> type[BaseModel]:
    """The model of the parameters of an annotator or filter. Raises `ConfigError` where its class has none."""
    params = getattr(factory, "Params", None)
    if not (isinstance(params, type) and issubclass(params, BaseModel)):
        raise ConfigError(
            f"{what} {entry.name!r} of package {package_of(entry)}: expected a class with a nested pydantic model "
            f"`Params` at {entry.value}, got {factory!r}"
        )
    return params


def _build(found: Mapping[str, EntryPoint], what: str, name: str, use: str, params: Mapping[str, Any]) -> Any:
    if use not in found:
        raise ConfigError(
            f"{unknown_name(what, use, found)}. Where a package of its own brings {use!r}, install that package in "
            f"{sys.prefix}, and on every node"
        )
    factory: Factory = import_entry(found[use], what)
    model = parameters_of(factory, found[use], what)
    return factory(parse_settings(model, params, under=f"{what}s.{name}.params"))


def _refuse_reserved(name: str, who: str, what_to_do: str) -> None:
    steps = reserved_steps()
    if name in steps | ANNOTATOR_WORDS:
        why = "a stage keeps its files" if name in steps else "annotations that no specialist made are kept"
        listed = ", ".join(sorted(steps | ANNOTATOR_WORDS))
        raise ConfigError(f"{who}: {name!r} is a reserved name, under which {why}; {what_to_do}. Reserved: {listed}")


def reserved_steps() -> frozenset[str]:
    """Names below `stages/` that stages write under: no annotator may be called so."""
    globs = (holding.glob for stage in installed_stages() if isinstance(stage, Keeps) for holding in stage.holdings)
    return frozenset(glob.removeprefix(STEPS) for glob in globs if glob.startswith(STEPS) and "*" not in glob)
