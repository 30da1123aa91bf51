"""A removal that is killed goes on where it was, and ends with the same bytes; on an object store, too."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from fld_engine.engine.data.store import Store
from fld_engine.engine.plan.config import RunConfig, dump_config
from fld_engine.engine.run.pipeline import Pipeline
from fld_engine.engine.stages.removal.stage import Remove
from tests.engine.run.test_object_store import bucket
from tests.engine.stages.removal.removal_roots import CAPTION, FAKE, VICTIM, annotated_root, samples, traces
from tests.roots import digest, opened, run_pipeline
from tests.waiting import PATIENCE_S

pytestmark = pytest.mark.long

__all__ = ["bucket"]  # a fixture

Made = tuple[Path, RunConfig, list[str]]

KILL_AFTER = """
import os, signal, sys
from fld_engine.engine.plan.config import load_config
from fld_engine.engine.run.pipeline import Pipeline
from fld_engine.engine.stages.removal.stage import Remove
from fld_engine.engine.data.store import Store

root, config, image_id, step, after = sys.argv[1:]
seen = 0

def watch(name, now, total):
    global seen
    seen += name == step
    if seen > int(after):
        os.kill(os.getpid(), signal.SIGKILL)

if __name__ == "__main__":
    with Pipeline(Store(root), load_config(config), watch) as pipeline:
        pipeline.run(Remove([image_id]))
"""
"""Removes an image, and is killed at the n-th sign of progress of a step."""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    return annotated_root(tmp_path_factory.mktemp("made"), FAKE)


@pytest.fixture(scope="module")
def undisturbed(made: Made, tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, str], int]:
    """Digest of the root after a removal that nothing disturbs, and how many signs of progress it gave."""
    root = tmp_path_factory.mktemp("undisturbed") / "root"
    shutil.copytree(made[0], root)
    signs: list[str] = []
    with Pipeline(Store(str(root)), made[1], lambda step, now, total: signs.append(step)) as pipeline:
        pipeline.run(Remove([made[2][VICTIM]]))
    return everything(root), signs.count("remove")


def everything(root: Path) -> dict[str, str]:
    """What counts after a removal, the journals and partitions included."""
    store = Store(str(root))
    names = [
        f"{folder}/{name}" for folder in ("ingest", "partitions", "quarantine") for name in store.list_names(folder)
    ]
    files = {
        name: store.read_bytes(name).hex() for name in [*names, "removed.json"] if store.fs.isfile(store.path(name))
    }
    return {**digest(root), **files}


def kill_while_removing(made: Made, root: Path, step: str, after: int) -> None:
    script, config = root.parent / "remove.py", root.parent / "config.yaml"
    script.write_text(KILL_AFTER)
    config.write_text(dump_config(made[1]))
    command = [sys.executable, str(script), str(root), str(config), made[2][VICTIM], step, str(after)]
    environment = {**os.environ, "PYTHONPATH": os.getcwd()}
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=PATIENCE_S, env=environment)
    assert done.returncode == -signal.SIGKILL, done.stderr


@pytest.mark.parametrize("tenths", [0, 1, 3, 5, 6, 7, 8, 9])
def test_a_removal_killed_anywhere_ends_with_the_same_bytes(
    made: Made, undisturbed: tuple[dict[str, str], int], tmp_path: Path, tenths: int
) -> None:
    root = tmp_path / "root"
    shutil.copytree(made[0], root)
    kill_while_removing(made, root, "remove", undisturbed[1] * tenths // 10)
    assert (root / "removal.json").exists(), "it was killed before it was through"
    if tenths % 2:  # either the next run goes on, or the same command again
        run_pipeline(root, made[1])
    else:
        with opened(root, made[1]) as pipeline:
            report = pipeline.run(Remove([made[2][VICTIM]]))
        assert report.exported
        assert report.removed == (made[2][VICTIM],)
        assert report.shards_changed + report.shards_removed, "it still knows what the export was before"
    assert everything(root) == undisturbed[0]
    assert not traces(root, CAPTION.encode())
    assert not (root / "removal.json").exists()


def test_one_that_is_killed_while_it_exports_is_completed_by_the_next_run(
    made: Made, undisturbed: tuple[dict[str, str], int], tmp_path: Path
) -> None:
    root = tmp_path / "root"
    shutil.copytree(made[0], root)
    kill_while_removing(made, root, "export", 0)
    assert not traces(root, CAPTION.encode()), "whatever comes later, it is gone"
    assert not (root / "export/manifest.json").exists()
    run_pipeline(root, made[1])
    assert everything(root) == undisturbed[0]
    assert not (root / "removal.json").exists()


@pytest.fixture
def s3_root(bucket: str, made: Made) -> str:
    store = Store(f"{bucket}/root")
    store.fs.put(str(made[0]), store.base, recursive=True)
    return f"{bucket}/root"


def test_an_object_store_loses_the_image_as_a_disk_does(
    made: Made, undisturbed: tuple[dict[str, str], int], s3_root: str, tmp_path: Path
) -> None:
    with opened(s3_root, made[1]) as pipeline:
        pipeline.run(Remove([made[2][VICTIM]]))
    store = Store(s3_root)
    store.fs.get(store.base, str(tmp_path / "copy"), recursive=True)
    assert everything(tmp_path / "copy") == undisturbed[0]
    assert not traces(tmp_path / "copy", CAPTION.encode())
    assert len(samples(tmp_path / "copy")) == 3 * 8
