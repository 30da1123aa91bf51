"""The driver's side of a comparison: partitions of the same images, what changed, and pictures of both sides."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from fld_engine.engine.data.records import PartitionRecord
from fld_engine.engine.plan.plan import Plan
from fld_engine.engine.plan.stages import Driver
from fld_engine.engine.stages.coverage.stage import committed
from fld_engine.engine.stages.report.compare import CompareResult, add_up
from fld_engine.engine.stages.report.merge import draw, run_cached
from fld_engine.engine.stages.report.tasks import ComparePartition


def compare_roots(now: Plan, before: Plan, driver: Driver) -> tuple[CompareResult, list[dict[str, Any]]]:
    """What changed from `before` to `now`, and the images that changed most: id, changes, before, after."""
    homes = partitions_of(now, before)
    tasks = {
        record.id: ComparePartition(
            partition=record,
            reads=committed(now, record),
            other_root=before.store.url,
            others=tuple((other, committed(before, other)) for other in homes[record.id]),
            out="",
        )
        for record in now.partitions
    }
    compared = add_up(run_cached(now, "compare", tasks, CompareResult, driver))
    after = {r["id"]: r for r in draw(now, [(home, image) for _, image, home, _ in compared.most], driver)}
    old = {r["id"]: r for r in draw(before, [(home, image) for _, image, _, home in compared.most], driver)}
    pairs = [
        {"id": image, "changes": number, "before": old.get(image), "after": after.get(image)}
        for number, image, _, _ in compared.most
    ]
    return compared, pairs


def partitions_of(now: Plan, before: Plan) -> Mapping[str, Sequence[PartitionRecord]]:
    """For each partition of `now`, those of `before` that share images with it.

    Partitions of the same images have the same fingerprint, as after refinement or under another config: no table is
    read. Only for the others the ids are looked up.
    """
    same = {record.fingerprint: record for record in before.partitions}
    found: dict[str, list[PartitionRecord]] = {
        record.id: [same[record.fingerprint]] if record.fingerprint in same else [] for record in now.partitions
    }
    rest = [record for record in now.partitions if record.fingerprint not in same]
    if rest:
        home = {image: record for record in before.partitions for image in _ids(before, record)}
        for record in rest:
            others = {home[image].id: home[image] for image in _ids(now, record) if image in home}
            found[record.id] = [others[name] for name in sorted(others)]
    return found


def _ids(plan: Plan, record: PartitionRecord) -> list[str]:
    ids: list[str] = plan.store.read_table(record.files["images"].path, ["id"])["id"].to_pylist()
    return ids
