"""A config to begin with: the settings of a recipe as commented YAML, each with what the reference says of it.

`# text` is a comment. `#key: value` is a setting at its default: without its `#` it is said, and changes nothing yet.
"""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import yaml

from fld_engine.engine.inspect.installed import GROUPS, Group, extension
from fld_engine.engine.inspect.parameters import Parameter, parameters, prose
from fld_engine.engine.plan.config import RunConfig
from fld_engine.engine.plan.layers import Tree

WIDTH = 110
OF_EXTENSIONS: Mapping[str, Group] = {group.plural: group for group in GROUPS if group.plural != "sources"}
OPENING = (
    "What a run makes: specialists (annotators), what decides (filters), and what comes out (export). It began as "
    "recipe {recipe}. A line such as `#seed: 0` is a setting at its default: take the # away to change it. All "
    "settings, with those of everything that is installed: `fld config reference`. Where a value comes from: "
    "`fld config show FILE --origin`."
)


def starter(tree: Tree, recipe: str) -> str:
    """YAML that says what a recipe's tree says, with every other setting of the engine beside it, commented out.

    Raises `ConfigError` for an annotator, filter or exporter that is not installed.
    """
    lines = [*_comment(OPENING.format(recipe=recipe), "")]
    rows = parameters(RunConfig)
    for row in _directly(rows, ""):
        lines.append("")
        if row.name in OF_EXTENSIONS:
            lines += _extensions(OF_EXTENSIONS[row.name], row, tree.get(row.name) or {}, rows)
        elif "[]" in row.type or row.type.startswith("list"):
            lines += _list(row, tree.get(row.name) or [], rows)
        else:
            lines += _setting(row, row.name, tree, rows, "")
    for key in (key for key in tree if key not in RunConfig.model_fields):
        lines += ["", *_live(key, tree[key], "")]
    return "\n".join(lines) + "\n"


def _setting(row: Parameter, key: str, tree: Mapping[str, Any], rows: Sequence[Parameter], pad: str) -> Iterator[str]:
    """One setting, or a group with its settings."""
    yield from _comment(about(row), pad)
    inside = _directly(rows, f"{row.name}.")
    said = tree.get(key)
    if row.type == "settings" and inside:
        given = said if isinstance(said, Mapping) else {}
        yield f"{pad}{key}:" if given else f"{pad}#{key}:"
        for one in inside:
            yield from _setting(one, one.name.rsplit(".", 1)[-1], given, rows, f"{pad}  ")
    elif key in tree:
        yield from _live(key, said, pad)
    elif not row.required:
        yield f"{pad}#{key}: {json.dumps(row.default, ensure_ascii=False)}"


def _extensions(group: Group, row: Parameter, given: Mapping[str, Any], rows: Sequence[Parameter]) -> Iterator[str]:
    """Annotators, filters or exporters, each with what it is, and the parameters that it may have."""
    yield from _comment(about(row), "")
    shared = [one for one in rows if one.name.startswith(f"{row.name}.NAME.")]
    yield from _comment("Each may have:", "")
    for one in shared:
        yield from _comment(f"  {one.name.removeprefix(f'{row.name}.NAME.')}: {about(one)}", "")
    if not given:
        yield f"#{row.name}: {{}}"
        return
    yield f"{row.name}:"
    for name, settings in given.items():
        found = extension(group, (settings or {}).get("use") or name)
        yield from _comment(found.about, "  ")
        for one in found.parameters:
            default = "" if one.required or not one.default_text else f", default {one.default_text}"
            yield from _comment(f"  params.{one.name}: {about(one)}{default}", "  ")
        yield from _live(name, settings, "  ")


def _list(row: Parameter, given: Sequence[Any], rows: Sequence[Parameter]) -> Iterator[str]:
    """A list of settings, and what an item may say."""
    yield from _comment(about(row), "")
    for one in (one for one in rows if one.name.startswith(f"{row.name}[].")):
        yield from _comment(f"  {one.name.removeprefix(f'{row.name}[].')}: {about(one)}", "")
    if given:
        yield from _live(row.name, list(given), "")
    else:
        yield f"#{row.name}: []"


def about(row: Parameter) -> str:
    """What the reference says of a setting: its type, its bounds, and what it is."""
    kind = ", ".join(part for part in (row.type, row.bounds) if part)
    return f"{kind}: {prose(row.description)}" if row.description else kind


def _directly(rows: Sequence[Parameter], under: str) -> list[Parameter]:
    """The settings right under a path."""
    inside = (row for row in rows if row.name.startswith(under) and row.name != under)
    return [row for row in inside if not any(mark in row.name.removeprefix(under) for mark in (".", "["))]


def _comment(text: str, pad: str) -> list[str]:
    first = f"{pad}# {' ' * (len(text) - len(text.lstrip()))}"
    rest = f"{first}  " if text.startswith(" ") else first
    return textwrap.wrap(
        text.strip(),
        WIDTH,
        initial_indent=first,
        subsequent_indent=rest,
        break_long_words=False,
        break_on_hyphens=False,
    )


def _live(key: str, value: Any, pad: str) -> list[str]:
    """A setting as it is said, on few lines."""
    if isinstance(value, Mapping | list) and value:
        text = yaml.safe_dump({key: value}, sort_keys=False, allow_unicode=True, width=WIDTH, default_flow_style=None)
        lines = text.rstrip().splitlines() if text.startswith(f"{key}:") else [f"{key}: {_flow(value)}"]
        return [f"{pad}{line}" for line in lines]
    return [f"{pad}{key}: {_flow(value)}"]


def _flow(value: Any) -> str:
    text = yaml.safe_dump(value, sort_keys=False, allow_unicode=True, width=10**6, default_flow_style=True)
    return text.removesuffix("...\n").strip()
