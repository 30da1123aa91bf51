"""Which part of a root an export holds: for ablations, as the FLD-5B paper runs them, from one root."""

from __future__ import annotations

import hashlib
from typing import ClassVar, Literal

from pydantic import Field

from fld_engine.engine.data.identity import Fields
from fld_engine.schemas.annotations import Frozen
from fld_engine.schemas.sample import Sample, StatusEntry
from fld_engine.schemas.tasks import Task

Level = Literal["image", "region", "pixel"]


class Selection(Frozen):
    """What of the kept annotations is exported; everything by default.

    `level`: descriptions of whole images alone; with regions and groundings; with their masks, too (the paper's
    image-level, region-level and pixel-level supervision). `tasks` are those of the targets, all where it is empty.
    `fraction` of the images, by hash of the group of near-twins: a smaller fraction is a subset of a larger one.
    """

    in_fingerprints: ClassVar[Fields] = Fields(always=("level", "tasks", "fraction"))

    level: Level = "pixel"
    tasks: tuple[Task, ...] = ()
    fraction: float = Field(default=1.0, gt=0, le=1)

    def has(self, twin_group: str, seed: int) -> bool:
        """Whether an image of this group is in the fraction.

        The first 64 bits of `sha256("fraction:seed:twin_group")`, as a number in [0, 1), lie below it: independent of
        the split.
        """
        digest = hashlib.sha256(f"fraction:{seed}:{twin_group}".encode()).digest()
        return int.from_bytes(digest[:8]) / 2**64 < self.fraction

    def has_task(self, task: Task) -> bool:
        """Whether targets of a task are in it."""
        return not self.tasks or task in self.tasks

    def of(self, sample: Sample) -> Sample:
        """The sample without what the level leaves out; families that are left out are `not_run`."""
        if self.level == "pixel":
            return sample
        if self.level == "image":
            status = StatusEntry(texts=sample.status.texts, regions="not_run", groundings="not_run")
            return sample.model_copy(update={"regions": (), "groundings": (), "status": status})
        regions = tuple(region.model_copy(update={"mask": ()}) for region in sample.regions)
        groundings = tuple(
            grounding.model_copy(
                update={
                    "phrases": tuple(
                        phrase.model_copy(
                            update={"regions": tuple(r.model_copy(update={"mask": ()}) for r in phrase.regions)}
                        )
                        for phrase in grounding.phrases
                    )
                }
            )
            for grounding in sample.groundings
        )
        return sample.model_copy(update={"regions": regions, "groundings": groundings})


EVERYTHING = Selection()
