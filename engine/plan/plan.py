"""What a root lacks under a config: fingerprints of every step, and which of them are not there yet.

Resume, retuning, adding an annotator and adding images are this one mechanism.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from fld_engine.engine.data.hashing import fingerprint
from fld_engine.engine.data.records import ModelIdentity, PartitionOutputs, PartitionRecord
from fld_engine.engine.data.round_facts import RoundFacts
from fld_engine.engine.data.store import Store
from fld_engine.engine.plan.config import ALWAYS_DESCRIBED, AnnotatorConfig, RunConfig
from fld_engine.engine.plan.graph import Graph, Group, build_graph, side_by_side
from fld_engine.engine.plan.protocols import Annotator, Filter, Resources
from fld_engine.engine.plan.registry import build_annotator, build_filter, runtime_params
from fld_engine.engine.plan.tasks import AnnotateStep, DecideStep, Lane, PartitionTask, ReportStep, Task
from fld_engine.engine.stages.coverage import aggregates
from fld_engine.engine.stages.report.tables import VERSION as REPORT_VERSION
from fld_engine.schemas.kinds import FAMILIES, FROM_SOURCES, Kind

DECIDE_VERSION = 1
"""Version of the way verdicts are put together from filters."""
ARITHMETIC = Resources(cpus=1.0, memory_mb=500)
REPLAYED = ".replayed-"


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
    folder: str = ""
    rounds: Sequence[RoundFacts] = ()
    earlier: Mapping[str, ModelIdentity] = field(default_factory=dict)
    _listings: dict[str, set[str]] = field(default_factory=dict)

    @cached_property
    def fingerprints(self) -> dict[tuple[str, str], str]:
        """(step, partition) → fingerprint of the output that counts, replays included."""
        found: dict[tuple[str, str], str] = {}
        for record in self.partitions:
            for name in self.graph.order:
                identity = fingerprint(self._annotator_parts(name, record, found))
                found[name, record.id] = self._replayed(name, record.id, identity)
            outputs = {name: found[name, record.id] for name in self.graph.order}
            known = {"partition": record.fingerprint, "source": record.annotations_fingerprint, "outputs": outputs}
            found["verdicts", record.id] = fingerprint(
                {**known, "decide": DECIDE_VERSION, "filters": self._filter_parts}
            )
            found["coverage", record.id] = fingerprint(
                {**known, "verdicts": found["verdicts", record.id], "version": aggregates.VERSION}
            )
            found["report", record.id] = fingerprint(
                {**known, "verdicts": found["verdicts", record.id], "report": REPORT_VERSION, "derived": self.derived}
            )
        return found

    def missing(self, step: str) -> list[PartitionRecord]:
        """Partitions whose output of this step is not there."""
        names = self._listing(step)
        return [r for r in self.partitions if f"{r.id}-{self.fingerprints[step, r.id]}.json" not in names]

    @property
    def export_folder(self) -> str:
        """Where the export of this plan goes, in the root."""
        return self.folder + self.config.export.folder

    @property
    def steps(self) -> tuple[str, ...]:
        return (*self.graph.order, "verdicts", "coverage")

    def blind_annotators(self) -> tuple[float, list[str]]:
        """The lowest score that the filters let pass, and the annotators whose work set begins above it.

        A filter of regions says how low it reaches in `lowest_score`. Regions below the work set of an annotator are
        kept without what it would say of them; a lower `work_set.min_score` runs it again, and what reads it.
        """
        bounds = [judge.lowest_score for judge in self.filters.values() if hasattr(judge, "lowest_score")]
        lowest: float = max(bounds, default=1.0)
        blind = [
            name
            for name in self.graph.order
            if _reads(self.annotators[name]) & {"objects", "scene_text"}
            and self.config.annotators[name].work_set.min_score > lowest
        ]
        return lowest, blind

    # ------------------------------------------------------------------ tasks

    def annotate_lanes(self) -> list[Lane]:
        """Tasks of the missing annotator outputs, lane after lane."""
        gaps = {name: {r.id for r in self.missing(name)} for name in self.graph.order}
        lanes = []
        for groups in lanes_of(self.graph.groups, self.config.runner.lane_memory_mb):
            tasks: list[Task] = []
            for record in self.partitions:
                steps = [tuple(self._step(n, record) for n in g.names if record.id in gaps[n]) for g in groups]
                if any(steps):
                    tasks.append(self._task(record, groups=tuple(s for s in steps if s)))
            if tasks:
                names = "+".join(name for group in groups for name in group.names)
                lanes.append(Lane(name=names, resources=together(groups), tasks=tasks))
        return lanes

    @property
    def requests(self) -> list[Resources]:
        """What one worker of each lane needs."""
        return [together(groups) for groups in lanes_of(self.graph.groups, self.config.runner.lane_memory_mb)]

    def decide_lane(self) -> Lane:
        tasks = [
            self._task(
                record,
                decide=DecideStep(
                    filters=self.config.filters,
                    outputs=self._outputs(record),
                    fingerprint=self.fingerprints["verdicts", record.id],
                ),
            )
            for record in self.missing("verdicts")
        ]
        return Lane(name="verdicts", resources=ARITHMETIC, tasks=tasks)

    def cover_lane(self) -> Lane:
        tasks = [self._task(record, cover=self.cover_step(record)) for record in self.missing("coverage")]
        return Lane(name="coverage", resources=ARITHMETIC, tasks=tasks)

    def report_lane(self) -> Lane:
        tasks = [self._task(record, report=self.report_step(record)) for record in self.missing("report")]
        return Lane(name="report", resources=ARITHMETIC, tasks=tasks)

    def report_step(self, record: PartitionRecord) -> ReportStep:
        """How to aggregate a partition for a report."""
        return ReportStep(
            reads=self.cover_step(record),
            derived=self.derived,
            keeps_low=tuple(name for name, judge in self.filters.items() if getattr(judge, "keeps_low", False)),
            fingerprint=self.fingerprints["report", record.id],
        )

    @cached_property
    def derived(self) -> tuple[tuple[str, str], ...]:
        """Pairs of annotators, in both orders, of which one reads what the other writes, directly or not."""
        above: dict[str, set[str]] = {}
        for name in self.graph.order:
            direct = self.graph.upstream[name]
            above[name] = set(direct).union(*(above[upstream] for upstream in direct))
        pairs = {pair for name, seen in above.items() for other in seen for pair in ((name, other), (other, name))}
        return tuple(sorted(pairs))

    def cover_step(self, record: PartitionRecord) -> PartitionOutputs:
        """Where to find everything committed about a partition."""
        return PartitionOutputs(
            verdicts=self.fingerprints["verdicts", record.id],
            outputs=self._outputs(record),
            producers=self.producers,
            fingerprint=self.fingerprints["coverage", record.id],
        )

    @cached_property
    def producers(self) -> dict[str, tuple[str, ...]]:
        """Annotation family → the annotators that write it."""
        return {
            family: tuple(n for n in self.graph.order if self.annotators[n].produces & kinds)
            for family, kinds in FAMILIES.items()
        }

    @property
    def described_config(self) -> dict[str, Any]:
        """The config as JSON, without what says how an annotator runs and not what it writes."""
        described = {**{name: {} for name in ALWAYS_DESCRIBED}, **self.config.model_dump(mode="json")}
        for name, annotator in self.annotators.items():
            of_annotator = described["annotators"][name]
            of_annotator["params"] = _written_params(annotator, self.config.annotators[name])
            del of_annotator["resources"], of_annotator["images_per_s"]
        return described

    # ------------------------------------------------------------------ parts

    def _annotator_parts(
        self, name: str, record: PartitionRecord, found: Mapping[tuple[str, str], str]
    ) -> dict[str, Any]:
        annotator, config = self.annotators[name], self.config.annotators[name]
        parts: dict[str, Any] = {
            "annotator": name,
            "use": config.use or name,
            "version": annotator.version,
            "params": _written_params(annotator, config),
            "model": annotator.model.model_dump(mode="json", exclude={"licence"}),
            "batch_size": annotator.batch_size,
            "seed": self.config.seed,
            "images": self.config.images.model_dump(mode="json"),
            "partition": record.fingerprint,
        }
        if _reads(annotator) - {"pixels"}:
            parts["work_set"] = config.work_set.model_dump(mode="json")
            parts["source"] = record.annotations_fingerprint
            parts["upstream"] = {n: found[n, record.id] for n in self.graph.upstream[name]}
        return parts

    @cached_property
    def _filter_parts(self) -> list[Any]:
        return [
            [name, config.use or name, self.filters[name].version, dict(config.params)]
            for name, config in self.config.filters.items()
        ]

    def _listing(self, step: str) -> set[str]:
        if step not in self._listings:
            self._listings[step] = self.store.list_names(f"stages/{step}")
        return self._listings[step]

    def _replayed(self, step: str, partition: str, identity: str) -> str:
        """Follow the marks that replays left: the newest fingerprint that stands in for this one."""
        marks = self._replays(step)
        while f"{partition}-{identity}" in marks:
            identity = marks[f"{partition}-{identity}"]
        return identity

    def _replays(self, step: str) -> dict[str, str]:
        marks = [(name.split(REPLAYED)[0], name.split(REPLAYED)[1]) for name in self._listing(step) if REPLAYED in name]
        return dict(marks)

    def _outputs(self, record: PartitionRecord) -> dict[str, str]:
        return {name: self.fingerprints[name, record.id] for name in self.graph.order}

    def _task(self, record: PartitionRecord, **parts: Any) -> PartitionTask:
        return PartitionTask(
            root=self.store.url, seed=self.config.seed, partition=record, images=self.config.images, **parts
        )

    def _step(self, name: str, record: PartitionRecord) -> AnnotateStep:
        annotator = self.annotators[name]
        upstream = self.graph.upstream[name]
        identity = self.fingerprints[name, record.id]
        key = f"{record.id}-{identity}"
        replaced = {f"{record.id}-{new}": old.rsplit("-", 1)[-1] for old, new in self._replays(name).items()}
        return AnnotateStep(
            name=name,
            config=self.config.annotators[name],
            reads=_reads(annotator),
            upstream={n: self.fingerprints[n, record.id] for n in upstream},
            required_upstream=tuple(n for n in upstream if self.annotators[n].produces & annotator.requires),
            fingerprint=identity,
            replays=replaced.get(key, ""),
        )


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
        folder=folder,
        rounds=rounds,
        earlier=earlier or {},
    )


def lanes_of(groups: Sequence[Group], memory_mb: int) -> list[list[Group]]:
    """Groups that one worker runs one after another on a partition, with their models side by side.

    Groups on processors share a lane while they ask for the same and fit in `memory_mb`; a group on a GPU has its own.
    """
    lanes: list[list[Group]] = []
    for group in groups:
        last = lanes[-1] if lanes else []
        same = last and last[0].resources.cpus == group.resources.cpus and last[0].resources.gpus == 0
        if same and group.resources.gpus == 0 and together([*last, group]).memory_mb <= memory_mb:
            last.append(group)
        else:
            lanes.append([group])
    return lanes


def together(groups: Sequence[Group]) -> Resources:
    """What one worker of a lane needs: the models of its groups side by side."""
    return side_by_side([group.resources for group in groups])


def _written_params(annotator: Annotator, config: AnnotatorConfig) -> dict[str, Any]:
    return {key: value for key, value in config.params.items() if key not in runtime_params(annotator)}


def _reads(annotator: Annotator) -> frozenset[Kind]:
    return annotator.requires | annotator.optional


def _brought(config: RunConfig, partitions: Sequence[PartitionRecord]) -> frozenset[Kind]:
    """Kinds that the sources bring, or may bring where nothing is ingested yet."""
    tables = {name for record in partitions for files in (record.files, *record.additions) for name in files}
    found: set[Kind] = {kind for table, kinds in _KINDS_OF_TABLE.items() if table in tables for kind in kinds}
    if any(spec.kind != "folder" for spec in config.sources):
        found |= FROM_SOURCES
    return frozenset(found)


_KINDS_OF_TABLE: dict[str, tuple[Kind, ...]] = {
    "texts": ("brief_texts", "detailed_texts"),
    "regions": ("objects", "scene_text"),
    "masks": ("masks",),
    "phrases": ("groundings",),
}
