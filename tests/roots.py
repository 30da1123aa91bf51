"""Small dataset roots for tests: generated photographs, fake annotators, and a digest of everything that counts."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from fld_engine.engine.data.records import OutputRecord
from fld_engine.engine.data.store import Store
from fld_engine.engine.plan.config import RunConfig, parse_config
from fld_engine.engine.run.pipeline import Pipeline
from fld_engine.engine.stages.annotate.stage import Annotate
from fld_engine.engine.stages.coverage.stage import Coverage
from fld_engine.engine.stages.export.stage import Export
from fld_engine.engine.stages.filter.stage import Filter
from fld_engine.engine.stages.ingest.stage import Ingest

NOT_BY_PARTITION = ("export", "report-merge")
"""Steps whose records are of other kinds; what they are for is compared itself, shards and pages."""


def write_photographs(folder: Path, num: int, *, seed: int = 0) -> list[str]:
    """Write `num` small JPEGs of coloured noise; returns their image ids in name order."""
    folder.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(seed)
    ids = []
    for i in range(num):
        coarse = random.integers(0, 256, (6, 8, 3), dtype=np.uint8)
        path = folder / f"photo-{seed}-{i:03d}.jpg"
        Image.fromarray(coarse).resize((96, 72), Image.Resampling.BICUBIC).save(path, quality=90)
        ids.append(hashlib.sha256(path.read_bytes()).hexdigest()[:32])
    return ids


def fake_config(source: Path | str, **changes: Any) -> RunConfig:
    """A config of two fake detectors, two filters and small shards; `changes` go over it key by key."""
    tree: dict[str, Any] = {
        "name": "test",
        "sources": [{"url": str(source), "name": "photos", "kind": "folder", "class_folders": False}],
        "partitions": {"max_images": 4},
        "annotators": {
            "first": {"use": "fake", "params": {"regions": 3}, "batch_size": 3},
            "second": {"use": "fake", "params": {"regions": 2}, "batch_size": 2},
        },
        "filters": {"region-confidence": {}, "region-nms": {}},
        "export": {"max_samples": 5, "group_partitions": 2, "splits": {"train": 0.7, "val": 0.3}},
    }
    for key, value in changes.items():
        tree[key] = {**tree[key], **value} if isinstance(value, Mapping) and key in tree else value
    return parse_config(tree, where="test")


@contextmanager
def opened(root: Path | str, config: RunConfig) -> Iterator[Pipeline]:
    """A pipeline on a root that is made when it is not there."""
    store = Store(str(root))
    store.open_root(create=True)
    with Pipeline(store, config) as pipeline:
        yield pipeline


def run_pipeline(root: Path | str, config: RunConfig) -> Pipeline:
    """The whole pipeline without Prefect; returns the pipeline for its counters."""
    with opened(root, config) as pipeline:
        pipeline.preflight()
        pipeline.run(Ingest())
        pipeline.run(Annotate())
        pipeline.run(Filter())
        pipeline.run(Coverage())
        pipeline.run(Export())
    return pipeline


def digest(root: Path | str) -> dict[str, str]:
    """sha256 of everything that counts under a root: tables by step and partition, and the export's files."""
    store = Store(str(root))
    found: dict[str, str] = {}
    for step in sorted(store.list_folders("stages")):
        for name in sorted(store.list_names(f"stages/{step}")):
            if step not in NOT_BY_PARTITION and name.endswith(".json") and not name.endswith(".aggregate.json"):
                record: OutputRecord = store.read_model(f"stages/{step}/{name}", OutputRecord)
                found |= {f"{step}/{name}/{table}": file.sha256 for table, file in record.files.items()}
    for path in store.list_below("export"):
        found[path] = hashlib.sha256(store.read_bytes(path)).hexdigest()
    return found
