"""What judges a round: the gold of its images or, where a root has none, the objects that two specialists agree on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from fld_engine.engine.data.partition import load_view
from fld_engine.engine.data.records import PartitionOutputs, PartitionRecord
from fld_engine.engine.data.store import Store
from fld_engine.engine.plan.config import RunConfig
from fld_engine.engine.plan.rounds import RoundPartition, RoundRecord, plan_of, read_round
from fld_engine.engine.stages.coverage.stage import committed
from fld_engine.refinement.gate.final import Final, final_of
from fld_engine.refinement.gate.proxy_gold import NUM_IMAGES, agreed_objects, as_reference
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
            return images, self.files.gold(partition)
        agreed = agreed_objects(load_view(self.store, *self._annotated[partition.standing.id]))
        share = NUM_IMAGES / sum(each.standing.num_images for each in round_.partitions)
        return as_reference(images, agreed, share=share, seed=self.config.seed), agreed

    def final(self, round_: RoundRecord) -> Final:
        """Images of the split `final` with the labels of a round, and their gold."""
        found: dict[str, tuple[LabelledImage, Gold]] = {}
        for partition in round_.partitions:
            found |= final_of(self.files.images(partition), self.files.gold(partition))
        return found

    @cached_property
    def _annotated(self) -> dict[str, tuple[PartitionRecord, PartitionOutputs]]:
        """The partitions as they were ingested, and where the outputs of the specialists stand; by id."""
        plan = plan_of(self.store, self.config)
        return {record.id: (record, committed(plan, record)) for record in plan.partitions}
