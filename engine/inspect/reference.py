"""The reference of a config as Markdown: the engine's settings, and those of everything that is installed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from fld_engine.engine.inspect.installed import GROUPS, SECTION, Extension, Group, extensions
from fld_engine.engine.inspect.parameters import Parameter, parameters, prose
from fld_engine.engine.plan.config import RunConfig

OPENING = """# Reference

Every setting that a config may have, with its type, default and bounds. This page is written by
`fld config reference`, from the code; `fld annotators NAME`, `fld filters NAME` and so on say the same of what is
installed with you. In the names of settings, `NAME` is any key, and `[]` an item of a list.
"""


def reference(*, package: str = "") -> str:
    """The reference of what is installed; with `package`, of what that package alone brings.

    Raises `ConfigError` where a package's code cannot be imported.
    """
    lines = [OPENING, "## Config", "", prose(RunConfig), "", *_settings(parameters(RunConfig))]
    for group in (SECTION, *GROUPS):
        lines += _of_group(group, extensions(group, package=package))
    return "\n".join(lines) + "\n"


def _of_group(group: Group, found: Sequence[Extension]) -> Iterator[str]:
    if not found:
        return
    yield from ("", f"## {group.plural.capitalize()}", "")
    if group.says:
        rows = ([_code(one.name), *(one.said(key) for key in group.says), one.about] for one in found)
        yield from _table(("name", *group.says, "about"), rows)
    for one in found:
        version = f", version {one.version}" if one.version is not None else ""
        yield from ("", f"### {one.name}", "", f"From {one.package}{version}. {one.description}", "")
        if one.about_parameters:
            yield from (f"Parameters: {one.about_parameters}", "")
        yield from _settings(one.parameters, under=f"{one.name}." if group is SECTION else "")


def _settings(found: Iterable[Parameter], *, under: str = "") -> Iterator[str]:
    rows = [(_code(under + p.name), _code(p.type), _code(p.default_text), p.bounds, p.description) for p in found]
    yield from _table(("setting", "type", "default", "bounds", "about"), rows) if rows else ("It has no settings.",)


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    yield _row(header)
    yield "|" + "---|" * len(header)
    yield from map(_row, rows)


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _code(text: str) -> str:
    return f"`{text}`" if text else ""
