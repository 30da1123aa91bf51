"""The files of a round: labels of each partition in both of their forms, and the ledger that led to them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from fld_engine.engine.data.hashing import fingerprint
from fld_engine.engine.data.images import ImageLimits
from fld_engine.engine.data.partition import CARRIED, PartitionImages, load_view, source_tables
from fld_engine.engine.data.records import FileRecord, PartitionRecord
from fld_engine.engine.data.store import Store
from fld_engine.engine.plan.plan import Plan
from fld_engine.engine.plan.rounds import RoundPartition, round_folder
from fld_engine.engine.stages.coverage.stage import committed
from fld_engine.refinement.labels.edits import apply_edits
from fld_engine.refinement.labels.gold import Gold
from fld_engine.refinement.labels.image import LabelledImage
from fld_engine.refinement.labels.initial_labels import kept_labels, statuses
from fld_engine.refinement.labels.ledger import Edit, ledger_table
from fld_engine.refinement.labels.tables import Labels, Row, count_names, gold_of, labelled_images, of_images, of_people
from fld_engine.schemas.annotations import Source
from fld_engine.schemas.kinds import Kind
from fld_engine.schemas.tables import ANNOTATION_TABLES


@dataclass(frozen=True, slots=True)
class RoundFiles:
    """Reads and writes labels of rounds in a root.

    `remade` kinds are made again from them by the annotators `makers`, and never kept.
    """

    store: Store
    limits: ImageLimits
    remade: frozenset[Kind]
    makers: frozenset[str]
    seed: int

    # ------------------------------------------------------------------ reading

    def labels(self, partition: RoundPartition) -> Labels:
        """All labels, those on gold images included."""
        return source_tables(self.store, partition.unseen, gold=False)

    def gold(self, partition: RoundPartition) -> dict[str, Gold]:
        """Gold by image id."""
        return gold_of(of_people(source_tables(self.store, partition.standing, gold=True)))

    def empty_gold(self, partition: RoundPartition) -> dict[str, Row]:
        """Gold images on which people say nothing at all is, by id, as rows of the images table."""
        told = of_people(source_tables(self.store, partition.standing, gold=True))
        del told["absences"]
        named = {image for table in told.values() for image in table["image_id"].to_pylist()}
        table = PartitionImages(self.store, partition.standing, self.limits).table
        return {row["id"]: row for row in table.filter(table["gold"]).to_pylist() if row["id"] not in named}

    def images(self, partition: RoundPartition) -> list[LabelledImage]:
        """The images with their labels as a round works on them."""
        table = PartitionImages(self.store, partition.standing, self.limits).table
        labels = self.labels(partition)
        reference = table["id"].filter(table["gold"]).to_pylist()
        return labelled_images(table, reference, labels, sorted(count_names(labels)), seed=self.seed)

    def learnable(self, partition: RoundPartition) -> set[str]:
        """Twin groups of the images that a student may learn from: those with a region or a text, gold left out."""
        labels = source_tables(self.store, partition.standing, gold=False)
        labelled = {image for name in ("regions", "texts") for image in labels[name]["image_id"].to_pylist()}
        images = PartitionImages(self.store, partition.standing, self.limits)
        return {images.twin_group(row) for row in range(len(images)) if images.identity(row)[0] in labelled}

    # ------------------------------------------------------------------ writing

    def initial(self, plan: Plan, record: PartitionRecord) -> RoundPartition:
        """Write a partition of round 0: what the verdicts of a plan keep."""
        view = load_view(self.store, record, committed(plan, record))
        kept = view.images.filter(view.verdicts["images"]["kept"])
        nobody = pa.array([False] * kept.num_rows)
        images = {"standing": kept, "unseen": kept.set_column(kept.schema.get_field_index("gold"), "gold", nobody)}
        ids = kept["id"].to_pylist()
        base = PartitionRecord(
            id=record.id,
            ingest=record.ingest,
            fingerprint=record.fingerprint
            if len(ids) == record.num_images
            else fingerprint({"of": record.fingerprint, "ids": ids}),
            annotations_fingerprint="",
            num_images=len(ids),
            num_bytes=record.num_bytes,
            files={"tar": record.files["tar"]},
            limits=record.limits,
        )
        status = {
            f"{CARRIED}{family}": self._write(
                0, record.id, f"{CARRIED}{family}", table.filter(pc.is_in(table["image_id"], kept["id"]))
            )
            for family, table in statuses(view, self.remade).items()
        }
        files = {
            kind: {"images": self._write(0, record.id, f"{kind}.images", table), **status}
            for kind, table in images.items()
        }
        return self._partition(0, base, files, kept_labels(view, self.remade, self.makers), view.gold, ())

    def edit(
        self,
        number: int,
        partition: RoundPartition,
        edits: Sequence[Edit],
        source: Source,
        status: Mapping[str, pa.Table] | None = None,
    ) -> RoundPartition:
        """The partition after a round; where nothing is edited, the very files of the round before.

        `status`, by family, is how far it is annotated now, where a round changed that.
        """
        if not edits:
            ledger = self._write(number, partition.standing.id, "ledger", ledger_table((), number))
            return partition.model_copy(update={"ledger": ledger})
        labels = apply_edits(self.labels(partition), edits, source)
        changed = {
            f"{CARRIED}{family}": self._write(number, partition.standing.id, f"{CARRIED}{family}", table)
            for family, table in (status or {}).items()
        }
        files = {
            kind: {name: file for name, file in record.files.items() if name not in ANNOTATION_TABLES} | changed
            for kind, record in (("standing", partition.standing), ("unseen", partition.unseen))
        }
        truth = source_tables(self.store, partition.standing, gold=True)
        return self._partition(number, partition.standing, files, labels, truth, edits)

    def draft(
        self, number: int, name: str, partition: RoundPartition, ids: pa.Array, edits: Sequence[Edit], source: Source
    ) -> PartitionRecord | None:
        """Some images of a partition with their labels as `edits` would leave them, as if nobody had looked at them.

        None where the partition has none of the images.
        """
        table = self.store.read_table(partition.unseen.files["images"].path)
        table = table.filter(pc.is_in(table["id"], ids))
        found = table["id"].to_pylist()
        if not found:
            return None
        mine = [edit for edit in edits if edit.image_id in found]
        labels = of_images(self.labels(partition), table["id"])
        files = {"images": self._write(number, partition.unseen.id, f"{name}.images", table)}
        base = partition.unseen.model_copy(
            update={
                "fingerprint": fingerprint({"of": partition.unseen.fingerprint, "ids": found}),
                "num_images": len(found),
            }
        )
        return self._record(number, base, name, files, apply_edits(labels, mine, source) if mine else labels)

    def _partition(
        self,
        number: int,
        base: PartitionRecord,
        files: Mapping[str, Mapping[str, FileRecord]],
        labels: Labels,
        truth: Mapping[str, Any],
        edits: Sequence[Edit],
    ) -> RoundPartition:
        images = self.store.read_table(files["standing"]["images"].path)
        standing = of_images(labels, images["id"].filter(pc.invert(images["gold"])))
        for name, table in truth.items():
            standing[name] = pa.concat_tables([standing[name], table]).combine_chunks()
        return RoundPartition(
            standing=self._record(number, base, "standing", files["standing"], standing),
            unseen=self._record(number, base, "unseen", files["unseen"], labels),
            ledger=self._write(number, base.id, "ledger", ledger_table(edits, number)),
        )

    def _record(
        self, number: int, base: PartitionRecord, kind: str, files: Mapping[str, FileRecord], labels: Labels
    ) -> PartitionRecord:
        written = {
            name: self._write(number, base.id, f"{kind}.{name}", table)
            for name, table in sorted(labels.items())
            if table.num_rows
        }
        sums = {name: file.sha256 for name, file in {**files, **written}.items() if name != "tar"}
        return base.model_copy(
            update={
                "files": {"tar": base.files["tar"], **files, **written},
                "annotations_fingerprint": fingerprint({"kind": kind, "files": sums}),
            }
        )

    def _write(self, number: int, partition: str, name: str, table: pa.Table) -> FileRecord:
        return self.store.write_table(f"{round_folder(number)}/{partition}.{name}.parquet", table)
