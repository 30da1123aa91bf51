"""What installed packages add to the engine: the entry points of a group, by name."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from fld_engine.schemas.errors import ConfigError, unknown_name


def installed(group: str) -> dict[str, EntryPoint]:
    """Name → entry point of everything that packages bring in a group, by name; nothing is imported.

    Raises `ConfigError` where two packages bring the same name.
    """
    return dict(_installed(group, tuple(sys.path)))


@cache  # looking through all that is installed takes tens of milliseconds, and a plan asks once for each annotator
def _installed(group: str, path: tuple[str, ...]) -> Mapping[str, EntryPoint]:
    found: dict[str, EntryPoint] = {}
    for entry in sorted(entry_points(group=group), key=lambda entry: (entry.name, package_of(entry))):
        other = found.get(entry.name)
        if other is not None and package_of(other) != package_of(entry):
            raise ConfigError(
                f"packages {package_of(other)} and {package_of(entry)} both bring {entry.name!r} in group {group}: "
                "uninstall one of them"
            )
        found[entry.name] = entry
    return found


def load(group: str, name: str, what: str) -> Any:
    """The object behind entry point `name` of a group; `what` is what a message calls it, such as `annotator`.

    Raises `ConfigError` for a name that no package brings, and where the package's code cannot be imported.
    """
    found = installed(group)
    if name not in found:
        raise ConfigError(unknown_name(what, name, found))
    return import_entry(found[name], what)


def import_entry(entry: EntryPoint, what: str) -> Any:
    """The object behind an entry point. Raises `ConfigError`, with the package's name, where it cannot be imported."""
    try:
        return entry.load()
    except Exception as error:  # another package's module may raise anything at all when it is imported
        raise ConfigError(
            f"{what} {entry.name!r} of package {package_of(entry)} cannot be imported from {entry.value}: "
            f"{type(error).__name__}: {error}"
        ) from error


def package_of(entry: EntryPoint) -> str:
    """The name of the distribution that brings an entry point."""
    return entry.dist.name if entry.dist is not None else "unknown"


def release_of(entry: EntryPoint) -> str:
    """The version of the distribution that brings an entry point."""
    return entry.dist.version if entry.dist is not None else ""
