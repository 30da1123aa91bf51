"""What a run would change of the settings that a root has, and which of that somebody has to say yes to."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from pydantic import JsonValue

from fld_engine.engine.plan.config import RunConfig
from fld_engine.engine.plan.layers import Tree, within
from fld_engine.flows.origins import DEFAULT, ROOT, SOURCE, Origins, settings_of
from fld_engine.schemas.annotations import Frozen

HOW_IT_RUNS = ("runner", "limits", "models_root")
"""Settings that change no label: where a run works, and how much it puts up with."""
HOW_ANNOTATORS_RUN = ("resources", "images_per_s")
MAX_CHARS = 80
"""Of a value that is told on a line."""


class Change(Frozen):
    """A setting that a root would have otherwise than before; `old` or `new` is null where it is not there.

    `asks`: somebody has to say yes, for nobody said on this occasion that it should change.
    """

    path: str
    old: JsonValue
    new: JsonValue
    old_origin: str
    new_origin: str
    asks: bool

    def __str__(self) -> str:
        return f"{self.path}: {_told(self.old, self.old_origin)} -> {_told(self.new, self.new_origin)}"


def changes_between(
    old: tuple[RunConfig, Origins | None], new: tuple[RunConfig, Origins], named: Collection[str]
) -> list[Change]:
    """Settings in which two configs differ. `named` are the paths that whoever starts the run gives by themselves.

    Those are meant; so is a source that is added. How a run works may change without a word.
    """
    before, after = old[1], new[1]
    found = []
    for path, was, becomes in _differences(settings_of(old[0]), settings_of(new[0])):
        unknown = ROOT if before is None else before.of(path)
        meant = any(within(path, one) or within(one, path) for one in named)
        added = path.startswith("sources.") and was is None
        asks = not (meant or added or how_it_runs(path))
        origins = ("" if was is None else unknown, after.of(path))
        found.append(Change(path=path, old=was, new=becomes, old_origin=origins[0], new_origin=origins[1], asks=asks))
    return found


def how_it_runs(path: str) -> bool:
    """Whether a setting says how a run works, and not what it makes; sections of packages, too, are not a run's."""
    first, *rest = path.split(".")
    if first == "annotators":
        return len(rest) > 1 and rest[1] in HOW_ANNOTATORS_RUN
    return first in HOW_IT_RUNS or first not in RunConfig.model_fields


def told(changes: Sequence[Change]) -> str:
    """Changes as lines, each indented."""
    return "\n".join(f"  {change}" for change in changes)


def _differences(old: Tree, new: Tree, under: str = "") -> Iterator[tuple[str, Any, Any]]:
    for key in dict.fromkeys((*old, *new)):
        was, becomes, path = old.get(key), new.get(key), f"{under}{key}"
        if was == becomes or (was in (None, {}) and becomes in (None, {})):
            continue  # to say nothing under a key, or not to have it, is the same
        if isinstance(was, Mapping) and isinstance(becomes, Mapping):
            yield from _differences(dict(was), dict(becomes), f"{path}.")
        else:
            yield path, was, becomes


def _told(value: JsonValue, origin: str) -> str:
    if value is None:
        return "nothing" if origin in ("", DEFAULT, SOURCE) else f"nothing ({origin})"
    text = json.dumps(value, ensure_ascii=False)
    short = text if len(text) <= MAX_CHARS else f"{text[: MAX_CHARS - 1]}…"
    return f"{short} ({origin})" if origin else short
