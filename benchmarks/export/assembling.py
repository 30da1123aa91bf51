"""Core-seconds of what comes before a shard is written: tables to samples, targets, and json, by steps.

    python benchmarks/export/assembling.py --samples 500 --repeats 7

A partition of synthetic samples (`samples.py`) as flat tables; every row is kept. A number is the median of its rounds,
in seconds of a core (the process's own time, so that other work on the machine does not count) per thousand samples.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))

from benchmarks.export.samples import make_samples
from fld_engine.engine.data.view import PartitionView
from fld_engine.engine.plan.export_settings import MAX_TARGET_TOKENS
from fld_engine.engine.stages.export.assemble import assemble
from fld_engine.engine.stages.export.shards import prepare
from fld_engine.engine.stages.export.targets import write_targets
from fld_engine.schemas.sample import Sample, canonical_json
from tests.engine.stages.export.view_builder import Row, make_view


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=500)
    parser.add_argument("--repeats", type=int, default=7)
    arguments = parser.parse_args()
    expected, _ = make_samples(arguments.samples, image_kb=1, seed=0)
    view = view_of(expected)
    seconds: dict[str, list[float]] = {}
    for _ in range(arguments.repeats):
        start = time.process_time()
        samples = list(assemble(view, lambda group: "train"))
        assembled = time.process_time()
        targets = [write_targets(sample, MAX_TARGET_TOKENS) for sample in samples]
        targeted = time.process_time()
        prepared = [prepare(sample) for sample in samples]
        end = time.process_time()
        assert [sample.targets for sample in samples] == targets
        rounds = {
            "assemble, with targets": assembled - start,
            "  targets alone": targeted - assembled,
            "prepare (json, counts)": end - targeted,
            "both": assembled - start + end - targeted,
        }
        for name, taken in rounds.items():
            seconds.setdefault(name, []).append(taken)
    for sample, one in zip(samples, prepared, strict=True):
        assert one.json == canonical_json(sample)
    print(f"{arguments.samples} samples, {sum(len(one.json) for one in prepared) / len(prepared) / 1e3:.1f} kB of json")
    for name, times in seconds.items():
        print(f"{name:24} {statistics.median(times) / arguments.samples * 1e3:6.3f} s of a core per 1000 samples")


def view_of(samples: Sequence[Sample]) -> PartitionView:
    """The tables that the samples come from: all of their annotations, and their images."""
    tables: dict[str, list[Row]] = {
        name: [] for name in ("texts", "regions", "region_texts", "masks", "phrases", "phrase_regions")
    }
    for sample in samples:
        add_rows(tables, sample.model_dump(by_alias=True))
    return make_view([image_row(sample) for sample in samples], tables)


def image_row(sample: Sample) -> Row:
    image = sample.image.model_dump(include={"width", "height", "sha256", "source", "uri", "licence"})
    return {**image, "id": sample.id, "plain_jpeg": True, "twin_group": sample.id}


def add_rows(tables: dict[str, list[Row]], record: dict[str, Any]) -> None:
    """The rows of one sample, each under its parent."""

    def row(table: str, entry: dict[str, Any], **columns: Any) -> None:
        flat = {key: value for key, value in entry.items() if not isinstance(value, dict | tuple)}
        box = dict(zip(("x1", "y1", "x2", "y2"), entry.get("box", ()), strict=False))
        tables[table].append({"image_id": record["id"], **flat, **entry.get("source", {}), **box, **columns})

    for text in record["texts"]:
        row("texts", text)
    for region in record["regions"]:
        row("regions", region)
        if region["mask"]:
            polygons = [list(polygon) for polygon in region["mask"]]
            row("masks", {"id": f"m{region['id']}"}, subject_id=region["id"], polygons=polygons)
        for text in region["texts"]:
            row("region_texts", text, region_id=region["id"])
    for grounding in record["groundings"]:
        for phrase in grounding["phrases"]:
            row("phrases", phrase, text_id=grounding["text_id"], **grounding["source"])
            for region in phrase["regions"]:
                row("phrase_regions", region, phrase_id=phrase["id"])


if __name__ == "__main__":
    main()
