"""The fake keeps the annotator's contract, so that what is proven with it holds for real annotators."""

from __future__ import annotations

import pickle
import subprocess
import sys
import time

import numpy as np
import pytest
from pydantic import ValidationError

from fld_engine.annotators.composed.fake import FakeAnnotator
from fld_engine.engine.plan.protocols import Annotator, Sample

PIXELS = np.zeros((30, 40, 3), dtype=np.uint8)


def sample(identity: str) -> Sample:
    return Sample(id=identity, width=40, height=30, pixels=PIXELS)


def test_it_is_an_annotator_that_survives_the_trip_to_a_worker() -> None:
    fake = pickle.loads(pickle.dumps(FakeAnnotator(FakeAnnotator.Params(regions=3, cpus=2, gpus=0.5, batch_size=5))))
    assert isinstance(fake, Annotator)
    assert (fake.batch_size, fake.resources.cpus, fake.resources.gpus) == (5, 2, 0.5)
    assert len(fake.annotate([sample("a")])[0].regions) == 3


def test_regions_depend_on_the_image_alone_and_lie_inside_it() -> None:
    fake = FakeAnnotator(FakeAnnotator.Params(regions=20))
    alone, together = fake.annotate([sample("a")])[0], fake.annotate([sample("b"), sample("a")])
    assert together[1] == alone
    assert together[0] != alone
    for region in alone.regions:
        x1, y1, x2, y2 = region.box_xyxy
        assert 0 <= x1 < x2 <= 40
        assert 0 <= y1 < y2 <= 30
    scores = [region.score for region in alone.regions]
    assert scores == sorted(scores, reverse=True)


def test_it_raises_only_on_the_images_it_is_told_to() -> None:
    fake = FakeAnnotator(FakeAnnotator.Params(raise_on=("bad",)))
    assert fake.annotate([sample("good")])
    with pytest.raises(ValueError, match="bad"):
        fake.annotate([sample("good"), sample("bad")])


def test_pixels_that_the_engine_forgot_are_noticed() -> None:
    with pytest.raises(ValueError, match="without pixels"):
        FakeAnnotator().annotate([Sample(id="a", width=40, height=30)])


def misbehaving(misbehaviour: str) -> str:
    """A script in which it meets a bad image, and says so just before."""
    return f"""
import numpy as np
from fld_engine.annotators.composed.fake import FakeAnnotator
from fld_engine.engine.plan.protocols import Sample
fake = FakeAnnotator(FakeAnnotator.Params({misbehaviour}=("bad",)))
print("now", flush=True)
fake.annotate([Sample(id="bad", width=4, height=4, pixels=np.zeros((4, 4, 3), np.uint8))])
"""


def test_it_crashes_its_process_on_demand() -> None:
    ended = subprocess.run([sys.executable, "-c", misbehaving("crash_on")], capture_output=True, check=False)
    assert ended.returncode == 1
    assert ended.stdout == b"now\n"
    assert not ended.stderr, "it exits without a traceback, as a killed worker does"


def test_it_hangs_its_process_on_demand() -> None:
    with subprocess.Popen([sys.executable, "-c", misbehaving("hang_on")], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"now\n"
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(2)
        process.kill()


def test_the_time_it_takes_is_spent() -> None:
    start = time.perf_counter()
    FakeAnnotator(FakeAnnotator.Params(seconds=0.02)).annotate([sample("a"), sample("b")])
    assert time.perf_counter() - start >= 0.04


def test_a_negative_time_is_refused() -> None:
    with pytest.raises(ValidationError):
        FakeAnnotator.Params(seconds=-1)
