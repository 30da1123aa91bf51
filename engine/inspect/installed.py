"""What is installed that a config can name, as its own code describes it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import EntryPoint
from typing import Any

from pydantic import BaseModel

from fld_engine.engine.data.discovery import import_entry, installed, package_of, release_of
from fld_engine.engine.inspect.parameters import Parameter, parameters, prose
from fld_engine.engine.plan.config import SECTIONS
from fld_engine.engine.plan.registry import ANNOTATORS, EXPORTERS, FILTERS, installed_annotators
from fld_engine.schemas.annotations import Frozen
from fld_engine.schemas.errors import ConfigError, unknown_name


@dataclass(frozen=True, slots=True)
class Group:
    """One kind of extension: entry points of `group`; `says` are attributes that tell what each is for."""

    plural: str
    singular: str
    group: str
    says: tuple[str, ...]


GROUPS = (
    Group("annotators", "annotator", ANNOTATORS, ("requires", "optional", "produces")),
    Group("filters", "filter", FILTERS, ("target", "requires")),
    Group("sources", "source", "fld_engine.sources", ("brings",)),
    Group("exporters", "exporter", EXPORTERS, ("after",)),
)
SECTION = Group("sections", "section", SECTIONS, ())


class Extension(Frozen):
    """Something that a package brings. `version` is its own, `release` that of the package; `about` is one sentence.

    `says` has what it reads, writes or judges, null where that depends on its parameters. `description` and
    `about_parameters` are what the docstrings of the two classes say.
    """

    name: str
    package: str
    release: str
    version: int | None
    about: str
    description: str
    about_parameters: str
    says: Mapping[str, tuple[str, ...] | None]
    parameters: tuple[Parameter, ...]

    def said(self, key: str) -> str:
        """One of `says` in words."""
        values = self.says[key]
        return "by its parameters" if values is None else ", ".join(values)


def extensions(group: Group, *, package: str = "") -> list[Extension]:
    """Everything that is installed in a group, by name; of one package alone if one is given.

    Raises `ConfigError` where a package's code cannot be imported.
    """
    return [_described(group, entry) for entry in entries_of(group, package=package).values()]


def extension(group: Group, name: str) -> Extension:
    """Raises `ConfigError` for a name that is not installed."""
    found = entries_of(group)
    if name not in found:
        raise ConfigError(unknown_name(group.singular, name, found))
    return _described(group, found[name])


def settings_of(entry: EntryPoint, what: str) -> type[BaseModel] | None:
    """The model of the settings of an extension: its nested `Params`, or a section itself; None without one."""
    factory = import_entry(entry, what)
    model = factory if what == "section" else getattr(factory, "Params", None)
    return model if isinstance(model, type) and issubclass(model, BaseModel) else None


def entries_of(group: Group, *, package: str = "") -> dict[str, EntryPoint]:
    """The entry points of a group by name; of one package alone if one is given."""
    found = installed_annotators() if group.group == ANNOTATORS else installed(group.group)
    return {name: entry for name, entry in found.items() if package in ("", package_of(entry))}


def _described(group: Group, entry: EntryPoint) -> Extension:
    factory = import_entry(entry, group.singular)
    model = settings_of(entry, group.singular)
    version = getattr(factory, "version", None)
    return Extension(
        name=entry.name,
        package=package_of(entry),
        release=release_of(entry),
        version=version if isinstance(version, int) else None,
        about=(factory.__doc__ or "").strip().split("\n")[0],
        description=prose(factory),
        about_parameters=prose(model) if model not in (None, factory) else "",
        says={key: _said(getattr(factory, key, None)) for key in group.says},
        parameters=parameters(model) if model is not None else (),
    )


def _said(value: Any) -> tuple[str, ...] | None:
    if isinstance(value, str):
        return (value,)
    if isinstance(value, frozenset | set | tuple | list):
        return tuple(sorted(map(str, value)))
    return None  # set when it is built
