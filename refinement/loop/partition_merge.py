"""The merge of one partition, as a task of a runner: edit its labels, write its files, and say what they look like."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import pyarrow.compute as pc

from fld_engine.engine.data.images import ImageLimits
from fld_engine.engine.data.partition import read_output, read_tables
from fld_engine.engine.data.store import Store
from fld_engine.engine.plan.rounds import RoundPartition
from fld_engine.engine.plan.tasks import Task
from fld_engine.refinement.gate.gating import MergeDecision, edits_of
from fld_engine.refinement.labels.image import LabelledImage
from fld_engine.refinement.labels.judgement import Judgement, judgements
from fld_engine.refinement.labels.ledger import Unit
from fld_engine.refinement.labels.survey import Survey, survey_of
from fld_engine.refinement.loop.round_files import RoundFiles
from fld_engine.refinement.loop.stage import NAME
from fld_engine.schemas.annotations import Frozen, Source
from fld_engine.schemas.kinds import Kind
from fld_engine.schemas.tables import ANNOTATION_TABLES


class StudentOutput(Frozen):
    """Where the students of a round wrote their output for a partition, and the names that competed."""

    annotator: str
    fingerprint: str
    names: tuple[str, ...]

    def judged(self, store: Store, partition: RoundPartition, images: Sequence[LabelledImage]) -> dict[str, Judgement]:
        """Judgements of the images that the students finished, by id."""
        tables = read_tables(store, read_output(store, self.annotator, partition.unseen.id, self.fingerprint))
        done = set(tables["status"]["image_id"].filter(pc.equal(tables["status"]["status"], "done")).to_pylist())
        output = {name: tables.get(name, schema.empty_table()) for name, schema in ANNOTATION_TABLES.items()}
        return judgements([image for image in images if image.id in done], output, self.names)


class PartitionMerge(Frozen):
    """A partition before a round, the students' output for it, and what gold decided.

    `limits`, `remade`, `makers` and `seed` are those of `RoundFiles`.
    """

    number: int
    partition: RoundPartition
    output: StudentOutput
    decision: MergeDecision
    source: Source
    limits: ImageLimits
    remade: frozenset[Kind]
    makers: frozenset[str]
    seed: int

    def task(self, root: str) -> Task:
        return Task(stage=NAME, root=root, label=self.partition.standing.id, payload=self)


class MergedPartition(Frozen):
    """A partition after a round, the number of its edits by what they did, and what its labels look like.

    `not_asked` counts by unit the labels that no student could be asked about.
    """

    partition: RoundPartition
    edits: Mapping[str, int]
    survey: Survey
    not_asked: Mapping[Unit, int]


def merge_partition(store: Store, merge: PartitionMerge) -> MergedPartition:
    """Merge a partition. Done again, it writes the same bytes under the same names."""
    files = RoundFiles(store, merge.limits, merge.remade, merge.makers, merge.seed)
    images = files.images(merge.partition)
    judged = merge.output.judged(store, merge.partition, images)
    edits = edits_of(images, judged, merge.decision)
    after = files.edit(merge.number, merge.partition, edits, merge.source)
    return MergedPartition(
        partition=after,
        edits=Counter(edit.what for edit in edits),
        survey=survey_of(files.images(after) if edits else images),
        not_asked=sum((judgement.not_asked for judgement in judged.values()), start=Counter[Unit]()),
    )
