"""What a root lacks under a config: fingerprints of every step, and which of them are not there yet.

Resume, retuning, adding an annotator and adding images are this one mechanism. Which steps there are and what each
depends on, the stages say.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, ClassVar, Protocol, TypeVar, runtime_checkable

from fld_engine.engine.data.hashing import fingerprint
from fld_engine.engine.data.identity import identity_of
from fld_engine.engine.data.records import ModelIdentity, PartitionRecord
from fld_engine.engine.data.round_facts import RoundFacts
from fld_engine.engine.data.store import Store
from fld_engine.engine.plan.config import AnnotatorConfig, RunConfig
from fld_engine.engine.plan.graph import Graph, build_graph, lanes_of, together
from fld_engine.engine.plan.protocols import Annotator, Bounding, Filter, Resources
from fld_engine.engine.plan.registry import build_annotator, build_filter, installed_stages, runtime_params
from fld_engine.engine.plan.tasks import ARITHMETIC, Lane, Task
from fld_engine.engine.sources.open import brings
from fld_engine.schemas.annotations import Frozen
from fld_engine.schemas.kinds import BOXED, FAMILIES, Kind, kinds_of

REPLAYED = ".replayed-"
"""In the name of a mark: another output stands in for this one, and takes over what was done."""
REMADE = ".remade-"
"""The same, for an output that is made anew."""

Known = TypeVar("Known")

Found = Mapping[tuple[str, str], str]
"""(step, partition) → fingerprint."""


@runtime_checkable
class Steps(Protocol):
    """What a plan asks of a stage that maps over partitions: which steps it has, and when an output is another one.

    `every_run` says that a run is not complete without them.
    """

    name: ClassVar[str]
    every_run: ClassVar[bool]

    def steps(self, plan: Plan) -> Sequence[str]:
        """Names of its steps, in an order in which each may read those before it. Each is a folder under `stages/`."""
        ...

    def identity(self, plan: Plan, step: str, partition: PartitionRecord, found: Found) -> Mapping[str, Any]:
        """Everything the output of a step depends on; `found` has the fingerprints of the steps before it."""
        ...

    def lanes(self, plan: Plan, missing: Mapping[str, Collection[str]]) -> list[Lane]:
        """Tasks that write what is missing: partitions by step."""
        ...


@dataclass(frozen=True)
class Plan:
    """Fingerprints and gaps of a root. `partitions` are those of all finished ingests.

    `folder` is where what is made of all of them goes: empty, or that of a round with its slash; `rounds` are what led
    to the labels of such a round, and `earlier` the models that made those of round 0.
    """

    store: Store
    config: RunConfig
    partitions: Sequence[PartitionRecord]
    annotators: Mapping[str, Annotator]
    filters: Mapping[str, Filter]
    graph: Graph
    stages: Sequence[Steps]
    folder: str = ""
    rounds: Sequence[RoundFacts] = ()
    earlier: Mapping[str, ModelIdentity] = field(default_factory=dict)
    _listings: dict[str, set[str]] = field(default_factory=dict)
    _known: dict[str, Any] = field(default_factory=dict)

    @cached_property
    def fingerprints(self) -> dict[tuple[str, str], str]:
        """(step, partition) → fingerprint of the output that counts, replays included."""
        found: dict[tuple[str, str], str] = {}
        for stage in self.stages:
            for step in stage.steps(self):
                for record in self.partitions:
                    identity = fingerprint(stage.identity(self, step, record, found))
                    found[step, record.id] = self._replayed(step, record.id, identity)
        return found

    def missing(self, step: str) -> list[PartitionRecord]:
        """Partitions whose output of this step is not there."""
        names = self._listing(step)
        return [r for r in self.partitions if f"{r.id}-{self.fingerprints[step, r.id]}.json" not in names]

    def lanes(self, stage: Steps) -> list[Lane]:
        """Tasks of a stage's missing outputs, lane after lane."""
        missing = {step: {record.id for record in self.missing(step)} for step in stage.steps(self)}
        return [lane for lane in stage.lanes(self, missing) if lane.tasks]

    @property
    def steps(self) -> tuple[str, ...]:
        """Steps that every run does, in order."""
        return tuple(step for stage in self.stages if stage.every_run for step in stage.steps(self))

    def outputs(self, record: PartitionRecord) -> dict[str, str]:
        """Annotator → fingerprint of its output for a partition, in graph order."""
        return {name: self.fingerprints[name, record.id] for name in self.graph.order}

    def blind_annotators(self) -> tuple[float, list[str]]:
        """The lowest score that the filters let pass, and the annotators whose work set begins above it.

        Where no filter has a bound, every score passes, and the lowest is 0.
        Regions below the work set of an annotator are kept without what it would say of them; a lower
        `work_set.min_score` runs it again, and what reads it.
        """
        bounds = [judge.lowest_score for judge in self.filters.values() if isinstance(judge, Bounding)]
        lowest = max(bounds, default=0.0)
        blind = [
            name
            for name in self.graph.order
            if reads(self.annotators[name]) & BOXED and self.config.annotators[name].work_set.min_score > lowest
        ]
        return lowest, blind

    @property
    def requests(self) -> list[Resources]:
        """What one worker of each lane of annotators needs."""
        return [together(groups) for groups in lanes_of(self.graph.groups, self.config.runner.lane_memory_mb)]

    @cached_property
    def derived(self) -> tuple[tuple[str, str], ...]:
        """Pairs of annotators, in both orders, of which one reads what the other writes, directly or not."""
        above: dict[str, set[str]] = {}
        for name in self.graph.order:
            direct = self.graph.upstream[name]
            above[name] = set(direct).union(*(above[upstream] for upstream in direct))
        pairs = {pair for name, seen in above.items() for other in seen for pair in ((name, other), (other, name))}
        return tuple(sorted(pairs))

    @cached_property
    def producers(self) -> dict[str, tuple[str, ...]]:
        """Annotation family → the annotators that write it."""
        return {
            family: tuple(n for n in self.graph.order if self.annotators[n].produces & kinds)
            for family, kinds in FAMILIES.items()
        }

    @cached_property
    def filters_in_fingerprints(self) -> list[Any]:
        """(name, entry point, version, parameters) of each filter in the order of the config, for all partitions."""
        return [
            [name, config.use or name, self.filters[name].version, dict(config.params)]
            for name, config in self.config.filters.items()
        ]

    @property
    def described_config(self) -> dict[str, Any]:
        """The config as JSON, without what says how things run and not what they write.

        A manifest holds it, and is compared by it: a setting added later stands in it where it is not at its default.
        """
        described = identity_of(self.config)
        for name, annotator in self.annotators.items():
            described["annotators"][name]["params"] = written_params(annotator, self.config.annotators[name])
        return described

    def replays(self, step: str) -> dict[str, str]:
        """PARTITION-FINGERPRINT of an output → fingerprint of the one that stands in for it and takes over its rows."""
        return self._marks(step, REPLAYED)

    def _marks(self, step: str, kind: str) -> dict[str, str]:
        def find() -> dict[str, str]:
            names = (name.partition(kind) for name in self._listing(step) if kind in name)
            return {old: new for old, _, new in names}

        return self.once(f"{kind}{step}", find)

    def once(self, key: str, find: Callable[[], Known]) -> Known:
        """What stages ask the root for again and again, such as a small file: found once a plan."""
        if key not in self._known:
            self._known[key] = find()
        found: Known = self._known[key]
        return found

    def _listing(self, step: str) -> set[str]:
        if step not in self._listings:
            self._listings[step] = self.store.list_names(f"stages/{step}")
        return self._listings[step]

    def _replayed(self, step: str, partition: str, identity: str) -> str:
        """Follow the marks that replays left: the newest fingerprint that stands in for this one."""
        replayed, remade = self._marks(step, REPLAYED), self._marks(step, REMADE)
        while new := replayed.get(f"{partition}-{identity}") or remade.get(f"{partition}-{identity}"):
            identity = new
        return identity


def make_plan(
    store: Store,
    config: RunConfig,
    partitions: Sequence[PartitionRecord],
    *,
    folder: str = "",
    rounds: Sequence[RoundFacts] = (),
    earlier: Mapping[str, ModelIdentity] | None = None,
    brought: frozenset[Kind] = frozenset(),
) -> Plan:
    """`brought` are kinds that come with the partitions, beside those that their sources and their tables tell of.

    Raises `ConfigError` for unknown names, wrong parameters, cycles and missing producers; touches no model.
    """
    annotators = {name: build_annotator(name, c) for name, c in config.annotators.items()}
    filters = {name: build_filter(name, c) for name, c in config.filters.items()}
    graph = build_graph(annotators, brought | _brought(config, partitions))
    return Plan(
        store=store,
        config=config,
        partitions=partitions,
        annotators=annotators,
        filters=filters,
        graph=graph,
        stages=[stage for stage in installed_stages() if isinstance(stage, Steps)],
        folder=folder,
        rounds=rounds,
        earlier=earlier or {},
    )


def one_task_each(
    plan: Plan, stage: Steps, step: str, missing: Collection[str], payload: Callable[[PartitionRecord], Frozen]
) -> list[Lane]:
    """A lane of arithmetic with a task for every partition that lacks a step."""
    tasks = [
        Task(
            stage=stage.name,
            root=plan.store.url,
            label=record.id,
            units={step: record.num_images},
            payload=payload(record),
        )
        for record in plan.partitions
        if record.id in missing
    ]
    return [Lane(name=step, resources=ARITHMETIC, tasks=tasks)]


def written_params(annotator: Annotator, config: AnnotatorConfig) -> dict[str, Any]:
    """Parameters that what an annotator writes depends on."""
    return {key: value for key, value in config.params.items() if key not in runtime_params(annotator)}


def reads(annotator: Annotator) -> frozenset[Kind]:
    """Kinds that an annotator looks at."""
    return annotator.requires | annotator.optional


def _brought(config: RunConfig, partitions: Sequence[PartitionRecord]) -> frozenset[Kind]:
    """Kinds that the sources bring, or may bring where nothing is ingested yet."""
    tables = {name for record in partitions for files in (record.files, *record.additions) for name in files}
    return kinds_of(tables).union(*(brings(spec) for spec in config.sources))
