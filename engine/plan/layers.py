"""Trees of settings, and the layers they are merged from: recipes, files, what they extend, and `key.path=value`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from fld_engine.engine.plan.yaml_text import mapping_of, read_mapping, value_of
from fld_engine.schemas.errors import ConfigError, unknown_name

RECIPES = "fld_engine.flows.recipes"
EXTENDS = "extends"
MAPPING = "the config given"
"""Where settings come from that were given as a mapping, by a deployment or by Python."""

Tree = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Layer:
    """What one recipe, file or mapping says itself, without what it extends. `origin` names it to people."""

    origin: str
    tree: Tree


def layers_of(recipe: str | Mapping[str, Any]) -> list[Layer]:
    """A recipe's name, a YAML file or a mapping, with its `extends:` chain, the one that extends nothing first.

    Raises `ConfigError` for a name that is not known, a file that is not there or no YAML, and a chain in a circle.
    """
    found: list[Layer] = []
    seen: list[str] = []
    following: str | Mapping[str, Any] | None = recipe
    while following is not None:
        name = following if isinstance(following, str) else MAPPING
        if name in seen:
            raise ConfigError(f"extends: goes round in a circle: {' -> '.join((*seen, name))}")
        seen.append(name)
        tree = _read(following) if isinstance(following, str) else dict(following)
        base = tree.pop(EXTENDS, None)
        found.insert(0, Layer(name if name == MAPPING else called(name), tree))
        following = str(base) if base else None
    return found


def called(recipe: str) -> str:
    """A recipe or a file as people are told of it."""
    return f"file {recipe}" if is_file(recipe) else f"recipe {recipe}"


def recipe_names() -> list[str]:
    return sorted(f.name.removesuffix(".yaml") for f in resources.files(RECIPES).iterdir() if f.name.endswith(".yaml"))


def is_file(recipe: str) -> bool:
    """Whether that names a YAML file, and not a recipe."""
    return recipe.endswith((".yaml", ".yml"))


def is_recipe(given: str) -> bool:
    """Whether that is the name of a recipe, or of a YAML file, be it there or not."""
    return is_file(given) or given in recipe_names()


def merged(layers: Iterable[Layer]) -> Tree:
    """The settings of layers, each over those before it."""
    whole: Tree = {}
    for layer in layers:
        whole = merge(whole, layer.tree)
    return whole


def said_by(layers: Iterable[Layer]) -> dict[str, str]:
    """Path of each setting that layers say → the origin of the last that says it."""
    said: dict[str, str] = {}
    for layer in layers:
        for path, value in leaves(layer.tree):
            said = {known: origin for known, origin in said.items() if not within(known, path)}
            if value is not None:
                said[path] = layer.origin
    return said


def leaves(tree: Mapping[str, Any], under: str = "") -> Iterator[tuple[str, Any]]:
    """Path and value of all settings of a tree; a list, and a mapping without keys, are one value."""
    for key, value in tree.items():
        if isinstance(value, Mapping) and value:
            yield from leaves(value, f"{under}{key}.")
        else:
            yield f"{under}{key}", value


def within(path: str, of: str) -> bool:
    """Whether a setting is another, or stands under it."""
    return path == of or path.startswith(f"{of}.")


def parse_override(override: str) -> tuple[str, Any]:
    """Path and value of `key.path=value`. Raises `ConfigError`."""
    path, separator, value = override.partition("=")
    if not separator or not path:
        raise ConfigError(f"--set {override!r}: expected key.path=value, such as --set partitions.max_images=32")
    return path, value_of(value, where=f"--set {override!r}: the value")


def merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> Tree:
    """Mappings are merged key by key, null removes a key, everything else is replaced."""
    whole = dict(base)
    for key, value in over.items():
        if value is None:
            whole.pop(key, None)
        elif isinstance(value, Mapping) and isinstance(whole.get(key), Mapping):
            whole[key] = merge(whole[key], value)
        else:
            whole[key] = value
    return whole


def nested(path: str, value: Any) -> Tree:
    """The tree that says one setting."""
    keys: Sequence[str] = path.split(".")
    for key in reversed(keys):
        value = {key: value}
    return dict(value)


def _read(recipe: str) -> Tree:
    if is_file(recipe):
        if not Path(recipe).exists():
            raise ConfigError(
                f"config file {recipe} does not exist; give a file, or a recipe: {', '.join(recipe_names())}"
            )
        return read_mapping(recipe)
    if recipe in recipe_names():
        return mapping_of(resources.files(RECIPES).joinpath(f"{recipe}.yaml").read_bytes(), where=recipe)
    is_there = f"; {recipe} is there, but a config's name ends in .yaml" if Path(recipe).exists() else ""
    raise ConfigError(unknown_name("recipe", recipe, recipe_names()) + f"; or give a .yaml file{is_there}")
