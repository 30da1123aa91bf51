"""What judges a round: the gold of its images or, where a root has none, the objects that two specialists agree on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import pyarrow.compute as pc

from fld_engine.engine.data.partition import load_view
from fld_engine.engine.data.records import PartitionOutputs, PartitionRecord
from fld_engine.engine.data.store import Store
from fld_engine.engine.plan.config import RunConfig
from fld_engine.engine.plan.rounds import RoundPartition, RoundRecord, plan_of, read_round
from fld_engine.engine.stages.coverage.stage import committed
from fld_engine.refinement.gate.final import Final, final_of
from fld_engine.refinement.gate.proxy_gold import NUM_IMAGES, agreed_objects, as_reference
from fld_engine.refinement.labels.boxes import NO_BOXES
from fld_engine.refinement.labels.gold import Gold
from fld_engine.refinement.labels.image import LabelledImage
from fld_engine.refinement.loop.details import initial_details
from fld_engine.refinement.loop.round_files import RoundFiles


@dataclass
class Reference:
    """Gold or its proxy for the images of a root that has round 0."""

    store: Store
    config: RunConfig
    files: RoundFiles

    @cached_property
    def has_gold(self) -> bool:
        return initial_details(read_round(self.store, 0)).num_gold > 0

    def of(self, partition: RoundPartition, round_: RoundRecord) -> tuple[list[LabelledImage], Mapping[str, Gold]]:
        """Images of a partition of a round, dealt to the splits, and what judges them, by image id."""
        images = self.files.images(partition)
        if self.has_gold:
            return images, self.gold(partition)
        agreed = agreed_objects(load_view(self.store, *self._annotated[partition.standing.id]))
        share = NUM_IMAGES / sum(each.standing.num_images for each in round_.partitions)
        return as_reference(images, agreed, share=share, seed=self.config.seed), agreed

    def gold(self, partition: RoundPartition) -> dict[str, Gold]:
        """Gold by image id, with the images on which people found nothing.

        A gold image without a word by people shows no object where its source says of others what objects they show.
        Not so one of whose labels some were refused at ingest: these would have been there.
        """
        found = self.files.gold(partition)
        for identity, row in self.files.empty_gold(partition).items():
            if row["source"] in self._drawn and self._refused.isdisjoint(row["uris"]):
                found[identity] = Gold(NO_BOXES)
        return found

    @cached_property
    def _drawn(self) -> frozenset[str]:
        """Sources with a gold image on which people drew an object."""
        found: set[str] = set()
        for partition in read_round(self.store, 0).partitions:
            boxed = {identity for identity, gold in self.files.gold(partition).items() if gold.regions.labels}
            table = self.store.read_table(partition.standing.files["images"].path, ["id", "source"])
            found |= {row["source"] for row in table.to_pylist() if row["id"] in boxed}
        return frozenset(found)

    @cached_property
    def _refused(self) -> frozenset[str]:
        """URIs of images of whose labels by people some were refused."""
        found: set[str] = set()
        for name in sorted(self.store.list_names("quarantine")):
            if name.endswith(".parquet"):
                table = self.store.read_table(f"quarantine/{name}")
                rows = table.filter(pc.equal(table["what"], "annotation")).to_pylist()
                found |= {row.get("of_image") or row["uri"] for row in rows}
        return frozenset(found)

    def final(self, round_: RoundRecord) -> Final:
        """Images of the split `final` with the labels of a round, and their gold."""
        found: dict[str, tuple[LabelledImage, Gold]] = {}
        for partition in round_.partitions:
            found |= final_of(self.files.images(partition), self.gold(partition))
        return found

    @cached_property
    def _annotated(self) -> dict[str, tuple[PartitionRecord, PartitionOutputs]]:
        """The partitions as they were ingested, and where the outputs of the specialists stand; by id."""
        plan = plan_of(self.store, self.config)
        return {record.id: (record, committed(plan, record)) for record in plan.partitions}
