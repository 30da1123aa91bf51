"""Whether a root is about to be continued with other versions of libraries than it was made with."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, ClassVar, Protocol, runtime_checkable

from fld_engine.engine.data.libraries import DECISIVE, OTHER, PILLOW, MadeWith, Versions, changed, read_seen
from fld_engine.engine.plan.plan import Plan, Steps
from fld_engine.engine.plan.protocols import Annotator, NamesLibraries
from fld_engine.engine.plan.registry import installed_stages
from fld_engine.engine.plan.rounds import finished_rounds
from fld_engine.schemas.errors import ConfigError

log = logging.getLogger(__name__)


Kind = frozenset[frozenset[tuple[str, str]]]
"""All versions that had a part in an output, to be counted."""


@dataclass(frozen=True, slots=True)
class Made:
    """An output that is there: its step, its name within the step, and all versions that had a part in it."""

    step: str
    output: str
    made_with: tuple[Versions, ...]


@runtime_checkable
class Remembers(Protocol):
    """A stage whose outputs remember the versions of the libraries that they were made with."""

    name: ClassVar[str]

    def made(self, plan: Plan, steps: Collection[str]) -> Iterator[Made]:
        """Its outputs that are there under this plan, of `steps` alone where telling costs a read for each."""
        ...


@runtime_checkable
class MakesAgain(Remembers, Protocol):
    """One that can make such outputs again."""

    def make_again(self, plan: Plan, outputs: Collection[Made]) -> None:
        """Let these outputs, and what depends on them, count as missing."""
        ...


@runtime_checkable
class Stays(Remembers, Protocol):
    """One that never does, and says why: half a sentence after "because"."""

    stays: ClassVar[str]


def libraries_of(annotator: Annotator) -> tuple[str, ...]:
    """The libraries that decide what an annotator writes; Pillow is one of them where it sees images."""
    named = annotator.libraries if isinstance(annotator, NamesLibraries) else DECISIVE
    return (*named, *((PILLOW,) if "pixels" in annotator.requires | annotator.optional else ()))


def check_libraries(plan: Plan, stages: Sequence[Any]) -> None:
    """Say which steps of stages that are about to run would go on with other versions than are installed here.

    Raises `ConfigError` where `limits.library_change` is `refuse`.
    """
    if told := tell_of_libraries(plan, stages):
        if plan.config.limits.library_change == "refuse":
            raise ConfigError(f"{told} Nothing was made, for limits.library_change is 'refuse'")
        log.warning(told)


def tell_of_libraries(plan: Plan, stages: Sequence[Any]) -> str:
    """Steps that have outputs made with other versions than are installed here, and are about to get more; or nothing.

    `stages` are those that are about to run, in their order.
    """
    steps = _steps(plan, MadeWith(OTHER))
    told = []
    for number, stage in enumerate(stages):
        if isinstance(stage, Remembers):
            found = _changes(stage.made(plan, steps))
            told += [what for step, what in found.items() if _gets_more(plan, stages[: number + 1], step)]
    if not told:
        return ""
    return (
        f"{plan.store.url} is about to be continued with other versions of libraries than it was made with: "
        f"{'; '.join(told)}. What is made now may differ from what is there in the last digits. Install the versions "
        f"of then, or have all of it made with those of now: `fld replay --made-with {OTHER}`."
    )


def mark_made_with(plan: Plan, wanted: MadeWith) -> int:
    """Let the outputs that were made with such versions be made again, whole; returns their number."""
    meant = cache(lambda kind: any(wanted.matches(dict(versions)) for versions in kind))
    marked = 0
    for stage in installed_stages():
        if isinstance(stage, MakesAgain):
            found = [made for made in stage.made(plan, _steps(plan, wanted)) if meant(_kind(made))]
            stage.make_again(plan, found)
            marked += len(found)
    return marked


def not_made_again(plan: Plan, wanted: MadeWith) -> list[str]:
    """What was made with such versions, or may have been, and stays as it is: a sentence each, with the reason."""
    told = []
    for stage in installed_stages():
        if isinstance(stage, Stays):
            found = sum(any(map(wanted.matches, made.made_with)) for made in stage.made(plan, _steps(plan, wanted)))
            if found:
                told.append(f"{found} outputs of {stage.name} stay as they are, because {stage.stays}")
    if rounds := finished_rounds(plan.store):
        numbers = ", ".join(map(str, rounds))
        told.append(
            f"finished rounds of refinement ({numbers}) stay as they are, with their students, because rounds never "
            "change and do not say what they were trained with; refine a copy of the root to have them anew"
        )
    return told


def _steps(plan: Plan, wanted: MadeWith) -> frozenset[str]:
    """Steps that such versions were ever at work in."""
    return frozenset(step for step, seen in read_seen(plan.store).steps.items() if any(map(wanted.matches, seen)))


def _kind(made: Made) -> Kind:
    return frozenset(frozenset(versions.items()) for versions in made.made_with)


def _changes(outputs: Iterable[Made]) -> dict[str, str]:
    """Step → which versions are others now, and of how many outputs."""
    told: dict[str, Counter[str]] = {}
    for (step, kind), number in Counter((made.step, _kind(made)) for made in outputs).items():
        pairs = {(library, *pair) for versions in kind for library, pair in changed(dict(versions)).items()}
        for library, then, here in pairs:
            told.setdefault(step, Counter())[f"{library} {then} -> {here}"] += number
    return {
        step: f"{step}: " + ", ".join(f"{change} ({number} outputs)" for change, number in sorted(found.items()))
        for step, found in told.items()
    }


def _gets_more(plan: Plan, stages: Sequence[Any], step: str) -> bool:
    """Whether the last of these stages lacks outputs of the step, or one before it may bring images."""
    *before, stage = stages
    lacks = bool(plan.missing(step)) if isinstance(stage, Steps) else not stage.is_current(plan)
    return lacks or any(not one.is_current(plan) for one in before if not isinstance(one, Steps))
