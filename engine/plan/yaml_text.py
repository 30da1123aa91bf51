"""YAML that people wrote: what is wrong with it is said with the place it stands in."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from fld_engine.schemas.errors import ConfigError


def read_mapping(path: str) -> dict[str, Any]:
    """The settings in a YAML file of this machine. Raises `ConfigError` where it is none, or may not be read."""
    file = Path(path)
    if file.is_dir():
        inside = ", ".join(sorted(one.name for one in file.iterdir() if one.suffix in (".yaml", ".yml"))[:5])
        raise ConfigError(
            f"config {path} is a folder: give a YAML file{f', such as one of its own: {inside}' * bool(inside)}"
        )
    try:
        data = file.read_bytes()
    except OSError as error:
        raise ConfigError(
            f"config file {path} cannot be read: {error.strerror}; check the path and its rights"
        ) from error
    return mapping_of(data, where=path)


def mapping_of(data: bytes | str, *, where: str) -> dict[str, Any]:
    """The settings in a YAML text; none where it is empty. Raises `ConfigError` where it is no mapping of settings."""
    tree = value_of(data, where=where)
    if not isinstance(tree, dict | None):
        raise ConfigError(
            f"{where}: expected a mapping of settings, such as `name: run`, got {type(tree).__name__} {str(tree)[:50]}"
        )
    return tree or {}


def value_of(data: bytes | str, *, where: str) -> Any:
    """What a YAML text says. Raises `ConfigError` where it is not YAML, with line and column."""
    try:
        return yaml.safe_load(data if isinstance(data, str) else data.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise ConfigError(
            f"{where} is not YAML: it is not text in UTF-8 ({error.reason} at byte {error.start})"
        ) from None
    except (yaml.YAMLError, ValueError) as error:  # dates that no calendar has are a ValueError
        at = getattr(error, "problem_mark", None)
        place = f" at line {at.line + 1}, column {at.column + 1}" if at is not None else ""
        what = getattr(error, "problem", None) or str(error)
        raise ConfigError(
            f"{where} is not YAML{place}: {what}; mend it there, quoting text that holds `: `, `#`, `[` or `{{`"
        ) from None
