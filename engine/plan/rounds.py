"""Rounds of refinement in a root: what each left, and the plan of the root as it stands after one.

A round is files of its own under `rounds/NNN`; nothing older is touched. Its labels stand where annotations of a source
stand, so that coverage, report and export of a round are those of any other root.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pydantic import Field, JsonValue

from fld_engine.engine.data.journal import read_journal, read_partitions
from fld_engine.engine.data.records import FileRecord, ModelIdentity, PartitionRecord
from fld_engine.engine.data.round_facts import RoundFacts
from fld_engine.engine.data.store import Store
from fld_engine.engine.plan.config import RunConfig
from fld_engine.engine.plan.plan import Plan, make_plan
from fld_engine.engine.plan.registry import build_annotator, build_filter
from fld_engine.schemas.annotations import Frozen
from fld_engine.schemas.errors import RootError
from fld_engine.schemas.kinds import KINDS, REDERIVED

LABELS = frozenset(KINDS) - REDERIVED
"""What the labels of a round may hold. Whether any image has some of it makes no difference to what follows from it."""
RECORD = "round.json"


class RoundPartition(Frozen):
    """The labels of one partition after a round.

    `standing` has the labels of the images that are not gold, and what people said of the gold ones; `unseen` has the
    labels of all, as if nobody had looked at the gold ones, which is how specialists and students see them. `ledger`
    are the edits that led here.
    """

    standing: PartitionRecord
    unseen: PartitionRecord
    ledger: FileRecord


class RoundRecord(Frozen):
    """A finished round. Round 0 holds what the filters kept of the specialists' labels.

    `fingerprint` covers the labels it began with and all settings; `gates` are its decisions, `details` everything else
    that it measured, as JSON that only its maker reads. `models` are specialists that it made, by the name on their
    annotations. `said` of round 0 maps partition → fingerprint of what sources said of its images then.
    """

    number: int
    fingerprint: str
    partitions: tuple[RoundPartition, ...]
    gates: tuple[RoundFacts, ...] = ()
    models: Mapping[str, ModelIdentity] = Field(default_factory=dict)
    details: Mapping[str, JsonValue] = Field(default_factory=dict)
    said: Mapping[str, str] = Field(default_factory=dict)


def round_folder(number: int) -> str:
    return f"rounds/{number:03d}"


def has_round(store: Store, number: int) -> bool:
    return store.exists(f"{round_folder(number)}/{RECORD}")


def finished_rounds(store: Store) -> list[int]:
    """Numbers of the rounds that are done, rising; without that of the labels that they begin with."""
    numbers = sorted(int(name) for name in store.list_folders("rounds") if name.isdigit())
    return [number for number in numbers if number and has_round(store, number)]


def read_round(store: Store, number: int) -> RoundRecord:
    """Raises `RootError` where the round is not there."""
    if not has_round(store, number):
        raise RootError(f"{store.url} has no round {number}; make it with `fld refine {store.url} --rounds {number}`")
    record: RoundRecord = store.read_model(f"{round_folder(number)}/{RECORD}", RoundRecord)
    return record


def plan_of(store: Store, config: RunConfig, number: int | None = None) -> Plan:
    """The plan of a root as it was annotated, or as it stands after a round.

    Raises `RootError` for a round that is not there, or that was made of other partitions, or of other words of their
    sources, than there are now.
    """
    partitions = read_partitions(read_journal(store))
    if number is None:
        return make_plan(store, config, partitions)
    record = read_round(store, number)
    if [p.id for p in partitions] != [p.standing.id for p in record.partitions]:
        raise RootError(
            f"round {number} of {store.url} was made of {len(record.partitions)} partitions, the root has "
            f"{len(partitions)} now: images were added or removed since; refine again, in a copy of the root"
        )
    first = read_round(store, 0) if has_round(store, 0) else record
    if revised := [
        p.id for p in partitions if first.said.get(p.id, p.annotations_fingerprint) != p.annotations_fingerprint
    ]:
        raise RootError(
            f"round {number} of {store.url} was made before its sources said something else of images, gold marks "
            f"included, in {len(revised)} partitions; refine again, in a copy of the root"
        )
    standing = [partition.standing for partition in record.partitions]
    past = [read_round(store, earlier) for earlier in range(1, number + 1)]
    makers = {name: build_annotator(name, c).model for name, c in config.annotators.items()}
    return make_plan(
        store,
        standing_config(config),
        standing,
        folder=f"{round_folder(number)}/",
        rounds=[gate for record in past for gate in record.gates],
        earlier=makers | {name: model for record in past for name, model in record.models.items()},
        brought=LABELS,
    )


def plan_of_labels(store: Store, config: RunConfig, partitions: Sequence[PartitionRecord]) -> Plan:
    """The plan of what follows from labels that stand in `partitions`."""
    return make_plan(store, standing_config(config), partitions, brought=LABELS)


def standing_config(config: RunConfig) -> RunConfig:
    """The config of a root after a round: annotators that follow from its labels, and the filters that judge them."""
    annotators = {
        name: of_annotator
        for name, of_annotator in config.annotators.items()
        if build_annotator(name, of_annotator).produces <= REDERIVED
    }
    filters = {
        name: of_filter
        for name, of_filter in config.filters.items()
        if build_filter(name, of_filter).target in ("phrases", "phrase_regions")
    }
    return config.model_copy(update={"annotators": annotators, "filters": filters})
