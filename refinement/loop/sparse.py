"""Tasks with too little data, after the rounds: of the few detailed texts there are, a specialist that writes the rest.

As in the FLD-5B paper (arXiv 2311.06242): one student learns all kept labels, is fine-tuned on the small set, and
writes for all images that have no text of that granularity. It runs as the annotator of any native Florence-2,
`florence2`, and its texts pass the text filters of the root. The step is a round of its own.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from fld_engine.engine.data.hashing import fingerprint
from fld_engine.engine.data.identity import identity_of
from fld_engine.engine.data.partition import load_view, source_tables
from fld_engine.engine.data.records import ModelIdentity
from fld_engine.engine.data.round_facts import NOT_MEASURED, RoundFacts
from fld_engine.engine.data.view import PartitionView
from fld_engine.engine.plan.config import AnnotatorConfig
from fld_engine.engine.plan.plan import Plan, make_plan
from fld_engine.engine.plan.registry import build_annotator, build_filter, pin
from fld_engine.engine.plan.rounds import RECORD, RoundPartition, RoundRecord, round_folder
from fld_engine.engine.stages.annotate.stage import Annotate
from fld_engine.engine.stages.coverage.stage import committed
from fld_engine.engine.stages.export.targets import CAPTION_TASKS
from fld_engine.engine.stages.filter.stage import Filter
from fld_engine.refinement.gate.sparse_gate import SparseGate, TextComparison, judge_written
from fld_engine.refinement.labels.folds import EVERY_FOLD
from fld_engine.refinement.labels.ledger import WHATS
from fld_engine.refinement.labels.tables import of_people
from fld_engine.refinement.loop.details import RoundDetails, SparseDetails
from fld_engine.refinement.loop.loop import Loop
from fld_engine.refinement.loop.settings import SparseConfig
from fld_engine.refinement.loop.sparse_texts import compare_texts, dropped_texts, missing_texts, texts_status
from fld_engine.refinement.training.training_set import written_texts
from fld_engine.schemas.annotations import Granularity, Source
from fld_engine.schemas.errors import RootError

GENERAL, SPECIALIST = "general", "specialist"
"""Names of the student that learns everything, and of what fine-tuning makes of it."""
VERSION = 1
"""Version of what this step makes of the same labels and settings."""
TEXT_TABLES = frozenset({"texts", "tokens"})
"""What a filter of texts may read to judge those of the specialist."""


@dataclass(frozen=True, slots=True)
class SparseStep:
    """The step after the rounds of a loop."""

    loop: Loop
    settings: SparseConfig

    def count(self, before: RoundRecord) -> dict[Granularity, int]:
        """Texts to learn from, by granularity. Raises `RootError` where there are fewer than the settings ask for."""
        counts: Counter[str] = Counter()
        for partition in before.partitions:
            texts = source_tables(self.loop.store, partition.standing, gold=False)["texts"]
            counts.update(written_texts(texts, self.settings.granularities)["granularity"].to_pylist())
        for granularity in self.settings.granularities:
            if counts[granularity] < self.settings.min_texts:
                raise RootError(
                    f"{self.loop.store.url} has {counts[granularity]} {granularity} texts by people or models that the "
                    f"filters keep, and `refine.sparse` needs {self.settings.min_texts} to make a specialist: write "
                    f"more, lower `min_texts`, or leave {granularity} out of `granularities`"
                )
        return {granularity: counts[granularity] for granularity in self.settings.granularities}

    def round(self, number: int, before: RoundRecord) -> RoundRecord:
        """Make the specialist, let it write, and let gold decide, where there is any."""
        labels = [partition.unseen.annotations_fingerprint for partition in before.partitions]
        sparse = {"version": VERSION, **identity_of(self.settings)}
        identity = fingerprint({**self.loop.described(), "sparse": sparse, "number": number, "labels": labels})
        if (there := self.loop.finished(number, identity)) is not None:
            return there
        learned = self.count(before)
        plan = self.plan(number, before, self.teach(number, before, identity))
        self.loop.pipeline.complete(plan, Annotate())
        self.loop.pipeline.record(plan.lanes(Filter()))
        return self._decide(number, before, plan, identity, learned)

    def teach(self, number: int, before: RoundRecord, identity: str) -> str:
        """Train the general student on all kept labels, and the specialist from it; returns the specialist's folder."""
        teacher = self.loop.teacher
        standing = teacher.standing(before)
        every = teacher.training_set(standing, EVERY_FOLD)
        general = teacher.teach(number, GENERAL, every, self.loop.settings.training, identity=identity)
        few = teacher.training_set(standing, EVERY_FOLD, self.settings.granularities)
        return teacher.teach(number, SPECIALIST, few, self.settings.training, identity=identity, start=general)

    def plan(self, number: int, before: RoundRecord, folder: str) -> Plan:
        """The specialist on all images, the parse of its texts, and the filters of texts that need no more."""
        config, store = self.loop.config, self.loop.store
        params = {
            "checkpoint": f"{store.url}/{folder}",
            "tasks": [CAPTION_TASKS[granularity] for granularity in self.settings.granularities],
            "max_new_tokens": self.loop.settings.max_answer_tokens,
        }
        annotators = {
            _name(number): AnnotatorConfig(use="florence2", params=params, resources=self.loop.settings.annotator),
            **{n: c for n, c in config.annotators.items() if build_annotator(n, c).produces <= {"tokens"}},
        }
        filters = {
            name: of_filter
            for name, of_filter in config.filters.items()
            for built in [build_filter(name, of_filter)]
            if built.target == "texts" and built.requires <= TEXT_TABLES
        }
        writing = config.model_copy(update={"annotators": annotators, "filters": filters})
        return make_plan(store, pin(writing, strict=True), [partition.unseen for partition in before.partitions])

    # ------------------------------------------------------------------ what is written

    def _decide(
        self, number: int, before: RoundRecord, plan: Plan, identity: str, learned: Mapping[Granularity, int]
    ) -> RoundRecord:
        """Gold decides by granularity; what it does not refuse is added to the labels."""
        gates, dropped = self._judge(number, before, plan)
        written: Counter[str] = Counter()
        partitions = [self._add(number, partition, plan, gates, written) for partition in before.partitions]
        name = _name(number)
        record = RoundRecord(
            number=number,
            fingerprint=identity,
            partitions=tuple(partitions),
            gates=tuple(_facts(number, gate) for gate in gates),
            models={name: plan.annotators[name].model},
            details=RoundDetails(
                gates=tuple(gate.decision for gate in gates),
                edits={**dict.fromkeys(WHATS, 0), "added": written.total()},
                sparse=SparseDetails(
                    gates=tuple(gates),
                    learned=learned,
                    written={granularity: written[granularity] for granularity in learned},
                    dropped=dropped,
                ),
            ).as_json(),
        )
        self.loop.store.create_model(f"{round_folder(number)}/{RECORD}", record)
        return record

    def _judge(self, number: int, before: RoundRecord, plan: Plan) -> tuple[list[SparseGate], Counter[str]]:
        """The decision on each granularity, and how many texts the filters dropped, by reason."""
        compared: dict[Granularity, list[TextComparison]] = {
            granularity: [] for granularity in self.settings.granularities
        }
        dropped: Counter[str] = Counter()
        for partition in before.partitions:
            view = self._view(plan, partition)
            dropped.update(dropped_texts(view, _name(number)))
            gold = of_people(source_tables(self.loop.store, partition.standing, gold=True))["texts"]
            images = self.loop.files.images(partition)
            deciding = {image.id: image.twin_group for image in images if image.gold_split == "gate"}
            labels = self.loop.files.labels(partition)["texts"]
            for granularity, found in compared.items():
                found += compare_texts(granularity, deciding, gold, labels, view, _name(number), twin_groups=deciding)
        rules, seed = self.loop.settings.rules.gate, self.loop.config.seed + number
        return [judge_written(granularity, found, rules, seed=seed) for granularity, found in compared.items()], dropped

    def _add(
        self, number: int, partition: RoundPartition, plan: Plan, gates: list[SparseGate], written: Counter[str]
    ) -> RoundPartition:
        """The partition with the texts that gold does not refuse, which are counted in `written` by granularity."""
        name, files = _name(number), self.loop.files
        view, model = self._view(plan, partition), plan.annotators[name].model
        edits = missing_texts(view, name, files.labels(partition)["texts"], gates)
        written.update(edit.new["granularity"] for edit in edits)
        status = {"texts": texts_status(self.loop.store, partition, view.status[name])}
        return files.edit(number, partition, edits, _source(name, model, number), status)

    def _view(self, plan: Plan, partition: RoundPartition) -> PartitionView:
        return load_view(self.loop.store, partition.unseen, committed(plan, partition.unseen))


def _name(number: int) -> str:
    """What the specialist of a round is called on its annotations."""
    return f"{SPECIALIST}-{number}"


def _source(name: str, model: ModelIdentity, number: int) -> Source:
    return Source(annotator=name, model=model.id, revision=model.revision, round=number)


def _facts(number: int, gate: SparseGate) -> RoundFacts:
    decision = gate.decision
    return RoundFacts(
        number=number,
        specialist=f"{gate.granularity} texts",
        metric=decision.metric if gate.measured else NOT_MEASURED,
        before=decision.before,
        after=decision.after,
        accepted=gate.accepted,
    )
