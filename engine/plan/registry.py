"""Annotators and filters found through entry points and built from the config."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import EntryPoint
from typing import Any

from pydantic import BaseModel

from fld_engine.engine.data.discovery import import_entry, installed, package_of
from fld_engine.engine.data.settings import parse_settings
from fld_engine.engine.plan.config import AnnotatorConfig, FilterConfig, RunConfig
from fld_engine.engine.plan.protocols import Annotator, Factory, Filter, Pinnable
from fld_engine.schemas.errors import ConfigError, unknown_name

ANNOTATORS = "fld_engine.annotators"
FILTERS = "fld_engine.filters"
RESERVED = frozenset({"coverage", "export", "report", "report-merge", "verdicts"})
"""Names that no annotator may have: stages keep files of their own under them."""
ORIGINS = frozenset({"human", "refinement", "web"})
"""Names that no annotator may have: annotations that bear them are not by a specialist, and filters treat them so."""


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


def check_extensions(config: RunConfig) -> None:
    """Raises `ConfigError` for annotators and filters of a config that are not there, or have wrong parameters."""
    for name, of_annotator in config.annotators.items():
        build_annotator(name, of_annotator)
    for name, of_filter in config.filters.items():
        build_filter(name, of_filter)


def runtime_params(annotator: Annotator) -> frozenset[str]:
    """Parameters that say how an annotator runs and not what it writes: no part of a fingerprint."""
    found: frozenset[str] = getattr(annotator.params, "runtime", frozenset())
    return found


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
        raise ConfigError(unknown_name(what, use, found))
    factory: Factory = import_entry(found[use], what)
    model = parameters_of(factory, found[use], what)
    return factory(parse_settings(model, params, under=f"{what}s.{name}.params"))


def _refuse_reserved(name: str, who: str, what_to_do: str) -> None:
    if name in RESERVED | ORIGINS:
        why = "a stage keeps its files" if name in RESERVED else "annotations that no specialist made are kept"
        listed = ", ".join(sorted(RESERVED | ORIGINS))
        raise ConfigError(f"{who}: {name!r} is a reserved name, under which {why}; {what_to_do}. Reserved: {listed}")
