"""Every stage on an object store in bad weather: moto's server, which fails as S3 does.

A store that fails for a moment costs nothing but time; one that takes access away costs a sentence, and the same
command goes on where it was once access is given back.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fld_engine.engine.plan.registry import build_exporter
from fld_engine.engine.stages.annotate.stage import Annotate
from fld_engine.engine.stages.contamination.stage import Contamination
from fld_engine.engine.stages.coverage.stage import Coverage
from fld_engine.engine.stages.export.stage import Export
from fld_engine.engine.stages.export.verify import verify
from fld_engine.engine.stages.filter.stage import Filter
from fld_engine.engine.stages.ingest.stage import Ingest
from fld_engine.engine.stages.removal.stage import Remove
from fld_engine.engine.stages.replay.marks import mark_failed
from fld_engine.flows.report import make_report
from fld_engine.refinement.loop.loop import Loop
from fld_engine.refinement.loop.settings import RefineConfig
from fld_engine.refinement.training.checkpoints import Checkpoints
from fld_engine.schemas.errors import FldError
from tests.chaos.ground import everything
from tests.engine.stages.removal.removal_roots import write_coco
from tests.known_faults.in_process import Root, new_root
from tests.object_store import Bucket, Denied, FirstTimes, troubled_bucket
from tests.roots import fake_config, write_photographs

pytestmark = pytest.mark.long

NUM = 4
LOOKED_AT = ("rounds", "removal")
"""After these, all that is in the roots is compared."""


def verified(root: Root) -> None:
    assert verify(f"{root.store.url}/export").problems == ()


def replay(root: Root) -> None:
    """Once more on the image that an annotator failed on."""
    mark_failed(root.plan())
    root.run(Annotate())


def begin_rounds(root: Root) -> None:
    """Round 0, as the driver writes it, and what a worker keeps of a training."""
    root.run(Filter())
    loop = Loop(cast(Any, root), root.config.section("refine", RefineConfig))
    loop.initial_round()
    checkpoints = Checkpoints(root.store, "rounds/001/students/0-checkpoints", "made of this", keep=1)
    for step in (1, 2):
        checkpoints.save(step, {})
    assert checkpoints.steps() == [2]
    found = checkpoints.load()
    assert found is not None
    assert found["step"] == 2


@dataclass
class World:
    """The same root thrice: on a disk, in bad weather, and where access is taken away."""

    bucket: Bucket
    ids: list[str]
    calm: Root
    roots: dict[str, Root]
    done: list[str]

    @property
    def stages(self) -> dict[str, Callable[[Root], object]]:
        return {
            "ingest": lambda root: root.run(Ingest()),
            "annotate": lambda root: root.run(Annotate()),
            "contamination": lambda root: root.run(Contamination()),
            "filter": lambda root: root.run(Filter()),
            "coverage": lambda root: root.run(Coverage()),
            "export": lambda root: root.run(Export()),
            "verify": verified,
            "coco": lambda root: root.run(build_exporter("coco", root.config.exporters["coco"])),
            "report": lambda root: make_report(cast(Any, root)),
            "replay": replay,
            "rounds": begin_rounds,
            "removal": lambda root: root.run(Remove([self.ids[2]])),
        }


STAGES = (
    "ingest", "annotate", "contamination", "filter", "coverage", "export", "verify", "coco", "report", "replay",
    "rounds", "removal",
)  # fmt: skip


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("weather")
    photographs = folder / "photographs"
    ids = write_photographs(photographs, NUM)
    write_coco(photographs, sorted(path.name for path in photographs.iterdir()))
    (fails := folder / "fails").touch()
    with troubled_bucket() as bucket:
        hashes = pa.BufferOutputStream()
        pq.write_table(pa.table({"sha256": ["0" * 64, "1" * 64]}), hashes)
        fs = fsspec.filesystem("s3")
        fs.pipe_file(f"{bucket.url}/lists/hashes.parquet", hashes.getvalue().to_pybytes())
        fs.pipe_file(f"{bucket.url}/lists/hashes.txt", b"2" * 64)
        lists = [{"url": f"{bucket.url}/lists/hashes.{kind}", "name": f"list-{kind}"} for kind in ("parquet", "txt")]
        config = fake_config(
            photographs,
            sources=[{"url": str(photographs / "labels.json"), "name": "labelled", "licence": "CC-BY-4.0"}],
            annotators={"first": {"use": "fake", "params": {"raise_on": [ids[1]], "raise_while": str(fails)}}},
            partitions={"max_images": 2},
            exclude=lists,
            exporters={"coco": {"params": {"images": True}}},
            limits={"max_failed_share": 0.9},
        )
        roots = {name: new_root(f"{bucket.url}/{name}", config) for name in ("weather", "denied")}
        yield World(bucket, ids, new_root(folder / "calm", config), roots, [])


@pytest.mark.parametrize("stage", STAGES)
def test_bad_weather_costs_a_stage_nothing(
    world: World, stage: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Without those tries of s3fs that would hide ours."""
    for earlier in STAGES[len(world.done) : STAGES.index(stage)]:  # where it is run alone
        for root in (world.calm, *world.roots.values()):
            world.stages[earlier](root)
    world.done[:] = STAGES[: STAGES.index(stage) + 1]
    if stage == "replay":
        Path(world.calm.config.annotators["first"].params["raise_while"]).unlink()
    do = world.stages[stage]
    do(world.calm)
    monkeypatch.setattr(fsspec.get_filesystem_class("s3"), "retries", 1)

    weather = FirstTimes()
    world.bucket.troubles[:] = [weather]
    do(world.roots["weather"])
    world.bucket.troubles.clear()
    assert len(weather.seen) > 3, "it never asked the store"

    denied = Denied(after=len(weather.seen) // 2)
    world.bucket.troubles[:] = [denied]
    with pytest.raises(FldError, match=r"access to it is refused|cannot be read: .*; check the URL and the access"):
        do(world.roots["denied"])
    world.bucket.troubles.clear()
    do(world.roots["denied"])

    if stage in LOOKED_AT:
        expected = everything(world.calm.store.url)
        for name, root in world.roots.items():
            root.store.fs.get(root.store.base, str(tmp_path / name), recursive=True)
            assert everything(tmp_path / name, url=root.store.url) == expected, name
