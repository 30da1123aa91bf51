"""Processes that fail on what is no fault of an image: exactly the guilty images are failed, in whatever runner."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from fld_engine.engine.plan.config import RunConfig
from fld_engine.engine.run.pipeline import Pipeline
from fld_engine.engine.stages.annotate.stage import Annotate
from fld_engine.engine.stages.ingest.stage import Ingest
from fld_engine.schemas.errors import RunnerError
from tests.engine.run.test_runners import statuses
from tests.installed import install_annotators
from tests.roots import fake_config, opened, write_photographs

pytestmark = pytest.mark.long(minutes=2)

DEADLY_DECODER = Path(__file__).parents[2] / "known_faults/deadly_decoder"
UNREADABLE_ERROR = "EPFail: node Conv_17: status 719"  # says nothing to anybody
LOST_CONTEXT = "CUDA error: an illegal memory access was encountered"
MISBEHAVING = '''
"""A detector whose device one image breaks for the rest of its process's life, and which fails on others."""

import os
import signal
import time

from fld_engine.annotators.composed.fake import FakeAnnotator


class Misbehaving(FakeAnnotator):
    class Params(FakeAnnotator.Params):
        loads: str  # a file that gets a line for each process
        breaks_on: tuple[str, ...] = ()
        says: str = ""
        fails_on: tuple[str, ...] = ()
        fails_on_all: bool = False
        dies_in_load: bool = False

    broken = False

    def load(self):
        with open(self.params.loads, "a") as file:
            print(os.getpid(), file=file)
        if self.params.dies_in_load:
            self.held = bytearray(os.urandom(1 << 20)) * 600  # beyond what any of these tests asks for
            time.sleep(1)
            os.kill(os.getpid(), signal.SIGKILL)

    def annotate(self, batch):
        ids = {sample.id for sample in batch}
        self.broken = self.broken or not ids.isdisjoint(self.params.breaks_on)
        if self.broken:
            raise RuntimeError(self.params.says)
        if self.params.fails_on_all or not ids.isdisjoint(self.params.fails_on):
            raise ValueError("no text in the picture")
        return super().annotate(batch)
'''


@pytest.fixture
def misbehaving(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Annotator `misbehaving` is installed; the folder that it is in."""
    return install_annotators(tmp_path, monkeypatch, "misbehaving", MISBEHAVING, {"misbehaving": "Misbehaving"})


def config_of(tmp_path: Path, params: dict[str, Any], **changes: Any) -> RunConfig:
    """Batches of four of partitions of eight; detector `second` is sound."""
    first = {"use": "misbehaving", "params": {"loads": str(tmp_path / "loads"), **params}, "batch_size": 4}
    defaults = {"partitions": {"max_images": 8}, "limits": {"max_failed_share": 1.0}}
    return fake_config(tmp_path / "photos", annotators={"first": first}, **{**defaults, **changes})


def annotated(root: Path, config: RunConfig) -> tuple[Pipeline, set[str]]:
    """A root that is ingested and annotated, and the images that `first` failed on; `second` must be done with all."""
    with opened(root, config) as pipeline:
        pipeline.run(Ingest())
        pipeline.run(Annotate())
        assert {status for status, _, _ in statuses(pipeline, "second").values()} == {"done"}
        found = statuses(pipeline, "first")
        return pipeline, {image for image, (status, _, _) in found.items() if status == "failed"}


def num_loads(tmp_path: Path) -> int:
    return len((tmp_path / "loads").read_text().splitlines())


def test_a_device_that_breaks_without_saying_so_fails_no_innocent(tmp_path: Path, misbehaving: Path) -> None:
    """Not every runtime has words for it: that all fails from then on is what shows. Two images in 24 do it."""
    ids = write_photographs(tmp_path / "photos", 24)
    guilty = {ids[9], ids[15]}  # the last of its partition: nothing comes after it there
    params = {"breaks_on": sorted(guilty), "says": UNREADABLE_ERROR}
    _, failed = annotated(tmp_path / "root", config_of(tmp_path, params, runner={"workers": 2}))
    assert failed == guilty


def test_neighbours_that_fail_by_themselves_are_failed_after_another_look(tmp_path: Path, misbehaving: Path) -> None:
    """Three pictures of a kind that the model cannot have: no fault of a device, and no reason to stop."""
    ids = write_photographs(tmp_path / "photos", 16)
    _, failed = annotated(tmp_path / "root", config_of(tmp_path, {"fails_on": ids[2:5]}))
    assert failed == set(ids[2:5])
    assert num_loads(tmp_path) == 2


def test_a_specialist_that_fails_on_everything_stops_the_run_early(tmp_path: Path, misbehaving: Path) -> None:
    """With the first reasons, after a few processes and not one an image; what others have done stays."""
    write_photographs(tmp_path / "photos", 64)
    config = config_of(tmp_path, {"fails_on_all": True}, partitions={"max_images": 32})
    with opened(tmp_path / "root", config) as pipeline:
        pipeline.run(Ingest())
        with pytest.raises(RunnerError, match=r"annotator 'first' failed on all of its first 20 images") as stop:
            pipeline.run(Annotate())
        assert len(pipeline.plan().missing("first")) == 2, "it went on to the next partition"
    assert str(stop.value).count("ValueError: no text in the picture") == 3
    assert num_loads(tmp_path) <= 8


def test_a_process_that_is_killed_while_it_loads_is_told_with_what_it_held(tmp_path: Path, misbehaving: Path) -> None:
    """It kills itself, and the kernel counts no want of memory: what it held is said, and no cause is made of it."""
    write_photographs(tmp_path / "photos", 2)
    config = config_of(tmp_path, {"dies_in_load": True}, limits={"task_retries": 0})
    with opened(tmp_path / "root", config) as pipeline:
        pipeline.run(Ingest())
        with pytest.raises(
            RunnerError, match=r"its process died \(2 times\), last while loading annotator 'first'"
        ) as stop:
            pipeline.run(Annotate())
    held = int(str(stop.value).split("held up to ")[1].split(" MB")[0])
    assert 600 < held < 3000
    assert "asks for 200 MB" in str(stop.value)  # two of 100 side by side
    assert num_loads(tmp_path) == 2


def test_both_runners_blame_the_same_images_and_write_the_same_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, misbehaving: Path
) -> None:
    """One image breaks the device, one kills the process that annotates it, one the process that decodes it.

    The decoder is well while images are taken in, as on another machine.
    """
    ray = pytest.importorskip("ray")
    ids = write_photographs(tmp_path / "photos", 16)
    noise = np.random.default_rng(9).integers(0, 256, (71, 97, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "photos/photo-0-004x.png")
    params = {"breaks_on": [ids[1]], "says": LOST_CONTEXT, "crash_on": [ids[10]]}
    found = {}
    for kind in ("local", "ray"):
        config = config_of(tmp_path, params, runner={"kind": kind, "workers": 1})
        with opened(tmp_path / kind, config) as pipeline, monkeypatch.context() as patch:
            pipeline.run(Ingest())
            pipeline.release_workers()
            ray.shutdown()
            pipeline._backend = pipeline._supervisor = None  # Ray's processes start with the environment that is now
            patch.setenv("PYTHONPATH", f"{DEADLY_DECODER}:{misbehaving}")
            pipeline.run(Annotate())
            found[kind] = [statuses(pipeline, name) for name in ("first", "second")]
        ray.shutdown()
    first, second = found["local"]
    failed = {image: reason for image, (status, reason, _) in first.items() if status == "failed"}
    (undecodable,) = set(first) - set(ids)
    assert failed == {
        ids[1]: f"RuntimeError: {LOST_CONTEXT}",
        ids[10]: "killed_worker",
        undecodable: "killed_worker",
    }
    assert [image for image, (status, _, _) in second.items() if status == "failed"] == [undecodable]
    assert found["ray"] == found["local"]
