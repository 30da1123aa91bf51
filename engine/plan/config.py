"""The configuration of a run: YAML, checked by pydantic, resolved with `extends:` and `--set`.

Beside the settings of the engine there are sections that packages bring, such as `refine`: an entry point in group
`fld_engine.sections` names the key and the pydantic model of what stands under it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from importlib.metadata import EntryPoint
from typing import Any, ClassVar, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from fld_engine.engine.data.discovery import import_entry, installed, package_of
from fld_engine.engine.data.identity import Fields
from fld_engine.engine.data.images import ImageLimits
from fld_engine.engine.data.settings import Settings, parse_settings
from fld_engine.engine.data.work_set import WorkSet
from fld_engine.engine.plan.exclude import GOLD, ExcludeList
from fld_engine.engine.plan.export_settings import ExportConfig
from fld_engine.engine.plan.layers import EXTENDS, layers_of, merge, merged, nested, parse_override
from fld_engine.engine.plan.limits import Limits, PartitionLimits
from fld_engine.engine.plan.protocols import Resources
from fld_engine.engine.sources.item import SourceSpec
from fld_engine.engine.sources.open import check_spec
from fld_engine.schemas.annotations import Frozen
from fld_engine.schemas.errors import ConfigError, unknown_name

SECTIONS = "fld_engine.sections"


class AnnotatorConfig(Frozen):
    """One annotator of a run. `use` is its entry point; the key in the config is its name on every annotation.

    `images_per_s` is a stated throughput of one worker, for estimates about hardware that is not there.
    """

    in_fingerprints: ClassVar[Fields] = Fields(
        always=("use", "params", "batch_size", "work_set"), never=("resources", "images_per_s")
    )

    use: str = ""
    params: Mapping[str, Any] = Field(default_factory=dict)
    batch_size: int | None = Field(default=None, gt=0)
    resources: Resources | None = None
    images_per_s: float | None = Field(default=None, gt=0)
    work_set: WorkSet = Field(default_factory=WorkSet)


class FilterConfig(Frozen):
    """One filter of a run. `use` is its entry point, by default the key in the config."""

    in_fingerprints: ClassVar[Fields] = Fields(always=("use", "params"))

    use: str = ""
    params: Mapping[str, Any] = Field(default_factory=dict)


class ExporterConfig(Frozen):
    """One exporter that a run ends with, beside the shards. `use` is its entry point, by default the key."""

    use: str = ""
    params: Mapping[str, Any] = Field(default_factory=dict)


class RunnerConfig(Frozen):
    """Where tasks run. Never part of a fingerprint. `workers` 0 means one (`local`), or all that fit (`ray`).

    With a `ray_address` and no `kind`, it is `ray`; with `local`, the address is for the trainings of `refine` alone.
    Models that one worker holds side by side may take `lane_memory_mb` together.
    """

    kind: Literal["local", "ray"] = "local"
    workers: int = Field(default=0, ge=0)
    ray_address: str = ""
    lane_memory_mb: int = Field(default=8192, gt=0)
    metrics_port: int | None = Field(
        default=None,
        ge=0,
        le=65535,
        description="where the driver serves metrics for Prometheus; 0: nowhere; null: where FLD_METRICS_PORT says",
    )
    metrics_host: str = Field(default="127.0.0.1", description="where the port is opened; 0.0.0.0 is for everybody")

    @model_validator(mode="before")
    @classmethod
    def _address_asks_for_ray(cls, given: Any) -> Any:
        if isinstance(given, Mapping) and given.get("ray_address") and "kind" not in given:
            return {**given, "kind": "ray"}
        return given


class RunConfig(Frozen):
    """Everything a run depends on. Further keys are sections that packages bring, such as `refine`."""

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, Mapping[str, Any]] = Field(init=False)

    in_fingerprints: ClassVar[Fields] = Fields(
        always=("name", "seed", "sources", "images", "partitions", "annotators", "filters", "export"),
        never=("limits", "runner", "models_root", "exporters"),
    )

    name: str = "run"
    seed: int = 0
    sources: Sequence[SourceSpec] = ()
    images: ImageLimits = Field(default_factory=ImageLimits)
    partitions: PartitionLimits = Field(default_factory=PartitionLimits)
    annotators: Mapping[str, AnnotatorConfig] = Field(default_factory=dict)
    filters: Mapping[str, FilterConfig] = Field(default_factory=dict)
    export: ExportConfig = Field(default_factory=ExportConfig)
    exporters: Mapping[str, ExporterConfig] = Field(default_factory=dict)
    limits: Limits = Field(default_factory=Limits)
    runner: RunnerConfig = Field(default_factory=RunnerConfig)
    exclude: tuple[ExcludeList, ...] = ()
    models_root: str = ""  # fsspec URL that nodes copy checkpoints from; never part of a fingerprint

    @field_validator("sources")
    @classmethod
    def _named_apart(cls, sources: Sequence[SourceSpec]) -> Sequence[SourceSpec]:
        names = [spec.name for spec in sources]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(
                f"two sources are named {twice[0]!r}, and their URIs would mix: give each a name of its own"
            )
        return sources

    @field_validator("exclude")
    @classmethod
    def _lists_named_apart(cls, lists: tuple[ExcludeList, ...]) -> tuple[ExcludeList, ...]:
        names = [GOLD, *(one.name for one in lists)]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(
                f"two lists of `exclude` are named {twice[0]!r}, or one is named as gold is: what is left out is "
                "counted by their names, give each one of its own"
            )
        return lists

    @property
    def sections(self) -> Mapping[str, Mapping[str, Any]]:
        """What the config says in sections of packages, by name, as it was given."""
        return self.__pydantic_extra__ or {}

    def section(self, name: str, model: type[Settings]) -> Settings:
        """The settings of a section, with defaults where the config says nothing. Raises `ConfigError`."""
        return parse_settings(model, self.sections.get(name, {}), under=name)


def load_config(recipe: str, overrides: Iterable[str] = (), *, extra: Mapping[str, Any] | None = None) -> RunConfig:
    """Resolve a recipe name or a YAML file, its `extends:` chain, `extra` keys and `key.path=value` overrides.

    Raises `ConfigError` with the key's path, what was given and what is allowed.
    """
    tree = merge(merged(layers_of(recipe)), dict(extra or {}))
    config = with_overrides(tree, overrides, where=recipe)
    for number, spec in enumerate(config.sources):
        check_spec(spec, where=f"{recipe}: sources.{number}")
    return config


def with_overrides(tree: Mapping[str, Any], overrides: Iterable[str], *, where: str) -> RunConfig:
    """A config tree with `key.path=value` settings over it, parsed. Raises `ConfigError`."""
    whole = dict(tree)
    for override in overrides:
        whole = merge(whole, nested(*parse_override(override)))
    return parse_config(whole, where=where)


def parse_config(tree: Mapping[str, Any], *, where: str) -> RunConfig:
    """A config tree, checked: with the sections it has, by the models of the packages that bring them.

    Raises `ConfigError` with the path of each wrong key, what was given and what is allowed.
    """
    sections = {key: given for key, given in tree.items() if key not in RunConfig.model_fields}
    entries = _section_entries(sections, where) if sections else {}
    config = parse_settings(RunConfig, tree, where=where)
    for name, given in config.sections.items():
        if given:  # what says nothing costs no import
            parse_settings(_model_of(entries[name]), given, under=name, where=where)
    return config


def section_models() -> dict[str, type[BaseModel]]:
    """Name → model of all sections that installed packages bring."""
    return {name: _model_of(entry) for name, entry in _section_entries((), "").items()}


def _section_entries(names: Iterable[str], where: str) -> dict[str, EntryPoint]:
    """The sections that packages bring. Raises `ConfigError` where that does not cover the names."""
    found = installed(SECTIONS)
    if hidden := sorted(found.keys() & {*RunConfig.model_fields, EXTENDS}):
        raise ConfigError(
            f"package {package_of(found[hidden[0]])} brings a section {hidden[0]!r}, which is a setting of the engine: "
            "uninstall it, or ask for another name"
        )
    for name in names:
        if name not in found:
            brought = ", ".join(f"{key} ({package_of(entry)})" for key, entry in found.items()) or "none"
            raise ConfigError(
                f"{where}: {unknown_name('key', str(name), {*RunConfig.model_fields, *found})}. If it is a section of "
                f"a package, install that package; sections that are installed: {brought}"
            )
    return found


def _model_of(entry: EntryPoint) -> type[BaseModel]:
    model = import_entry(entry, "section")
    if not (isinstance(model, type) and issubclass(model, BaseModel)):
        raise ConfigError(
            f"section {entry.name!r} of package {package_of(entry)}: expected a pydantic model of its settings at "
            f"{entry.value}, got {model!r}"
        )
    return model


def dump_config(config: RunConfig) -> str:
    """The resolved config as YAML that `load_config` reads back."""
    return yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False, allow_unicode=True)
