"""What a second look at a source must see, and what an ingest may cost as it grows."""

from __future__ import annotations

import hashlib
import json
import subprocess
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from fld_engine.engine.data.images import ImageLimits
from fld_engine.engine.data.journal import read_journal, read_partitions
from fld_engine.engine.data.partition import PartitionImages, source_tables
from fld_engine.engine.data.records import PartitionRecord
from fld_engine.engine.data.store import Store
from fld_engine.engine.plan.config import RunConfig, dump_config
from fld_engine.engine.plan.limits import PartitionLimits
from fld_engine.engine.plan.tasks import Isolation, Lane, Task
from fld_engine.engine.sources.open import open_source
from fld_engine.engine.stages.annotate.stage import Annotate
from fld_engine.engine.stages.ingest.ingest import ingest
from fld_engine.engine.stages.ingest.pack import pack
from fld_engine.engine.stages.ingest.scan import scan
from fld_engine.engine.stages.ingest.stage import Ingest
from fld_engine.engine.stages.ingest.tables import MATCHES, SCAN, DeduplicateResult, ScanResult
from fld_engine.engine.stages.ingest.tasks import DeduplicateBucket, PackPartition, ScanChunk
from fld_engine.schemas.tables import QUARANTINE
from tests.commands import FLD
from tests.roots import fake_config, opened, write_photographs

IMAGE_WH = (96, 72)


# --------------------------------------------------------------------------------------- a source that has changed


def write_coco(folder: Path, *boxes_xywh: tuple[int, int, int, int]) -> Path:
    """A COCO json that says the same boxes of every photograph of the folder."""
    names = sorted(path.name for path in folder.glob("*.jpg"))
    width, height = IMAGE_WH
    tree = {
        "images": [{"id": i, "file_name": name, "width": width, "height": height} for i, name in enumerate(names)],
        "categories": [{"id": 1, "name": "kite"}],
        "annotations": [
            {"id": 10 * i + j, "image_id": i, "category_id": 1, "bbox": box}
            for i in range(len(names))
            for j, box in enumerate(boxes_xywh)
        ],
    }
    (folder / "labels.json").write_text(json.dumps(tree))
    return folder / "labels.json"


def labelled(labels: Path, **settings: Any) -> RunConfig:
    source = {"url": str(labels), "kind": "coco", "name": "labels", **settings}
    return fake_config(labels.parent, sources=[source])


def ingested(root: Path, config: RunConfig) -> Store:
    with opened(root, config) as pipeline:
        pipeline.run(Ingest())
    return pipeline.store


def rows(store: Store) -> list[dict[str, Any]]:
    """All images of a root, as its partitions have them now."""
    records = read_partitions(read_journal(store))
    tables = [PartitionImages(store, record, ImageLimits()).table for record in records]
    return [row for table in tables for row in table.to_pylist()]


def human_lefts(store: Store, *, gold: bool) -> list[float]:
    """x1 of every human box of a root, as its partitions have them now."""
    records = read_partitions(read_journal(store))
    tables = [source_tables(store, record, gold=gold)["regions"] for record in records]
    return sorted(x1 for table in tables for x1 in table["x1"].to_pylist())


def test_corrected_labels_take_the_place_of_the_old_ones(tmp_path: Path) -> None:
    """Right: the boxes of the json as it stands, 20 and 50 from the left, and no longer the one that was corrected.

    Who corrects labels in their tool and runs again, which says that all is done, exports and trains on the mistakes.
    """
    write_photographs(tmp_path / "photos", 1)
    ingested(tmp_path / "root", labelled(write_coco(tmp_path / "photos", (8, 8, 40, 30))))
    corrected = write_coco(tmp_path / "photos", (20, 20, 30, 30), (50, 8, 40, 30))
    store = ingested(tmp_path / "root", labelled(corrected))
    assert human_lefts(store, gold=False) == [20.0, 50.0]


def test_a_source_declared_gold_later_is_gold(tmp_path: Path) -> None:
    """Right: all its images are gold, and its boxes are the reference.

    Who finds out about `gold: true` after a first run is told nothing, and from then on trains on the images that are
    to judge, and has them in the export.
    """
    write_photographs(tmp_path / "photos", 2)
    labels = write_coco(tmp_path / "photos", (8, 8, 40, 30))
    ingested(tmp_path / "root", labelled(labels))
    store = ingested(tmp_path / "root", labelled(labels, gold=True))
    assert [row["gold"] for row in rows(store)] == [True, True]
    assert human_lefts(store, gold=True) == [8.0, 8.0]


def test_a_source_that_is_no_longer_gold_is_not_gold(tmp_path: Path) -> None:
    """Right: no image is gold. Who marked the wrong source by mistake gets its images back into the export."""
    write_photographs(tmp_path / "photos", 2)
    labels = write_coco(tmp_path / "photos", (8, 8, 40, 30))
    ingested(tmp_path / "root", labelled(labels, gold=True))
    store = ingested(tmp_path / "root", labelled(labels))
    assert [row["gold"] for row in rows(store)] == [False, False]


def test_a_licence_stated_later_is_that_of_the_images(tmp_path: Path) -> None:
    """Right: images carry the licence that their source states now.

    A lab that learns of the licence after the first run would publish samples that say there is none.
    """
    write_photographs(tmp_path / "photos", 2)
    labels = write_coco(tmp_path / "photos", (8, 8, 40, 30))
    ingested(tmp_path / "root", labelled(labels))
    store = ingested(tmp_path / "root", labelled(labels, licence="CC-BY-4.0"))
    assert [row["licence"] for row in rows(store)] == ["CC-BY-4.0", "CC-BY-4.0"]


@pytest.fixture
def too_large(tmp_path: Path) -> Path:
    """A root of two photographs, whose third was quarantined for its two million pixels; all is annotated."""
    write_photographs(tmp_path / "photos", 2)
    Image.new("RGB", (2000, 1000), "red").save(tmp_path / "photos/zoo.jpg")
    with opened(tmp_path / "root", fake_config(tmp_path / "photos", images={"max_pixels": 1_000_000})) as pipeline:
        record = pipeline.run(Ingest())
        assert record is not None
        assert sum(record.quarantined.values()) == 1
        pipeline.run(Annotate())
    return tmp_path / "root"


def test_a_raised_limit_makes_no_output_again(too_large: Path, tmp_path: Path) -> None:
    """Right: nothing that was annotated under the lower limit is missing: those images are what they were.

    Who lets one poster of 80 megapixels in pays for a million images again.
    """
    config = fake_config(tmp_path / "photos", images={"max_pixels": 64_000_000})
    with opened(too_large, config) as pipeline:
        plan = pipeline.plan()
    assert {step: len(plan.missing(step)) for step in plan.graph.order} == {"first": 0, "second": 0}


def test_a_replay_looks_again_at_what_a_raised_limit_lets_in(too_large: Path, tmp_path: Path) -> None:
    """Right: `fld replay` takes in the image that was refused under the lower limit.

    Its chunk counts as done, so that no run looks at it again: the image is lost until its source is copied elsewhere.
    """
    config = fake_config(tmp_path / "photos", images={"max_pixels": 64_000_000})
    (too_large / "config.yaml").write_text(dump_config(config))
    replay = [*FLD, "replay", "--root", str(too_large)]
    done = subprocess.run(replay, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    store = Store(str(too_large))
    assert sorted(row["width"] for row in rows(store)) == [96, 96, 2000]


# --------------------------------------------------------------------------------------------- what an ingest costs


@pytest.fixture
def scanned(tmp_path: Path) -> tuple[Store, ScanResult]:
    """The scan of eight photographs."""
    write_photographs(tmp_path / "photos", 8)
    config = fake_config(tmp_path / "photos")
    (chunk,) = open_source(config.sources[0]).chunks()
    store = Store(str(tmp_path / "root"))
    task = ScanChunk(chunk=chunk, index=0, out="ingest/000001/scan", images=config.images)
    return store, scan(task, silent_worker(store))


def silent_worker(store: Store) -> Any:
    """A worker that nobody listens to."""
    return SimpleNamespace(store=store, isolation=Isolation(), report=lambda span, finished: None)


@pytest.mark.xfail(strict=True, raises=AssertionError, reason="every task that packs reads the matches of all images")
def test_packing_a_partition_costs_the_same_in_a_large_ingest(scanned: tuple[Store, ScanResult]) -> None:
    """Right: eight images are packed with at most twice the bytes read when the ingest has a hundred times as many.

    Each partition has a fixed number of images. Reading what concerns all others, too, makes an ingest quadratic: by
    what was measured, 68 TB are read to pack 126 million images. Half is left to whatever index is looked things up in.
    """
    store, result = scanned
    few, many = (bytes_read_by_packing(store, result, num_others) for num_others in (1_000, 100_000))
    assert many < 2 * few


def bytes_read_by_packing(store: Store, result: ScanResult, num_others: int) -> int:
    """What this process reads, in bytes, while it packs the scanned images of an ingest with `num_others` more."""
    mine = store.read_table(result.files["scan"].path)["id"].to_pylist()
    ids = [*mine, *(hashlib.md5(str(i).encode()).hexdigest() for i in range(num_others))]
    columns = {"id": ids, "scan": [0] * len(ids), "row": list(range(len(ids))), "status": ["new"] * len(ids)}
    table = pa.table({**columns, "partition": [""] * len(ids)}, schema=MATCHES)
    matches = store.write_table(f"ingest/000001/matches-{num_others}.parquet", table)
    twins = pa.table({"row": range(len(mine)), "group": mine})
    store.write_table(f"ingest/000001/twins-{num_others}/scan-000000.parquet", twins)
    task = PackPartition(
        partition=f"p{num_others:06d}",
        ingest=1,
        scans=(result.files["scan"].path,),
        rows=((0, tuple(range(len(mine)))),),
        matches=(matches.path,),
        twins=f"ingest/000001/twins-{num_others}",
    )
    before = num_read()
    pack(task, silent_worker(store))
    return num_read() - before


def num_read() -> int:
    """Bytes that this process has asked the system for."""
    (line,) = (line for line in Path("/proc/self/io").read_text().splitlines() if line.startswith("rchar"))
    return int(line.split()[1])


@pytest.mark.xfail(strict=True, raises=AssertionError, reason="the driver holds a row of every image that is ingested")
def test_the_driver_of_an_ingest_does_not_grow_with_its_images(tmp_path: Path) -> None:
    """Right: less than 16 bytes an image, which is 2 GB for 126 million images, the most that a driver may take.

    The driver hands out work; what it holds of each image is what ends a large ingest in an out-of-memory kill, hours
    after it began (57 GiB by what was measured). What it takes at any size is subtracted.
    """
    few, many = 10_000, 30_000
    growth = peak_of_driver(tmp_path / "few", few), peak_of_driver(tmp_path / "many", many)
    assert (growth[1] - growth[0]) / (many - few) < 16


SCANNED_AT_ONCE = 2_000
"""Images of a chunk of the source."""


def peak_of_driver(folder: Path, num_images: int) -> int:
    """Bytes that an ingest's driver allocates at most. Its workers' answers lie ready: they are simulated."""
    store = Store(str(folder / "root"))
    (folder / "source").mkdir(parents=True)
    scans, matches = [], []
    for index in range(num_images // SCANNED_AT_ONCE):
        pq.write_table(pa.table({"image": pa.array([], pa.binary())}), folder / f"source/{index:03d}.parquet")
        table = scan_table(index)
        quarantine = store.write_table(f"answers/{index}.quarantine.parquet", QUARANTINE.empty_table())
        scan_file = store.write_table(f"answers/{index}.scan.parquet", table)
        scans.append(ScanResult(index=index, files={"scan": scan_file, "quarantine": quarantine}))
        columns = {"id": table["id"], "scan": [index] * SCANNED_AT_ONCE, "row": range(SCANNED_AT_ONCE)}
        matches.append(pa.table({**columns, "status": ["new"] * SCANNED_AT_ONCE, "partition": [""] * SCANNED_AT_ONCE}))
    matched = pa.concat_tables([table.cast(MATCHES) for table in matches])
    answer = DeduplicateResult(file=store.write_table("answers/matches.parquet", matched))
    del matches, matched, table

    def answers(lane: Lane, kind: type[Any]) -> Iterator[tuple[Task, Any]]:
        for task in lane.tasks:
            if isinstance(task.payload, ScanChunk):
                yield task, scans[task.payload.index]
            elif isinstance(task.payload, DeduplicateBucket):
                yield task, answer
            elif isinstance(task.payload, PackPartition):
                yield task, packed(task.payload)

    config = fake_config("unused", sources=[{"url": str(folder / "source"), "kind": "parquet"}])
    config = config.model_copy(update={"partitions": PartitionLimits(max_images=4096)})
    tracemalloc.start()
    driver: Any = SimpleNamespace(store=store, config=config, journal=list, answers=answers)
    record = ingest(driver)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert record is not None
    assert record.new == num_images
    return peak


def scan_table(index: int) -> pa.Table:
    """What a scan says of a chunk's images, all of them different."""
    random = np.random.default_rng(index)
    size = SCANNED_AT_ONCE
    empty: dict[str, Any] = {"string": "", "int64": 1, "int32": 1, "bool": False}
    columns = {field.name: [empty[str(field.type)]] * size for field in SCAN}
    columns["id"] = [bytes(row).hex() for row in random.integers(0, 256, (size, 16), dtype=np.uint8)]
    columns["phash"] = [bytes(row).hex() for row in random.integers(0, 256, (size, 8), dtype=np.uint8)]
    return pa.table(columns, schema=SCAN)


def packed(task: PackPartition) -> PartitionRecord:
    """The answer to a task that packs."""
    num_images = sum(len(rows) for _, rows in task.rows)
    return PartitionRecord(
        id=task.partition,
        ingest=task.ingest,
        fingerprint="0" * 16,
        annotations_fingerprint="0" * 16,
        num_images=num_images,
        num_bytes=num_images,
        files={},
    )
