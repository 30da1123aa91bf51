"""How a run begins, by whatever way it is started: its root, the config that it goes by, and what that changes.

The command line, a Prefect deployment, a job on a cluster and Python all come through `begin`, and through `run_root`
or the flow itself. `begin` touches nothing; the flow opens the root and keeps the config under the root's lease.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from fld_engine.engine.data.journal import read_journal
from fld_engine.engine.data.store import CONFIG_FILE, Store
from fld_engine.engine.plan.config import RunConfig, parse_config
from fld_engine.engine.plan.layers import MAPPING, Layer, layers_of, merge, merged, nested, said_by, within
from fld_engine.engine.plan.needs import check_needs
from fld_engine.engine.plan.plan import Plan
from fld_engine.engine.plan.registry import check_extensions, pin, stages_of_run
from fld_engine.engine.plan.rounds import plan_of
from fld_engine.engine.sources.open import check_spec
from fld_engine.flows.asked import Asked
from fld_engine.flows.changes import Change, changes_between, how_it_runs, told
from fld_engine.flows.kept import Kept, read_kept, repinned, unpinned
from fld_engine.flows.origins import Given, Origins
from fld_engine.flows.root import keep_config
from fld_engine.flows.run_sources import check_new, own_sources, paths_named, sources_of
from fld_engine.flows.terminal import work_set_note
from fld_engine.schemas.errors import ConfigError, RootError

if TYPE_CHECKING:
    from fld_engine.flows.summary import RunSummary

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Begun:
    """A run that may begin: `config` is what it goes by, `changes` what that changes of the root.

    `staying` are settings given earlier over the recipe that hold on beside it.
    """

    asked: Asked
    store: Store
    config: RunConfig
    origins: Origins
    kept: Kept | None
    changes: tuple[Change, ...] = ()
    staying: tuple[str, ...] = ()

    @property
    def asking(self) -> list[Change]:
        """The changes that somebody has to say yes to."""
        return [change for change in self.changes if change.asks and not self.asked.yes]

    def require_yes(self) -> None:
        """Raises `ConfigError` where settings would change that nobody said should."""
        if self.asking:
            raise ConfigError(
                f"this run would change what {self.asked.root} was made with:\n{told(self.asking)}\n"
                f"To go on with the root's own settings, leave the recipe out: `fld run {self.asked.root}`. To keep a "
                "--set, give it again. To have the changes, say --yes (a deployment: parameter `yes`)"
            )

    def plan(self, config: RunConfig | None = None) -> Plan:
        """What is missing in the root, under this config or one made from it."""
        return plan_of(self.store, config or self.config, None)

    def require_work(self) -> None:
        """Raises `ConfigError` where there is no image, and no source of any."""
        if not self.config.sources and not (self.kept and read_journal(self.store)):
            raise ConfigError("nothing to run on: the root is empty and no --source was given")

    def require_libraries(self, *, refine: bool = False) -> None:
        """Raises `ConfigError` that names the extras which the run needs and this environment lacks."""
        check_needs(self.config, [self.asked.root], refine=refine)

    def keep(self, store: Store, config: RunConfig) -> None:
        """Have the root go by this config from now on; `config` may be pinned, `store` be guarded by a lease.

        Raises `LeaseError` beside another driver, `RootError` where one has changed the config since the run began.
        """
        there = store.read_bytes(CONFIG_FILE) if store.exists(CONFIG_FILE) else None
        if there != (self.kept.text if self.kept else None):
            raise RootError(f"another run has changed the settings of {self.asked.root} meanwhile; run again")
        keep_config(store, config, self.origins)


def begin(asked: Asked) -> Begun:
    """Resolve what a run is asked for against what its root goes by until now; nothing is written.

    A recipe, file or mapping stands for itself, with what is given over it now; how the root is run, and the sources
    that were given, stay. Without one, all settings of the root stay, but for what is given.

    Raises `ConfigError` for wrong settings, `RootError` for a root that cannot be used or, without a recipe, is not
    there.
    """
    store = Store(asked.root)
    kept = read_kept(store)
    given = asked.given
    if asked.recipe is None:
        if kept is None:
            store.open_root(create=False)  # tells what is there instead
            raise RootError(f"{asked.root} has no {CONFIG_FILE}: no run has begun its work on it; give a recipe")
        layers = [Layer("", unpinned(kept))]
        before, where = kept.origins or Origins(), f"{asked.root}/{CONFIG_FILE}"
        earlier, said = dict(before.given), dict(before.said)
        recipe = before.recipe
    else:
        layers = layers_of(asked.recipe)
        recipe = asked.recipe if isinstance(asked.recipe, str) else ""
        where = recipe or MAPPING
        earlier, said = _staying(kept, given), {"sources": layers[-1].origin, **said_by(layers)}
    tree = merged(layers)
    over = given if asked.recipe is None else {**earlier, **given}
    sources, added, instead = sources_of(asked, kept, own_sources(asked, kept, tree, where), over)
    for path, one in over.items():
        if not within(path, "sources"):
            tree = merge(tree, nested(path, one.value))
    tree["sources"] = [spec.model_dump(mode="json") for spec in sources]
    config = parse_config(tree, where=where)
    for number, spec in enumerate(config.sources):
        check_spec(spec, where=f"{where}: sources.{number}")
    check_extensions(config)
    check_new(asked, kept)
    origins = Origins(
        recipe=recipe, said=_without(said, given), given=_over(earlier, given), added=added, instead=instead
    )
    staying = tuple(path for path in earlier if path not in given) if asked.recipe is not None else ()
    begun = Begun(asked, store, config, origins, kept, staying=staying)
    if kept is None:
        return begun
    config = repinned(config, kept)
    found = changes_between((kept.config, kept.origins), (config, origins), (*given, *paths_named(asked, config)))
    return replace(begun, config=config, changes=tuple(found))


def run_root(
    asked: Asked, tell: Callable[[str], None] = log.info, confirm: Callable[[str], bool] = lambda question: False
) -> RunSummary | None:
    """Run the whole pipeline on a root, doing only what is missing; None where nothing is, and no flow was started.

    `tell` gets lines for people; `confirm` is asked for the yes that some changes need. Raises what `begin` raises,
    `ConfigError` for changes without a yes, and all errors of a run.
    """
    begun = begin(asked)
    if begun.asking and confirm(f"{asked.root} was made with other settings:\n{told(begun.asking)}\nChange them?"):
        begun = replace(begun, asked=asked.model_copy(update={"yes": True}))
    begun.require_yes()
    begun.require_work()
    begun.require_libraries()
    # a new root misses everything: what its config leaves open is looked up by the flow alone
    config = begun.config if begun.kept is None else pin(begun.config, strict=True)
    plan = begun.plan(config)
    for line in (*lines_about(begun), work_set_note(plan)):
        if line:
            tell(line)
    if begun.kept is not None and all(stage.is_current(plan) for stage in stages_of_run(config)):
        begun.keep(begun.store, config)
        return None
    return start_flow(begun.asked)


def start_flow(asked: Asked) -> RunSummary:
    """The flow, on the Prefect server that there is or on a temporary one."""
    from fld_engine.flows.prefect_server import prefect_api

    with prefect_api():
        from fld_engine.flows.pipeline import run_flow

        summary: RunSummary = run_flow(**asked.parameters)
        return summary


def lines_about(begun: Begun) -> list[str]:
    """What people are told of the settings of a run before it begins."""
    lines = []
    if begun.changes:
        lines.append(f"settings of {begun.asked.root} that change:\n{told(begun.changes)}")
    if begun.staying:
        stay = ", ".join(f"{path} ({begun.origins.given[path].by})" for path in begun.staying)
        lines.append(f"given earlier, and kept: {stay}")
    return lines


def _staying(kept: Kept | None, given: Mapping[str, Given]) -> dict[str, Given]:
    """What was given earlier and holds beside a recipe, too: how the root is run."""
    before = kept.origins.given if kept and kept.origins else {}
    replaced = [path for path in before if any(within(path, now) for now in given)]
    return {path: one for path, one in before.items() if how_it_runs(path) and path not in replaced}


def _without(said: Mapping[str, str], given: Mapping[str, Given]) -> dict[str, str]:
    return {path: origin for path, origin in said.items() if not any(within(path, now) for now in given)}


def _over(earlier: Mapping[str, Given], given: Mapping[str, Given]) -> dict[str, Given]:
    """What is given now over what was given earlier; sources that are given are kept apart, by their names."""
    left = {path: one for path, one in earlier.items() if not any(within(path, now) for now in given)}
    return {path: one for path, one in {**left, **given}.items() if not within(path, "sources")}
