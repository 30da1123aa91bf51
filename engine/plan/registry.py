"""Annotators and filters found through entry points and built from the config."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from pydantic import ValidationError

from fld_engine.engine.plan.config import AnnotatorConfig, ExporterConfig, FilterConfig, RunConfig
from fld_engine.engine.plan.protocols import Annotator, Factory, Filter, Pinnable, RuntimeParams
from fld_engine.schemas.errors import ConfigError, unknown_name

ANNOTATORS = "fld_engine.annotators"
FILTERS = "fld_engine.filters"
STAGES = "fld_engine.stages"
EXPORTERS = "fld_engine.exporters"


def build_annotator(name: str, config: AnnotatorConfig) -> Annotator:
    """The annotator `name` of a config, not loaded. Raises `ConfigError` for an unknown one or wrong parameters."""
    built: Annotator = _build(ANNOTATORS, "annotator", name, config.use or name, config.params)
    if config.batch_size is not None:
        built.batch_size = config.batch_size
    if config.resources is not None:
        built.resources = config.resources
    return built


def build_filter(name: str, config: FilterConfig) -> Filter:
    """The filter `name` of a config. Raises `ConfigError` for an unknown one or wrong parameters."""
    built: Filter = _build(FILTERS, "filter", name, config.use or name, config.params)
    return built


def build_exporter(name: str, config: ExporterConfig) -> Any:
    """The exporter `name` of a config, a stage. Raises `ConfigError` for an unknown one or wrong parameters."""
    return _build(EXPORTERS, "exporter", name, config.use or name, config.params)


def exporter_names() -> list[str]:
    """Exporters that are installed here, beside the shards."""
    return sorted(entry.name for entry in entry_points(group=EXPORTERS))


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

    Raises `ConfigError` where stages wait for each other in a circle.
    """
    entries = sorted((*entry_points(group=STAGES), *entry_points(group=EXPORTERS)), key=lambda entry: entry.name)
    waiting = {entry.name: entry.load()() for entry in entries}
    ordered: list[Any] = []
    while waiting:
        ready = [name for name, stage in waiting.items() if not set(stage.after) & waiting.keys()]
        if not ready:
            raise ConfigError(f"stages read each other's work in a circle: {', '.join(waiting)}")
        ordered += [waiting.pop(name) for name in ready]
    return tuple(ordered)


def names_of_stages() -> frozenset[str]:
    """Stages that are installed here; nothing is loaded."""
    return frozenset(entry.name for group in (STAGES, EXPORTERS) for entry in entry_points(group=group))


def package_of_stage(name: str) -> str:
    """The distribution that brings an installed stage."""
    (entry,) = (entry for group in (STAGES, EXPORTERS) for entry in entry_points(group=group, name=name))
    return entry.dist.name if entry.dist else "unknown"


def stage_named(name: str) -> Any:
    """An installed stage. Raises `ConfigError` for an unknown one."""
    found = {stage.name: stage for stage in installed_stages()}
    if name not in found:
        raise ConfigError(unknown_name("stage", name, found))
    return found[name]


def _build(group: str, what: str, name: str, use: str, params: Mapping[str, Any]) -> Any:
    found: dict[str, EntryPoint] = {entry.name: entry for entry in entry_points(group=group)}
    if use not in found:
        raise ConfigError(unknown_name(what, use, found))
    factory: Factory = found[use].load()
    try:
        return factory(factory.Params.model_validate(dict(params)))
    except ValidationError as error:
        lines = []
        for e in error.errors():
            path = f"{what}s.{name}.params.{'.'.join(str(p) for p in e['loc'])}"
            if e["type"] == "extra_forbidden":
                lines.append(
                    unknown_name("key", path, [f"{what}s.{name}.params.{f}" for f in factory.Params.model_fields])
                )
            else:
                lines.append(f"{path}: {e['msg']}, got {e['input']!r}")
        raise ConfigError("\n".join(lines)) from None
