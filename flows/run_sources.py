"""Which sources a run has: those of its recipe, those that the root was given before, and those that are given now."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from fld_engine.annotators.common.cache import cache_folder
from fld_engine.engine.data.settings import parse_settings
from fld_engine.engine.plan.config import RunConfig, parse_config
from fld_engine.engine.plan.layers import Tree, merge, nested, within
from fld_engine.engine.sources.item import AUTO, SourceSpec
from fld_engine.engine.sources.listing import check_there
from fld_engine.flows.asked import Asked
from fld_engine.flows.kept import Kept
from fld_engine.flows.origins import Given, Origins
from fld_engine.flows.places import same_place
from fld_engine.flows.samples import sample_sources
from fld_engine.schemas.errors import ConfigError, unknown_name

DEMO = "demo"
"""The recipe that brings its own photographs."""


def own_sources(asked: Asked, kept: Kept | None, tree: Tree, where: str) -> list[SourceSpec]:
    """The sources that a recipe or a root says itself; the demo has its photographs, where they are wanted."""
    own = list(parse_config({"sources": tree.get("sources") or []}, where=where).sources)
    instead = replaces(asked) if kept is None else bool(kept.origins and kept.origins.instead)
    if asked.recipe == DEMO and not own and not instead:
        return [SourceSpec.model_validate(one) for one in sample_sources(cache_folder() / "samples")]
    return own


def sources_of(
    asked: Asked, kept: Kept | None, own: Sequence[SourceSpec], over: Mapping[str, Given]
) -> tuple[list[SourceSpec], tuple[str, ...], bool]:
    """The sources of a run, the names of those that were given, and whether they stand instead of the recipe's own.

    Those given with the first run do, but for gold, which is compared with others; those given later are added.
    """
    new = asked.new_sources
    before = (kept.origins if kept else None) or Origins()
    added: tuple[str, ...]
    if "sources" in over:
        start = list(parse_config({"sources": over["sources"].value or []}, where="--set sources").sources)
        added, instead = tuple(spec.name for spec in start), True
    elif kept is None:
        instead = replaces(asked)
        start, added = ([] if instead else list(own)), ()
    elif asked.recipe is None:
        start, added, instead = list(kept.config.sources), before.added, bool(before.instead)
    elif before.instead is None:  # nobody knows: those of the root stay, unless the recipe says which there are
        instead = bool(new) or not own
        start, added = (list(kept.config.sources) if instead else list(own)), ()
    else:
        instead, added = before.instead, before.added
        start = with_sources([] if instead else own, sources_in(kept.config, added))
    sources = with_settings(with_sources(start, new), over)
    known = {spec.name for spec in start}
    return sources, (*added, *(spec.name for spec in sources if spec.name not in known)), instead


def replaces(asked: Asked) -> bool:
    """Whether sources are given that stand instead of a recipe's own."""
    return not all(spec.gold for spec in asked.new_sources)


def with_sources(there: Sequence[SourceSpec], new: Sequence[SourceSpec]) -> list[SourceSpec]:
    """Sources with new ones after them. One of the same place or name takes over what the new one says."""
    known = {spec.name: spec for spec in there}
    for spec in new:
        same = next((one for one in known.values() if same_place(one.url, spec.url)), known.get(spec.name))
        if same is None:
            known[spec.name] = spec
            continue
        said = {key: getattr(spec, key) for key in spec.model_fields_set - {"name", "url"}}
        place = {} if same_place(same.url, spec.url) else {"url": spec.url}
        known[same.name] = same.model_copy(update={**said, **place})
    return list(known.values())


def with_settings(sources: Sequence[SourceSpec], given: Mapping[str, Given]) -> list[SourceSpec]:
    """Sources with settings of single ones, such as `sources.photos.licence`; null takes a source, or a setting, away.

    Raises `ConfigError` for a source that is not there.
    """
    known = {spec.name: spec for spec in sources}
    for path, one in given.items():
        if path == "sources" or not within(path, "sources"):
            continue
        name = next((name for name in known if within(path, f"sources.{name}")), None)
        if name is None:
            raise ConfigError(f"--set {path}: {unknown_name('source', path.split('.')[1], known)}")
        setting = path.removeprefix(f"sources.{name}").removeprefix(".")
        spec = known.pop(name)
        if setting:
            tree = merge(spec.model_dump(mode="json"), nested(setting, one.value))
            known[name] = parse_settings(SourceSpec, tree, under=f"sources.{name}")
        elif one.value is not None:
            raise ConfigError(f"--set {path}: expected a setting of the source, such as {path}.licence, or null")
    return list(known.values())


def sources_in(config: RunConfig, names: Sequence[str]) -> list[SourceSpec]:
    """The sources of a config that have one of these names."""
    return [spec for spec in config.sources if spec.name in names]


def paths_named(asked: Asked, config: RunConfig) -> list[str]:
    """Paths of the settings of sources that are given by themselves, such as that one is gold."""
    return [
        f"sources.{spec.name}.{key}"
        for new in asked.new_sources
        for spec in config.sources
        if same_place(spec.url, new.url)
        for key in new.model_fields_set - {"name", "url"}
    ]


def check_new(asked: Asked, kept: Kept | None) -> None:
    """Raises `SourceError` for a source that is given and not there: a slip of the pen would stay in the root."""
    known = kept.config.sources if kept else ()
    for spec in asked.new_sources:
        if spec.kind == AUTO and not any(same_place(spec.url, one.url) for one in known):
            check_there(spec.url)
