"""Merge the aggregates of a report on the runner, and choose and draw its gallery."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

import pyarrow as pa
import pyarrow.compute as pc

from fld_engine.engine.data.hashing import fingerprint
from fld_engine.engine.data.identity import identity_of
from fld_engine.engine.data.partition import read_output
from fld_engine.engine.data.records import PartitionRecord
from fld_engine.engine.plan.plan import Plan
from fld_engine.engine.plan.stages import Driver
from fld_engine.engine.plan.tasks import ARITHMETIC, Lane, Task
from fld_engine.engine.stages.coverage.stage import committed
from fld_engine.engine.stages.report.gallery import GalleryResult
from fld_engine.engine.stages.report.pick import pick
from fld_engine.engine.stages.report.reduce import PARTITIONS_PER_GATHER, MergeResult, read_vocabulary, runs_of_buckets
from fld_engine.engine.stages.report.tables import CANDIDATES, COUNTS, merge_candidates, merge_counts
from fld_engine.engine.stages.report.tasks import DrawGallery, Gather, Reduce
from fld_engine.engine.stages.report.vocabulary import ALL, Vocabulary
from fld_engine.schemas.annotations import Frozen

STAGE = "report"
FOLDER = "stages/report-merge"
VERSION = 1
"""Version of merges and galleries; bumped when the same aggregates give others."""
UNTRIED = {"careful": False, "suspects": [], "condemned": []}
"""That nothing is known of poison: results are named by it, since tasks were once named whole."""
RARE_KINDS = ("adjective_noun", "subject_verb_object", "noun")
NUM_RARE = 24

Result = TypeVar("Result", bound=Frozen)


class Merged(NamedTuple):
    """The aggregates of a whole root."""

    counts: pa.Table
    candidates: pa.Table
    vocabulary: Vocabulary


def merge_root(plan: Plan, wanted: Sequence[str], driver: Driver) -> Merged:
    """Gather and reduce the aggregates of all partitions. `wanted`: words, and keys of classes, to be counted exactly.

    What an earlier report merged from the same aggregates is read, not made again.
    """
    store = plan.store
    gathers: dict[str, Frozen] = {}
    for start in range(0, len(plan.partitions), PARTITIONS_PER_GATHER):
        records = plan.partitions[start : start + PARTITIONS_PER_GATHER]
        inputs = tuple(_aggregate_files(plan, record) for record in records)
        out = _out("gather", [dict(i) for i in inputs])
        gathers[out.rsplit("/", 1)[-1]] = Gather(inputs=inputs, out=out)
    gathered = run_cached(plan, "gather", gathers, MergeResult, driver)
    terms = tuple(result.files["terms"] for result in gathered)
    listed = ""
    if wanted:
        listed = f"{FOLDER}/wanted-{fingerprint({'words': sorted(wanted)})}.json"
        store.write_bytes(listed, json.dumps(sorted(set(wanted))).encode())
    reduces = {
        f"buckets {low} to {high}": Reduce(
            terms=terms, low=low, high=high, wanted=listed, out=_out("reduce", [list(terms), low, high, listed])
        )
        for low, high in runs_of_buckets(sum(result.terms for result in gathered))
    }
    vocabulary = read_vocabulary(store, run_cached(plan, "reduce", reduces, MergeResult, driver))
    return Merged(
        counts=merge_counts([COUNTS.empty_table(), *(store.read_table(r.files["counts"]) for r in gathered)]),
        candidates=merge_candidates(
            [CANDIDATES.empty_table(), *(store.read_table(r.files["candidates"]) for r in gathered)]
        ),
        vocabulary=vocabulary,
    )


def gallery_root(plan: Plan, merged: Merged, num_images: int, driver: Driver) -> list[dict[str, Any]]:
    """Records of the images a gallery shows, in the order of their ids; see `engine.stages.report.gallery`."""
    rare = merged.vocabulary.rare
    is_phrase = pc.and_(pc.equal(rare["family"], ALL), pc.is_in(rare["kind"], value_set=pa.array(RARE_KINDS)))
    rarest = rare.filter(is_phrase).sort_by([("count", "ascending"), ("first", "ascending")]).slice(0, NUM_RARE)
    picked = pick(merged.candidates, rarest, num_images)
    records = draw(plan, list(picked), driver)
    for record in records:
        record["strata"] = picked[record["partition"], record["id"]]
    return records


def draw(plan: Plan, wanted: Sequence[tuple[str, str]], driver: Driver) -> list[dict[str, Any]]:
    """Gallery records of images, given as (partition, image id), in the order of their ids."""
    by_id = {record.id: record for record in plan.partitions}
    of_partition: dict[str, list[str]] = {}
    for partition, image_id in sorted(wanted):
        of_partition.setdefault(partition, []).append(image_id)
    tasks = {
        partition: _gallery_task(plan, by_id[partition], tuple(image_ids))
        for partition, image_ids in of_partition.items()
    }
    results = run_cached(plan, "gallery", tasks, GalleryResult, driver)
    records = [record for result in results for record in json.loads(plan.store.read_bytes(result.path))]
    return sorted(records, key=lambda record: str(record["id"]))


def run_cached(
    plan: Plan, name: str, payloads: Mapping[str, Frozen], kind: type[Result], driver: Driver
) -> list[Result]:
    """Results of tasks in their order, given by label; a task whose result is there is not run.

    The file names say what is the same.
    """
    store = plan.store
    there = store.list_names(FOLDER)
    keys = {label: f"{name}-{fingerprint(_identity(name, payload))}.json" for label, payload in payloads.items()}
    todo = [
        Task(stage=STAGE, root=store.url, label=label, payload=payload)
        for label, payload in payloads.items()
        if keys[label] not in there
    ]
    for task, result in driver.answers(Lane(name=f"report {name}", resources=ARITHMETIC, tasks=todo), kind):
        store.write_bytes(f"{FOLDER}/{keys[task.label]}", result.model_dump_json().encode())
    return [store.read_model(f"{FOLDER}/{key}", kind) for key in keys.values()]


def _identity(name: str, payload: Frozen) -> dict[str, Any]:
    return {"kind": name, "isolation": UNTRIED, **identity_of(payload)}


def _gallery_task(plan: Plan, record: PartitionRecord, image_ids: tuple[str, ...]) -> DrawGallery:
    reads = committed(plan, record)
    out = _out("gallery", [identity_of(reads), list(image_ids)])
    limits = record.limits or plan.config.images
    return DrawGallery(partition=record, reads=reads, image_ids=image_ids, images=limits, out=out)


def _aggregate_files(plan: Plan, record: PartitionRecord) -> dict[str, str]:
    output = read_output(plan.store, "report", record.id, plan.fingerprints["report", record.id])
    return {name: file.path for name, file in output.files.items()}


def _out(name: str, parts: Any) -> str:
    return f"{FOLDER}/{name}-{fingerprint({'version': VERSION, 'parts': parts})}.data" + (
        "" if name != "gallery" else ".json"
    )
