"""What a run is asked for, by whatever way it is started; the parameters of the flows, as one value."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from fld_engine.engine.data.settings import parse_settings
from fld_engine.engine.plan.layers import is_file, parse_override
from fld_engine.engine.sources.item import SourceSpec
from fld_engine.flows.origins import Given
from fld_engine.flows.places import absolute
from fld_engine.flows.runner_options import runner_settings
from fld_engine.schemas.annotations import Frozen

RunnerKind = Literal["local", "ray"]
KIND, ADDRESS = "runner.kind", "runner.ray_address"


class Asked(Frozen):
    """A root, and what is to be other in it than it is.

    `recipe` is a recipe's name, a YAML file, or a config as a mapping; without one, the root goes on with its own
    settings. `overrides` are `key.path=value` over it; an address of a Ray cluster asks for runner `ray`, unless they
    say otherwise. `yes`: settings of the root may change though nobody names them.
    """

    root: str
    recipe: str | Mapping[str, Any] | None = None
    sources: Sequence[str | Mapping[str, Any]] = ()
    gold: Sequence[str] = ()
    overrides: Sequence[str] = ()
    runner: RunnerKind | None = None
    workers: int | None = None
    ray_address: str | None = None
    metrics_port: int | None = None
    yes: bool = False

    @property
    def parameters(self) -> dict[str, Any]:
        """What `run_flow` is called with: plain values that Prefect stores."""
        return self.model_dump(mode="json", exclude_defaults=True)

    def from_anywhere(self) -> Asked:
        """The same for a process in another folder: local paths are told from the root of the file system."""
        recipe = self.recipe
        if isinstance(recipe, str) and is_file(recipe):
            recipe = os.path.abspath(recipe)
        sources = tuple(absolute(one) if isinstance(one, str) else one for one in self.sources)
        gold = tuple(map(absolute, self.gold))
        changed = {"root": absolute(self.root), "recipe": recipe, "sources": sources, "gold": gold}
        return self.model_copy(update=changed)

    @property
    def given(self) -> dict[str, Given]:
        """Settings that are given over the recipe, by path, in their order."""
        found: dict[str, Given] = {}
        for override in self.overrides:
            path, value = parse_override(override)
            found.pop(path, None)
            found[path] = Given(value=value, by="--set")
        if not self.runner and KIND not in found and (address := found.get(ADDRESS)) and address.value:
            found[KIND] = Given(value="ray", by="--set")  # as --ray-address does
        settings = runner_settings(self.runner, self.workers, self.ray_address)
        if self.metrics_port is not None:
            settings["metrics_port"] = self.metrics_port
        implied = {"kind": "--runner" if self.runner else "--ray-address"}
        for key, value in settings.items():
            by = implied.get(key, f"--{key.replace('_', '-')}")
            found[f"runner.{key}"] = Given(value=value, by=by)
        return found

    @property
    def new_sources(self) -> list[SourceSpec]:
        """Sources that are given beside the recipe's; local ones by their absolute path, for runs from elsewhere.

        Raises `ConfigError` for a source with settings that there are not.
        """
        trees: list[Mapping[str, Any]] = [{"url": one} if isinstance(one, str) else one for one in self.sources]
        trees += [{"url": url, "gold": True} for url in self.gold]
        return [_placed(parse_settings(SourceSpec, tree, under="sources")) for tree in trees]


def _placed(spec: SourceSpec) -> SourceSpec:
    changed = {"url": absolute(spec.url)} if absolute(spec.url) != spec.url else {}
    return spec.model_copy(update=changed)
