"""What an export holds, and how it is cut into shards and splits."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from fld_engine.engine.data.identity import Fields
from fld_engine.engine.plan.selection import Selection
from fld_engine.schemas.annotations import Frozen

SplitName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_]+$")]
"""What every reader takes for a split, and what a shard's name can be cut at: `{split}-{group}-{number}.tar`."""


MAX_TARGET_TOKENS = 1022
"""The decoder of Florence-2 has places for 1,024 tokens, of which two mark begin and end."""
MAX_PROMPT_TOKENS = 445
"""Its encoder has as many, of which the image takes 577 and the same marks two."""


Metadata = Literal["strip", "keep"]


class ExportConfig(Frozen):
    """Shards and splits. `group_partitions` partitions, drawn across sources, make one group of shards.

    It goes into `folder` of the root: `export`, or `exports/NAME` for one beside it that selects a part of the images,
    annotations or tasks.

    No target may be longer than `max_target_tokens` of Florence-2, whose words are those of GPT-2. An answer that would
    be is not written, and told under `unsaid` in its sample.

    `metadata` says what becomes of EXIF, XMP, IPTC and comments in JPEGs that are exported as they are. They name
    places, serial numbers and people, and are left out (`strip`) unless they are to be kept (`keep`).

    `energon_index` writes the database in which Megatron-Energon looks samples up by key, 0.3 kB per sample: its joins
    and file stores need it, its loaders do not.
    """

    in_fingerprints: ClassVar[Fields] = Fields(
        always=(
            "max_samples", "max_mb", "group_partitions", "splits", "folder", "select", "max_target_tokens",
            "energon_index",
        ),
    )  # fmt: skip

    max_samples: int = Field(default=1000, gt=0)
    max_mb: int = Field(default=512, gt=0)
    group_partitions: int = Field(default=8, gt=0)
    splits: Mapping[SplitName, float] = Field(default_factory=lambda: {"train": 0.95, "val": 0.05})
    folder: str = Field(default="export", pattern=r"^export(s/[A-Za-z0-9_.-]+)?$")
    select: Selection = Field(default_factory=Selection)
    max_target_tokens: int = Field(default=MAX_TARGET_TOKENS, gt=0)
    energon_index: bool = True
    metadata: Metadata = "strip"
