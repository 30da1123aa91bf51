"""Work, requests and memory that grow with what they should not; counted, for times differ from day to day."""

from __future__ import annotations

import pickle
import sys
import tracemalloc
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from types import FrameType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image
from torch.nn.modules.module import register_module_forward_hook

from fld_engine.annotators.hub.florence2 import HubFlorence2
from fld_engine.engine.data.hashing import fingerprint
from fld_engine.engine.data.partition import PartitionImages
from fld_engine.engine.data.records import FileRecord, PartitionRecord
from fld_engine.engine.data.store import Store
from fld_engine.engine.plan.plan import make_plan
from fld_engine.engine.plan.stages import Answer
from fld_engine.engine.plan.tasks import Isolation, Lane, Task
from fld_engine.engine.stages.export.stage import export_root
from fld_engine.engine.stages.export.task import ExportGroup, export_group
from fld_engine.engine.stages.ingest.ingest import ingest
from fld_engine.engine.stages.ingest.tasks import PackPartition
from fld_engine.refinement.training.examples import TrainingImage
from fld_engine.refinement.training.order import Order
from fld_engine.schemas.annotations import Annotations
from fld_engine.schemas.sample import TargetEntry
from tests.annotators.builders import thing
from tests.annotators.hub.checkpoints_florence2 import build_florence2
from tests.annotators.hub.shared import image_samples, pinned
from tests.hostile import tar_bytes
from tests.known_faults.far import FarFileSystem, far_traffic
from tests.known_faults.in_process import Root, new_root, plain_config
from tests.known_faults.pictures import as_bytes, jpeg
from tests.roots import fake_config, run_pipeline, write_photographs

# ------------------------------------------------------------------------------------------------ the driver


def steps_of_planning(folder: Path, num_partitions: int) -> int:
    """Lines of Python that run for a plan that finds every output of two annotators, verdicts and coverage in place."""
    config, store = fake_config("photos"), Store(str(folder))
    file = FileRecord(path="p", rows=1, num_bytes=1, sha256="0" * 64)
    records = [
        PartitionRecord(
            id=f"p{i:06d}",
            ingest=1,
            fingerprint=fingerprint({"i": i}),
            annotations_fingerprint="a",
            num_images=64,
            num_bytes=1,
            files={"tar": file, "images": file},
        )
        for i in range(num_partitions)
    ]
    plan = make_plan(store, config, records)
    for step in plan.steps:
        (folder / "stages" / step).mkdir(parents=True)
        for record in records:
            key = f"{record.id}-{plan.fingerprints[step, record.id]}"
            for name in (
                f"{key}.json",
                *(f"{key}.ab12cd34.{t}.parquet" for t in ("regions", "region_texts", "status")),
            ):
                (folder / "stages" / step / name).touch()
    num_lines = 0

    def count(frame: FrameType, event: str, argument: Any) -> Any:
        nonlocal num_lines
        num_lines += event == "line"
        return count

    plan = make_plan(store, config, records)
    before = sys.gettrace()
    sys.settrace(count)
    try:
        missing = sum(len(plan.missing(step)) for step in plan.steps)
    finally:
        sys.settrace(before)
    assert missing == 0
    return num_lines


def test_planning_is_linear_in_the_number_of_partitions(tmp_path: Path) -> None:
    """Each partition needs its own names looked up, and no other's: ten times the partitions, ten times the work.

    Half as much more is allowed. Squared it is a hundred times: a run of 31,000 with nothing to do takes hours.
    """
    steps_of_planning(tmp_path / "first", 1)  # what a process does once
    few = steps_of_planning(tmp_path / "few", 30)
    many = steps_of_planning(tmp_path / "many", 300)
    assert many <= 15 * few


@pytest.mark.xfail(strict=True, raises=AssertionError, reason="every record of every partition is read again")
def test_a_run_with_nothing_to_do_asks_a_store_a_bounded_number_of_times(tmp_path: Path) -> None:
    """At most 50 requests of the root at any size, here of 16 partitions: what is done is known from one index.

    Today it is nine a partition with two annotators, two dozen with a real recipe: three quarters of a million requests
    at 31,000 partitions, to find that nothing is to be done.
    """
    write_photographs(tmp_path / "photos", 16)
    config = fake_config(tmp_path / "photos", partitions={"max_images": 1})
    far_traffic()
    new_root(f"far://{tmp_path}/root", config).run_all()
    traffic = far_traffic()
    assert run_pipeline(f"far://{tmp_path}/root", config).work.tasks_done == 0
    assert len([path for _, path in traffic.requests if path.startswith(f"{tmp_path}/root")]) <= 50


# ------------------------------------------------------------------------------------------------ ingest


@dataclass(frozen=True)
class Packing:
    """The pack tasks of an ingest, and the bytes of match tables that each of them read."""

    tasks: list[PackPartition]
    match_bytes: list[int]


def packing(folder: Path, num_tars: int) -> Packing:
    """Ingest tars of four pictures each, into partitions of four."""
    (folder / "tars").mkdir(parents=True)
    for tar in range(num_tars):
        members = [(f"{i}.jpg", jpeg(4 * tar + i, (32, 24))) for i in range(4)]
        (folder / f"tars/{tar:03d}.tar").write_bytes(tar_bytes(members))
    traffic = far_traffic()
    config = plain_config({"url": str(folder / "tars"), "name": "tars"}, partitions={"max_images": 4})
    root = new_root(f"far://{folder}/root", config)
    found = Packing([], [])

    class Watched(Root):
        def answers(self, lane: Lane, kind: type[Answer]) -> Iterator[tuple[Task, Answer]]:
            for task in lane.tasks:
                traffic.num_bytes.clear()
                yield from super().answers(lane.model_copy(update={"tasks": [task]}), kind)
                if isinstance(task.payload, PackPartition):
                    found.tasks.append(task.payload)
                    found.match_bytes.append(sum(num for path, num in traffic.num_bytes.items() if "matches" in path))

    ingest(Watched(root.store, config))
    assert len(found.tasks) == num_tars
    return found


@pytest.fixture(scope="module")
def packings(tmp_path_factory: pytest.TempPathFactory) -> tuple[Packing, Packing]:
    """Of 40 and of 320 images."""
    folder = tmp_path_factory.mktemp("packings")
    return packing(folder / "few", 10), packing(folder / "many", 80)


@pytest.mark.xfail(strict=True, raises=AssertionError, reason="every pack task names all scan tables of the ingest")
def test_what_is_told_to_a_packer_does_not_grow_with_the_dataset(packings: tuple[Packing, Packing]) -> None:
    """Four images come from a scan table or two, however many there are. A tenth is allowed for longer names.

    At 126 million images a task is 6 MB, and 180 GB of tasks pass through the driver.
    """
    few, many = (max(len(pickle.dumps(task)) for task in one.tasks) for one in packings)
    assert many <= 1.1 * few


@pytest.mark.xfail(strict=True, raises=AssertionError, reason="every pack task reads all match tables")
def test_what_a_packer_reads_does_not_grow_with_the_dataset(packings: tuple[Packing, Packing]) -> None:
    """A packer wants the matches of its own four images, however many there are. Half as much more is allowed.

    Today that is 68 TB of reading for 126 million images.
    """
    few, many = (max(one.match_bytes) for one in packings)
    assert many <= 1.5 * few


# ------------------------------------------------------------------------------------------------ workers


@pytest.fixture(scope="module")
def far_root(tmp_path_factory: pytest.TempPathFactory) -> Root:
    """48 noisy photographs of about 100 KB in eight partitions on a store that is not this machine's disk; exported."""
    folder = tmp_path_factory.mktemp("far")
    (folder / "photos").mkdir()
    for i in range(48):
        noise = np.random.default_rng(i).integers(0, 256, (300, 400, 3), dtype=np.uint8)
        (folder / f"photos/{i:02d}.jpg").write_bytes(as_bytes(Image.fromarray(noise), quality=90))
    far_traffic()
    config = plain_config(
        {"url": str(folder / "photos"), "name": "photos"},
        partitions={"max_images": 6},
        export={"group_partitions": 8, "max_samples": 4, "splits": {"train": 1.0}},
    )
    root = new_root(f"far://{folder}/root", config)
    root.run_all()
    return root


@pytest.mark.xfail(strict=True, raises=AssertionError, reason="from an object store a partition's tar is fetched whole")
def test_one_image_is_read_without_its_neighbours(far_root: Root) -> None:
    """Its place in the tar is in the table. Twice its bytes are allowed for.

    A training draws images from everywhere: each costs a whole partition, 4,096 images, and keeps it in memory.
    """
    record = far_root.plan().partitions[0]
    images = PartitionImages(far_root.store, record, far_root.config.images)
    num_bytes = len(images.data(2))
    far_traffic()
    PartitionImages(far_root.store, record, far_root.config.images).pixels(2)
    assert sum(num for path, num in FarFileSystem.traffic.num_bytes.items() if path.endswith(".tar")) <= 2 * num_bytes


@pytest.mark.xfail(strict=True, raises=AssertionError, reason="all tars of a group are held until its export ends")
def test_an_export_does_not_hold_the_tars_of_its_group(far_root: Root) -> None:
    """Memory is said to hold the images of two shards, here 8 of 48: at no time half of what the group's tars hold.

    Today it is all: 4 GB a worker with the recipe for clusters, where 500 MB are asked of Ray.
    """
    plan, tasks = far_root.plan(), list[ExportGroup]()

    class Watched(Root):
        def answers(self, lane: Lane, kind: type[Answer]) -> Iterator[tuple[Task, Answer]]:
            tasks.extend(task.payload for task in lane.tasks if isinstance(task.payload, ExportGroup))
            yield from super().answers(lane, kind)

    export_root(Watched(far_root.store, plan.config.model_copy(update={"seed": 1})))  # not exported yet
    (task,) = tasks
    worker: Any = SimpleNamespace(store=far_root.store, isolation=Isolation(), report=lambda span, finished: None)
    tracemalloc.start()
    export_group(task, worker)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < sum(record.files["tar"].num_bytes for record in plan.partitions) / 2


# ------------------------------------------------------------------------------------------------ training and models


def memory_of_a_batch(num_images: int) -> int:
    """Bytes at the most that are taken for drawing the 32 images of a step."""
    target = TargetEntry(task="<CAPTION>", prompt="<CAPTION>", target="a cat", annotation_ids=())
    order = Order([TrainingImage("image", 1, (target,))] * num_images, [], num_steps=1000, batch=32, seed=0)
    order.batch(0)
    tracemalloc.start()
    order.batch(7)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return peak


@pytest.mark.xfail(strict=True, raises=AssertionError, reason="all images are shuffled anew for every image of a step")
def test_drawing_the_images_of_a_step_does_not_grow_with_the_dataset() -> None:
    """32 places of a shuffled order can be computed each by itself; a hundred times the images need no more room.

    Today each of the 32 shuffles the whole epoch: at a million images half a second a step, more than the step itself.
    """
    assert memory_of_a_batch(1_000_000) <= 2 * memory_of_a_batch(10_000)


@pytest.mark.xfail(strict=True, raises=AssertionError, reason="an image is encoded anew for every question about it")
def test_an_image_is_encoded_once_for_all_its_regions(tmp_path: Path) -> None:
    """The picture is the same for all twenty questions, and so is what the vision tower makes of it: one pass.

    The tower is the dearest part of Florence-2; today it runs twenty times.
    """
    params: dict[str, Any] = {"tasks": ("<REGION_TO_DESCRIPTION>",), "max_new_tokens": 4, "items_per_pass": 16}
    folder = build_florence2(tmp_path / "florence2", steps=1)
    annotator = HubFlorence2(pinned(HubFlorence2.Params, folder, **params))
    annotator.load()
    encoded: list[int] = []

    def count(module: Any, args: Any, kwargs: Any, output: Any) -> None:
        if type(module).__name__ == "Florence2VisionBackbone":
            encoded.append(len(args[0] if args else kwargs["pixel_values"]))

    (sample,) = image_samples([(96, 128)])
    regions = tuple(thing("dog", (i, 1, i + 40, 60), 0.9, f"r{i}") for i in range(20))
    counting = register_module_forward_hook(count, with_kwargs=True)
    annotator.annotate([replace(sample, known=Annotations(regions=regions))])
    counting.remove()
    assert sum(encoded) == 1
