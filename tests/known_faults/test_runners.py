"""Work that does not end: what is the fault of an image, what of a device, and when trying again must stop."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import psutil
from PIL import Image

from fld_engine.engine.data.partition import read_output, read_tables
from fld_engine.engine.data.store import Store
from fld_engine.engine.run.pipeline import Pipeline
from fld_engine.engine.stages.annotate.stage import Annotate
from fld_engine.engine.stages.coverage.stage import Coverage
from fld_engine.engine.stages.export.stage import Export
from fld_engine.engine.stages.filter.stage import Filter
from fld_engine.engine.stages.ingest.stage import Ingest
from fld_engine.schemas.errors import RunnerError
from tests.roots import fake_config, opened, write_photographs

BREAKS_ITS_DEVICE = '''
"""A detector on a device that one image breaks for the rest of its process's life, as an illegal memory access does."""

from collections.abc import Sequence

from fld_engine.annotators.composed.fake import FakeAnnotator
from fld_engine.engine.plan.protocols import Sample
from fld_engine.schemas.annotations import Annotations


class BreaksItsDevice(FakeAnnotator):
    class Params(FakeAnnotator.Params):
        breaks_on: str = ""

    broken = False

    def annotate(self, batch: Sequence[Sample]) -> Sequence[Annotations]:
        self.broken |= any(sample.id == self.params.breaks_on for sample in batch)
        if self.broken:
            raise RuntimeError("CUDA error: an illegal memory access was encountered")
        return super().annotate(batch)
'''


def test_an_image_that_breaks_a_device_is_failed_alone(
    tmp_path: Path, install: Callable[[str, str, dict[str, str]], None]
) -> None:
    """Right: one image of 24 is at fault, so one is failed and 23 are done, in processes whose device works.

    A CUDA context is dead after the first illegal access, whatever comes next. Today the process lives on and answers
    every later image with the same error: its owner is told that most of a night's images cannot be annotated.
    """
    ids = write_photographs(tmp_path / "photos", 24)
    install("breaks_its_device", BREAKS_ITS_DEVICE, {"breaks-its-device": "BreaksItsDevice"})
    annotator = {"use": "breaks-its-device", "params": {"breaks_on": ids[9]}, "batch_size": 4}
    config = fake_config(
        tmp_path / "photos",
        annotators={"first": annotator},
        partitions={"max_images": 8},
        limits={"max_failed_share": 1.0},
    )
    with opened(tmp_path / "root", config) as pipeline:
        pipeline.run(Ingest())
        pipeline.run(Annotate())
        plan = pipeline.plan()
    failed = set()
    for record in plan.partitions:
        output = read_output(plan.store, "first", record.id, plan.fingerprints["first", record.id])
        rows = read_tables(plan.store, output)["status"].to_pylist()
        failed |= {row["image_id"] for row in rows if row["status"] == "failed"}
    assert failed == {ids[9]}


def test_an_export_whose_worker_is_always_killed_ends_with_an_error(tmp_path: Path) -> None:
    """Right: with `task_retries` 1 a task is begun at most three times (a first loss may lie outside its work), and the
    run ends with an error that names it.

    A worker that the kernel kills for its memory will be killed again. Today it is started for ever: the run never ends
    and never says why. Here the killer gives up after four, so that the test ends.
    """
    write_photographs(tmp_path / "photos", 4)
    for path in (tmp_path / "photos").glob("*.jpg"):  # large, and no JPEGs: each is encoded again, which takes a while
        Image.open(path).resize((1600, 1200)).save(path.with_suffix(".png"))
        path.unlink()
    config = fake_config(tmp_path / "photos", limits={"task_retries": 1})
    killed: list[int] = []

    def kill_exporters(step: str, finished: int, total: int) -> None:
        """Stands for the kernel's out-of-memory killer."""
        for child in psutil.Process().children() if step == "export" and finished and len(killed) < 4 else ():
            with suppress(psutil.NoSuchProcess):
                if "spawn_main" in " ".join(child.cmdline()):
                    child.kill()
                    killed.append(child.pid)

    store = Store(str(tmp_path / "root"))
    store.open_root(create=True)
    ended = ""
    with Pipeline(store, config, kill_exporters) as pipeline:
        pipeline.run(Ingest())
        pipeline.run(Annotate())
        pipeline.run(Filter())
        pipeline.run(Coverage())
        try:
            pipeline.run(Export())
        except RunnerError as error:
            ended = str(error)
    assert killed
    assert "group 0" in ended
    assert len(killed) <= 3
