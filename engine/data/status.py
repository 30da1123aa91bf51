"""What there is to say about where a root stands; stages tell it, `fld status` and reports show it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import Field

from fld_engine.engine.data.source_account import SourceAccount
from fld_engine.engine.data.unread import UnreadCount
from fld_engine.schemas.annotations import Frozen


class StepStatus(Frozen):
    """Images of one annotator: `missing` have no output yet."""

    done: int
    failed: int
    not_run: int
    missing: int


class StatusReport(Frozen):
    """found = ingested + duplicates + known + quarantined. `kept` and `dropped` (by reason) go by verdict target.

    `unsaid` annotations are in no target of a task (by task and reason).
    `unread` could not be had and is left for the next run, by kind of failure; it is no part of `found`. `removed`
    images of those that were ingested are gone; `refused_before` of the quarantined ones would be accepted under the
    limits of the config. `sources` has an account of each source that was read; ingests of earlier versions left none.
    `left_out` images show an entry of a list, by its name, and `unread_lists` are entries that could not be read, by
    list and reason. `addresses` of lists were fetched (`success`), or not, by source and reason. `more` is what stages
    of other packages tell, by stage.
    """

    found: int
    ingested: int
    duplicates: int
    known: int
    removed: int
    quarantined: Mapping[str, int]
    rejected_annotations: Mapping[str, int]
    sources: Mapping[str, SourceAccount] = Field(default_factory=dict)
    partitions: int
    refused_before: int = 0
    unread: Mapping[str, UnreadCount] = Field(default_factory=dict)
    annotated: Mapping[str, StepStatus]
    kept: Mapping[str, int]
    dropped: Mapping[str, Mapping[str, int]]
    exported_samples: int
    exported_shards: int
    unsaid: Mapping[str, Mapping[str, int]] = Field(default_factory=dict)
    complete: bool
    left_out: Mapping[str, int] = Field(default_factory=dict)
    unread_lists: Mapping[str, Mapping[str, int]] = Field(default_factory=dict)
    addresses: Mapping[str, Mapping[str, int]] = Field(default_factory=dict)
    more: Mapping[str, Any] = Field(default_factory=dict)
