"""How much goes into a partition, how long anything may take, and how much may be lost before a run stops."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from fld_engine.engine.data.identity import Fields
from fld_engine.schemas.annotations import Frozen


class PartitionLimits(Frozen):
    """How much goes into one partition: whichever bound is met first."""

    in_fingerprints: ClassVar[Fields] = Fields(always=("max_images", "max_mb"))

    max_images: int = Field(default=64, gt=0)
    max_mb: int = Field(default=512, gt=0)


class Limits(Frozen):
    """How long anything may take before it is given up, how often it is tried, and how much may be lost.

    Images that failed an annotator (`max_failed_share`), items of sources that cannot be used
    (`max_quarantined_share`) and, of each source, annotations of people that cannot (`max_rejected_share`): a run that
    loses more ends with exit code 3, once it has done its work. One that loses all of a source stops there, unless the
    share allowed is 1.

    `max_unread_share` is of the bytes in the source chunks that an ingest sets out to read: where more cannot be had,
    the run stops; where less, these chunks are left for the next run.

    `wait_for_nodes_s` is how long a run on a Ray cluster that it has joined waits for room for a first worker: for a
    node of the kind, or for others to let go.
    """

    batch_timeout_s: float = Field(default=120.0, gt=0)
    load_timeout_s: float = Field(default=300.0, gt=0)
    wait_for_nodes_s: float = Field(default=600.0, gt=0)
    task_retries: int = Field(default=2, ge=0)
    max_failed_share: float = Field(default=0.01, ge=0, le=1)
    max_quarantined_share: float = Field(default=0.05, ge=0, le=1)
    max_rejected_share: float = Field(default=0.01, ge=0, le=1)
    library_change: Literal["warn", "refuse"] = Field(
        default="warn",
        description="where a root would go on with other versions of libraries than it was made with: say so, or stop",
    )
    max_unread_share: float = Field(default=0.1, ge=0, le=1)
