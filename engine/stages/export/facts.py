"""Facts of an export that its card is written from: counted in the groups of shards, added up, kept in the manifest.

All of it is whole numbers and settings, so that the same samples give the same bytes on any machine.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field

from fld_engine.engine.data.columns import num_by_value
from fld_engine.engine.data.journal import IngestRecord, totals
from fld_engine.engine.data.kept_rows import num_dropped, num_kept
from fld_engine.engine.data.round_facts import RoundFacts
from fld_engine.engine.data.source_account import SourceAccount, without_details
from fld_engine.engine.data.view import PartitionView
from fld_engine.engine.plan.protocols import Filter
from fld_engine.engine.plan.selection import EVERYTHING, Selection
from fld_engine.schemas.annotations import Frozen
from fld_engine.schemas.masking import masked_tree
from fld_engine.schemas.sample import CLASS_KEYS, Sample

FACTS_VERSION = 2
"""Version of what the record of a group counts; bumped when the same tables give other facts."""

Reasons = Mapping[str, int]


class SourceFacts(Frozen):
    """Images first found in a source, under one licence; `licence` is empty where the config does not state it.

    `gold` images are the reference and never exported; `samples` are in the shards.
    """

    name: str
    licence: str
    images: int
    gold: int
    samples: int


class GroupFacts(Frozen):
    """What one group of partitions held. `kept` and `dropped` (by reason) go by verdict target.

    `unanswered` maps annotator → `failed` and `not_run` images, where there are any; `unsaid` maps task → annotations
    that are in no target of it, by reason, each once a question. `classes` counts `labels` and `absences` in samples
    that have these keys, and has none where they have not.
    """

    sources: tuple[SourceFacts, ...] = ()
    kept: Mapping[str, int] = Field(default_factory=dict)
    dropped: Mapping[str, Reasons] = Field(default_factory=dict)
    unanswered: Mapping[str, Reasons] = Field(default_factory=dict)
    unsaid: Mapping[str, Reasons] = Field(default_factory=dict)
    classes: Mapping[str, int] = Field(default_factory=dict, exclude_if=lambda counts: not counts)


class FilterFacts(Frozen):
    """A filter with all its thresholds, those the config left to their defaults included."""

    name: str
    target: str
    version: int
    params: Mapping[str, Any]


class ExcludedFacts(Frozen):
    """A list of images that may not be trained on, or gold: entries that images were looked up against.

    `left_out` images of the root show one of them; `unread` entries could not be read, by reason.
    """

    name: str
    entries: int
    left_out: int
    unread: Reasons = Field(default_factory=dict)


class ExportFacts(GroupFacts):
    """The whole export. Images: found = ingested + duplicates + known + quarantined; `removed` of these are gone.

    `filters` stand in the order in which they are asked. `accounts` tell by source what it holds and what became of it.
    """

    found: int = 0
    duplicates: int = 0
    known: int = 0
    removed: int = 0
    quarantined: Reasons = Field(default_factory=dict)
    rejected_annotations: Reasons = Field(default_factory=dict)
    accounts: Mapping[str, SourceAccount] = Field(default_factory=dict)
    filters: tuple[FilterFacts, ...] = ()
    rounds: tuple[RoundFacts, ...] = ()
    excluded: tuple[ExcludedFacts, ...] = ()


def facts_of(view: PartitionView, select: Selection = EVERYTHING, seed: int = 0) -> GroupFacts:
    """Count one partition, of which `select` is exported by `seed`."""
    groups = view.images.select(["id", "twin_group"]).to_pylist()
    exported = pa.array([select.has(row["twin_group"] or row["id"], seed) for row in groups], pa.bool_())
    if "images" in view.verdicts:
        exported = pc.and_(exported, view.verdicts["images"]["kept"])
    return GroupFacts(
        sources=_sources(view.images, exported),
        kept={target: num_kept(verdicts) for target, verdicts in view.verdicts.items()},
        dropped={target: num_dropped(verdicts) for target, verdicts in view.verdicts.items()},
        unanswered={
            annotator: reasons
            for annotator, table in view.status.items()
            if (reasons := num_by_value(table["status"].filter(pc.not_equal(table["status"], "done"))))
        },
    )


def unsaid_of(sample: Sample) -> GroupFacts:
    """Count what is in no target of a sample."""
    found: dict[str, Counter[str]] = {}
    for entry in sample.unsaid:
        found.setdefault(entry.task, Counter())[entry.reason] += len(entry.annotation_ids)
    return GroupFacts(unsaid={task: dict(reasons) for task, reasons in found.items()})


def classes_of(sample: Sample) -> GroupFacts:
    """Count the classes of a sample that has the keys for them."""
    return GroupFacts(
        classes={name: len(getattr(sample, name)) for name in CLASS_KEYS if name in sample.model_fields_set}
    )


def add(parts: Iterable[GroupFacts]) -> GroupFacts:
    """The sum, the same in any order and grouping."""
    sources: dict[tuple[str, str], Counter[str]] = {}
    kept: Counter[str] = Counter()
    dropped: dict[str, Counter[str]] = {}
    unanswered: dict[str, Counter[str]] = {}
    unsaid: dict[str, Counter[str]] = {}
    classes: Counter[str] = Counter()
    for part in parts:
        kept.update(part.kept)
        classes.update(part.classes)
        for total, more in ((dropped, part.dropped), (unanswered, part.unanswered), (unsaid, part.unsaid)):
            for name, reasons in more.items():
                total.setdefault(name, Counter()).update(reasons)
        for source in part.sources:
            numbers = {"images": source.images, "gold": source.gold, "samples": source.samples}
            sources.setdefault((source.name, source.licence), Counter()).update(numbers)
    return GroupFacts(
        sources=tuple(
            SourceFacts(name=name, licence=licence, **numbers) for (name, licence), numbers in sorted(sources.items())
        ),
        kept=dict(kept),
        dropped={name: dict(reasons) for name, reasons in dropped.items()},
        unanswered={name: dict(reasons) for name, reasons in unanswered.items()},
        unsaid={task: dict(unsaid[task]) for task in sorted(unsaid)},
        classes=dict(classes),
    )


def export_facts(
    groups: Iterable[GroupFacts],
    journal: Sequence[IngestRecord],
    filters: Mapping[str, Filter],
    *,
    removed: int,
    rounds: Sequence[RoundFacts] = (),
    excluded: Sequence[ExcludedFacts] = (),
) -> ExportFacts:
    """Facts of an export: those of its groups, what became of all that was found, the thresholds, and the rounds."""
    ingested = totals(journal)
    return ExportFacts(
        **{name: getattr(total, name) for total in [add(groups)] for name in GroupFacts.model_fields},
        found=ingested.found,
        duplicates=ingested.duplicates,
        known=ingested.known,
        removed=removed,
        quarantined=ingested.quarantined,
        rejected_annotations=ingested.rejected_annotations,
        accounts={name: without_details(account) for name, account in ingested.sources.items()},
        filters=tuple(
            FilterFacts(
                name=name,
                target=judge.target,
                version=judge.version,
                params=masked_tree(judge.params.model_dump(mode="json")),
            )
            for name, judge in filters.items()
        ),
        rounds=tuple(rounds),
        excluded=tuple(excluded),
    )


def _sources(images: pa.Table, exported: pa.ChunkedArray) -> tuple[SourceFacts, ...]:
    ordinary = pc.invert(images["gold"])
    columns = {
        "source": images["source"],
        "licence": images["licence"],
        "gold": pc.cast(images["gold"], pa.int64()),
        "sample": pc.cast(pc.and_(ordinary, exported), pa.int64()),
    }
    grouped = pa.table(columns).group_by(["source", "licence"])
    counted = grouped.aggregate([("gold", "count"), ("gold", "sum"), ("sample", "sum")])
    return tuple(
        SourceFacts(
            name=row["source"],
            licence=row["licence"],
            images=row["gold_count"],
            gold=row["gold_sum"],
            samples=row["sample_sum"],
        )
        for row in counted.sort_by([("source", "ascending"), ("licence", "ascending")]).to_pylist()
    )
