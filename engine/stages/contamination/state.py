"""What a root knows of its contamination: the reference set, and what was found, in one small file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from pydantic import Field, ValidationError

from fld_engine.engine.data.records import FileRecord, PartitionRecord
from fld_engine.engine.data.store import Store
from fld_engine.engine.plan.plan import Found, Plan
from fld_engine.schemas.annotations import Frozen

FOLDER = "contamination"
STATE = f"{FOLDER}/state.json"
APPEARANCE = "appearance"
"""Step that keeps small views of every image, so that a list that is added later reads no image again."""
CONTAMINATION = "contamination"
"""Step that looks every image up in the reference set."""
APPEARANCE_VERSION = 1
VERSION = 1
"""Versions of what the two steps write from the same images and references."""


class ListFacts(Frozen):
    """A list as it was read: entries, and what of it could not be, by reason.

    `settings` names what the config says of it, and `parts` what it was read from.
    """

    entries: int
    settings: str = ""
    parts: tuple[str, ...] = ()
    unread: Mapping[str, int] = Field(default_factory=dict)


class References(Frozen):
    """The reference set. `made_from` names the gold images and the contents of the lists that it was made from.

    `fingerprint` covers what it holds; a set of `entries` 0 has no file. `lists` are by name, gold first.
    """

    made_from: str
    fingerprint: str = ""
    file: FileRecord | None = None
    entries: int = 0
    pictures: bool = False
    lists: Mapping[str, ListFacts] = Field(default_factory=dict)


class Finds(Frozen):
    """What one look-up found: `names` changes with it, `by_list` counts the images that show an entry of a list."""

    names: str = ""
    by_list: Mapping[str, int] = Field(default_factory=dict)


class State(Frozen):
    """`finds` are by PARTITION-FINGERPRINT of the look-up, also where nothing was found."""

    references: References
    finds: Mapping[str, Finds] = Field(default_factory=dict)


def read_state(store: Store) -> State | None:
    """None where nothing was looked up yet."""
    try:
        found: State = store.read_model(STATE, State)
    except FileNotFoundError:
        return None
    except ValidationError:  # of another version: looked up again
        return None
    return found


def state_of(plan: Plan) -> State | None:
    return plan.once(STATE, lambda: read_state(plan.store))


def has_references(plan: Plan) -> bool:
    """Whether there is anything to look up against; without it, the stage has no steps."""
    state = state_of(plan)
    return is_asked_for(plan) if state is None else state.references.entries > 0


def is_asked_for(plan: Plan) -> bool:
    """Whether the config names a list or a gold source."""
    return bool(plan.config.exclude) or any(spec.gold for spec in plan.config.sources)


def needs_pictures(plan: Plan) -> bool:
    """Whether any reference has more than a hash."""
    state = state_of(plan)
    configured = any(spec.gold for spec in plan.config.sources) or any(one.has_pictures for one in plan.config.exclude)
    return configured or (state is not None and state.references.pictures)


def finds_of(plan: Plan, partition: PartitionRecord, found: Found) -> tuple[str, Finds]:
    """(fingerprint of the look-up, its finds) of a partition.

    A look-up that is not there yet has found nothing: whoever needs it runs the stage first.
    """
    lookup, state = found.get((CONTAMINATION, partition.id), ""), state_of(plan)
    if state is None or not lookup:
        return "", Finds()
    return lookup, state.finds.get(f"{partition.id}-{lookup}", Finds())


def left_out(plan: Plan) -> dict[str, int]:
    """Images that show an entry of a list, by list, over all partitions of a plan; lists without any are 0."""
    state = state_of(plan)
    if state is None or not state.references.entries:
        return {}
    counts = Counter(dict.fromkeys(state.references.lists, 0))
    for partition in plan.partitions:
        counts.update(finds_of(plan, partition, plan.fingerprints)[1].by_list)
    return dict(counts)


def contaminated_at(plan: Plan, partition: PartitionRecord) -> str:
    """The fingerprint of a partition's look-up, empty where it found nothing."""
    lookup, finds = finds_of(plan, partition, plan.fingerprints)
    return lookup if finds.names else ""
