"""Runs that are killed, repeated, retuned or extended do exactly the work that is missing."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from fld_engine.engine.data.store import Store
from tests.roots import digest, fake_config, opened, run_pipeline, write_photographs
from tests.waiting import wait_until

pytestmark = pytest.mark.long

SLOW = {
    "first": {"use": "fake", "params": {"regions": 3, "seconds": 0.05}, "batch_size": 3},
    "second": {"use": "fake", "params": {"regions": 2}, "batch_size": 2},
}
DRIVER = f"""
import sys
sys.path.insert(0, {str(Path(__file__).parents[3])!r})
from tests.roots import fake_config, run_pipeline
if __name__ == "__main__":
    run_pipeline(sys.argv[2], fake_config(sys.argv[1], annotators={SLOW!r}, runner={{"kind": sys.argv[3]}}))
"""


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, str]]:
    """Photographs, and the digest of a run over them that nothing stops."""
    folder = tmp_path_factory.mktemp("undisturbed")
    write_photographs(folder / "photos", 10)
    run_pipeline(folder / "root", fake_config(folder / "photos", annotators=SLOW))
    return folder / "photos", digest(folder / "root")


@pytest.mark.parametrize(
    ("runner", "appears"),
    [
        ("local", "ingest/000001"),  # while scanning
        ("local", "partitions"),  # while packing
        ("local", "stages/first"),  # while annotating
        ("ray", "stages/first"),
        ("local", "stages/verdicts"),
        ("local", "export/shards"),  # while writing shards
    ],
)
def test_a_driver_killed_anywhere_resumes_to_the_same_bytes(
    undisturbed: tuple[Path, dict[str, str]], tmp_path: Path, runner: str, appears: str
) -> None:
    (photos, expected), root = undisturbed, tmp_path / "root"
    script = tmp_path / "driver.py"
    script.write_text(DRIVER)
    driver = subprocess.Popen([sys.executable, str(script), str(photos), str(root), runner])
    store = Store(str(root))
    wait_until(lambda: store.list_names(appears), driver=driver)
    driver.send_signal(signal.SIGKILL)
    driver.wait()
    run_pipeline(root, fake_config(photos, annotators=SLOW))
    assert digest(root) == expected


def test_a_second_run_does_no_work(tmp_path: Path) -> None:
    write_photographs(tmp_path / "photos", 6)
    config = fake_config(tmp_path / "photos")
    first = run_pipeline(tmp_path / "root", config)
    assert first.work.models_loaded == 2
    assert first.work.images_read == 6
    before = digest(tmp_path / "root")
    second = run_pipeline(tmp_path / "root", config)
    assert (second.work.models_loaded, second.work.images_read, second.work.tasks_done) == (0, 0, 0)
    assert digest(tmp_path / "root") == before


def test_tightening_a_threshold_loads_no_model_and_reads_no_image(tmp_path: Path) -> None:
    write_photographs(tmp_path / "photos", 6)
    run_pipeline(tmp_path / "root", fake_config(tmp_path / "photos"))
    tight = fake_config(tmp_path / "photos", filters={"region-confidence": {"params": {"objects": 0.9}}})
    retuned = run_pipeline(tmp_path / "root", tight)
    assert (retuned.work.models_loaded, retuned.work.images_read) == (0, 0)
    assert retuned.work.outputs_written == 4  # verdicts and coverage of two partitions
    run_pipeline(tmp_path / "fresh", tight)
    fresh = digest(tmp_path / "fresh")
    assert {k: v for k, v in digest(tmp_path / "root").items() if k in fresh} == fresh


def test_adding_an_annotator_runs_it_alone(tmp_path: Path) -> None:
    write_photographs(tmp_path / "photos", 6)
    run_pipeline(tmp_path / "root", fake_config(tmp_path / "photos"))
    more = fake_config(tmp_path / "photos", annotators={"third": {"use": "fake", "params": {"regions": 1}}})
    added = run_pipeline(tmp_path / "root", more)
    assert added.work.models_loaded == 1
    assert added.work.outputs_written == 2 + 4  # the annotator, then verdicts and coverage, of two partitions


def test_images_added_later_make_new_partitions_and_touch_no_old_file(tmp_path: Path) -> None:
    photos, root = tmp_path / "photos", tmp_path / "root"
    write_photographs(photos, 6)
    config = fake_config(photos)
    run_pipeline(root, config)
    before = {p: (p.stat().st_mtime_ns, p.stat().st_ino) for p in root.rglob("*.tar")}
    write_photographs(photos, 5, seed=1)
    added = run_pipeline(root, config)
    assert added.work.images_read == 5
    after = {p: (p.stat().st_mtime_ns, p.stat().st_ino) for p in root.rglob("*.tar")}
    assert {p: after[p] for p in before} == before
    ids = [line for shard in (root / "export/shards").glob("*.tar") for line in tar_keys(shard)]
    assert len(ids) == len(set(ids)) == 11


def tar_keys(path: Path) -> list[str]:
    import tarfile

    with tarfile.open(path) as tar:
        return [name.removesuffix(".jpg") for name in tar.getnames() if name.endswith(".jpg")]


def test_a_bound_below_the_work_set_is_announced_with_those_who_do_not_see(tmp_path: Path) -> None:
    write_photographs(tmp_path / "photos", 1)
    annotators = {"matcher": {"use": "composed-describer", "work_set": {"min_score": 0.4}}}
    for bound, blind in ((0.5, []), (0.2, ["matcher"])):
        filters = {"region-confidence": {"params": {"objects": bound}}}
        config = fake_config(tmp_path / "photos", annotators=annotators, filters=filters)
        with opened(tmp_path / "root", config) as pipeline:
            assert pipeline.plan().blind_annotators() == (min(bound, 0.5), blind)
