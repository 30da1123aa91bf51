"""Where a root stands: what was found, what became of it, and what is missing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from fld_engine.engine.data.journal import IngestRecord
from fld_engine.engine.data.records import OutputRecord, record_path
from fld_engine.engine.data.tombstones import read_tombstones
from fld_engine.engine.plan.plan import Plan
from fld_engine.engine.run.pipeline import read_coverage
from fld_engine.engine.stages.export.manifest import MANIFEST, Manifest
from fld_engine.schemas.annotations import Frozen


class StepStatus(Frozen):
    """Images of one annotator: `missing` have no output yet."""

    done: int
    failed: int
    not_run: int
    missing: int


class StatusReport(Frozen):
    """found = ingested + duplicates + known + quarantined. `kept` and `dropped` (by reason) go by verdict target.

    `removed` images of those that were ingested are gone.
    """

    found: int
    ingested: int
    duplicates: int
    known: int
    removed: int
    quarantined: Mapping[str, int]
    rejected_annotations: Mapping[str, int]
    partitions: int
    annotated: Mapping[str, StepStatus]
    kept: Mapping[str, int]
    dropped: Mapping[str, Mapping[str, int]]
    exported_samples: int
    exported_shards: int
    complete: bool


def read_status(plan: Plan, journal: list[IngestRecord]) -> StatusReport:
    """Read records and aggregates alone; no annotation table is opened."""
    quarantined: Counter[str] = Counter()
    rejected: Counter[str] = Counter()
    for ingest in journal:
        quarantined.update(ingest.quarantined)
        rejected.update(ingest.rejected_annotations)
    annotated = {name: _step(plan, name) for name in plan.graph.order}
    covered = not plan.missing("coverage")
    aggregate = read_coverage(plan) if covered and plan.partitions else None
    samples, shards = _exported(plan)
    return StatusReport(
        found=sum(ingest.found for ingest in journal),
        ingested=sum(ingest.new for ingest in journal),
        duplicates=sum(ingest.duplicates for ingest in journal),
        known=sum(ingest.known for ingest in journal),
        removed=len(read_tombstones(plan.store)),
        quarantined=dict(sorted(quarantined.items())),
        rejected_annotations=dict(sorted(rejected.items())),
        partitions=len(plan.partitions),
        annotated=annotated,
        kept=dict(aggregate.kept) if aggregate else {},
        dropped={t: dict(r) for t, r in aggregate.dropped.items()} if aggregate else {},
        exported_samples=samples,
        exported_shards=shards,
        complete=covered and not any(s.missing for s in annotated.values()) and bool(shards),
    )


def _step(plan: Plan, name: str) -> StepStatus:
    missing = {record.id for record in plan.missing(name)}
    counts: Counter[str] = Counter()
    for record in plan.partitions:
        if record.id in missing:
            counts["missing"] += record.num_images
            continue
        output: OutputRecord = plan.store.read_model(
            record_path(name, record.id, plan.fingerprints[name, record.id]), OutputRecord
        )
        counts.update({"done": output.done, "failed": output.failed, "not_run": output.not_run})
    return StepStatus(**{field: counts[field] for field in StepStatus.model_fields})


def _exported(plan: Plan) -> tuple[int, int]:
    if not plan.store.exists(f"{plan.export_folder}/{MANIFEST}"):
        return 0, 0
    manifest: Manifest = plan.store.read_model(f"{plan.export_folder}/{MANIFEST}", Manifest)
    return manifest.samples, len(manifest.shards)
