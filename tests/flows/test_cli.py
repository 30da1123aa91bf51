"""The command line as a user meets it: exit codes, messages, and a real Prefect behind `run`."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import subprocess
from pathlib import Path

import fsspec
import psutil
import pytest
import yaml

from tests.commands import FLD
from tests.hostile import jpeg, tar_bytes
from tests.object_store import Trouble, troubled_bucket
from tests.roots import fake_config, write_photographs
from tests.waiting import PATIENCE_S, wait_until

pytestmark = pytest.mark.long(minutes=1)


def fld(*arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*FLD, *arguments], capture_output=True, text=True, timeout=PATIENCE_S, check=False, cwd=cwd)


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    """A YAML file of fake annotators over nine photographs."""
    write_photographs(tmp_path / "photos", 9)
    path = tmp_path / "recipe.yaml"
    config = fake_config(tmp_path / "photos").model_dump(mode="json", exclude_defaults=True)
    path.write_text(yaml.safe_dump(config, sort_keys=False))
    return path


def test_run_makes_everything_and_a_second_run_says_there_is_nothing_to_do(recipe: Path, tmp_path: Path) -> None:
    root = str(tmp_path / "root")
    first = fld("run", str(recipe), "--root", root)
    assert first.returncode == 0, first.stderr
    assert "exported 9 samples" in first.stdout
    for name in ("export/manifest.json", "export/shards", "coverage", "quarantine", "config.yaml", "run.json"):
        assert (tmp_path / "root" / name).exists(), name
    again = fld("run", str(recipe), "--root", root)
    assert again.returncode == 0
    assert "nothing to do" in again.stdout
    assert len(json.loads((tmp_path / "root/run.json").read_text())) == 1, "a run without work started no flow"

    status = json.loads(fld("status", "--root", root, "--json").stdout)
    assert (status["found"], status["ingested"], status["exported_samples"]) == (9, 9, 9)
    assert status["annotated"]["first"] == {"done": 9, "failed": 0, "not_run": 0, "missing": 0}
    planned = json.loads(fld("plan", str(recipe), "--root", root, "--set", "seed=1", "--json").stdout)
    assert planned["missing_images"]["first"] == 9, "another seed is another output"
    assert planned["to_write"] == ["export"]

    beside = ("--set", "exporters.coco.params.images=true")
    assert json.loads(fld("plan", str(recipe), "--root", root, *beside, "--json").stdout)["to_write"] == ["coco"]
    assert fld("run", str(recipe), "--root", root, *beside).returncode == 0
    assert len(list((tmp_path / "root/coco/images").iterdir())) == 9
    assert "nothing to do" in fld("run", str(recipe), "--root", root, *beside).stdout
    dropping = fld("run", str(recipe), "--root", root)
    assert dropping.returncode == 2
    assert "exporters.coco" in dropping.stderr
    assert "--yes" in dropping.stderr
    assert "nothing to do" in fld("run", "root", cwd=tmp_path).stdout, "it goes on as it is"
    assert json.loads(fld("plan", root, "--json").stdout)["to_write"] == []

    verified = fld("verify", f"{root}/export")
    assert verified.returncode == 0
    assert "9 samples" in verified.stdout
    shard = next((tmp_path / "root/export/shards").glob("*.tar"))
    shard.write_bytes(shard.read_bytes()[:-2000])
    assert fld("verify", f"{root}/export").returncode == 1


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["run", "demmo", "--root", "r"], 2, "did you mean 'demo'"),
        (
            ["run", "RECIPE", "--root", "r", "--set", "partitions.max_imges=3"],
            2,
            "did you mean 'partitions.max_images'",
        ),
        (["run", "RECIPE", "--root", "r", "--set", "partitions.max_images=many"], 2, "partitions.max_images"),
        (["run", "RECIPE", "--root", "r", "--set", "annotators.x.use=fakee"], 2, "did you mean 'fake'"),
        (["run", "RECIPE", "--root", "r", "--source", "/nowhere/at/all"], 2, "/nowhere/at/all"),
        (["plan", "RECIPE", "--root", "r", "--set", "refine.bogus=1"], 2, "key 'refine.bogus' is not known"),
        (
            ["plan", "RECIPE", "--root", "r", "--set", "annotators.coverage.use=fake"],
            2,
            "'coverage' is a reserved name",
        ),
        (["status", "--root", "nothing-here"], 1, "is not a dataset root"),
        (["explain", "abc", "--root", "nothing-here"], 1, "is not a dataset root"),
        (["run", "laptop", "--root", "r"], 2, "no --source was given"),
        (["run", "laptop"], 2, "say on which with --root"),
        (["run", "nothing-here"], 2, "neither a dataset root"),
        (["run"], 2, "name a dataset root"),
        (["run", "--root", "nothing-here"], 1, "is not a dataset root"),
        (["remove", "--ids", "ids.txt", "--root", "nothing-here"], 1, "is not a dataset root"),
        (["diff", "here", "there"], 1, "has no manifest.json"),
    ],
)
def test_wrong_usage_says_what_is_wrong_and_how_to_mend_it(
    recipe: Path, tmp_path: Path, arguments: list[str], code: int, message: str
) -> None:
    done = fld(*[str(recipe) if a == "RECIPE" else a for a in arguments], cwd=tmp_path)
    assert done.returncode == code, done.stderr
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_remove_and_diff_say_what_changed(recipe: Path, tmp_path: Path) -> None:
    root = tmp_path / "root"
    assert fld("run", str(recipe), "--root", str(root)).returncode == 0
    shutil.copytree(root / "export", tmp_path / "before")
    photo = (tmp_path / "photos/photo-0-004.jpg").read_bytes()
    identity = hashlib.sha256(photo).hexdigest()[:32]
    (tmp_path / "ids.txt").write_text(f"{identity}  # asked for\n{'0' * 32}\n")
    refused = fld("remove", "--ids", str(tmp_path / "ids.txt"), "--root", str(root))
    assert refused.returncode == 2
    assert f"has no image {'0' * 32}; nothing was removed" in refused.stderr
    (tmp_path / "ids.txt").write_text(identity)
    removed = fld("remove", "--ids", str(tmp_path / "ids.txt"), "--root", str(root))
    assert removed.returncode == 0, removed.stderr
    assert "removed 1 images from 1 partitions" in removed.stdout
    assert "8 samples are left" in removed.stdout
    again = json.loads(fld("remove", "--ids", str(tmp_path / "ids.txt"), "--root", str(root), "--json").stdout)
    assert (again["removed"], again["before"]) == ([], 1)

    told = fld("diff", str(tmp_path / "before"), str(root / "export"))
    assert told.returncode == 0, told.stderr
    assert "samples 9 -> 8" in told.stdout
    assert f"- {identity}" in told.stdout
    found = json.loads(fld("diff", str(tmp_path / "before"), str(root / "export"), "--json").stdout)
    assert (found["samples_removed"], found["samples_added"]) == ([identity], [])
    assert "the same: 8 samples" in fld("diff", str(root / "export"), str(root / "export")).stdout
    rerun = fld("run", str(recipe), "--root", str(root))
    assert "nothing to do" in rerun.stdout
    assert "removed 1," in rerun.stdout


def test_too_many_quarantined_images_end_with_exit_code_3(recipe: Path, tmp_path: Path) -> None:
    for number in range(3):
        (tmp_path / "photos" / f"broken-{number}.jpg").write_bytes(b"not an image")
    done = fld("run", str(recipe), "--root", str(tmp_path / "root"))
    assert done.returncode == 3, done.stderr
    assert "25.0% was quarantined" in done.stdout


def test_labels_of_people_that_are_lost_end_a_run_and_are_named(recipe: Path, tmp_path: Path) -> None:
    """All of a source's: an error before any work is done on it. Some: the work is done, and the exit code says so."""
    names = sorted(path.name for path in (tmp_path / "photos").iterdir())
    tree = yaml.safe_load(recipe.read_text())
    tree["sources"] = [{"url": str(tmp_path / "labels.json"), "images_url": str(tmp_path / "photos"), "name": "drawn"}]
    recipe.write_text(yaml.safe_dump(tree))

    def label(*categories: int) -> None:
        images = [{"id": i, "file_name": name} for i, name in enumerate(names)]
        drawn = [
            {"id": i, "image_id": 0, "category_id": category, "bbox": [1, 1, 9, 9 + i]}
            for i, category in enumerate(categories)
        ]
        written = {"images": images, "annotations": drawn, "categories": [{"id": 1, "name": "kite"}]}
        (tmp_path / "labels.json").write_text(json.dumps(written))

    root = str(tmp_path / "root")
    label(7, 7)
    lost = fld("run", str(recipe), "--root", root)
    assert lost.returncode == 2, lost.stdout
    assert "none of the 2 human annotations of source 'drawn' can be used: dangling_id 2" in lost.stderr
    assert "drawn#annotation/0: category_id 7 is not in categories" in lost.stderr
    assert not (tmp_path / "root/export").exists()
    again = fld("run", str(recipe), "--root", root)
    assert again.returncode == 2, "it does not go away by running again"
    label(1, 1, 7)
    done = fld("run", str(recipe), "--root", root)
    assert done.returncode == 3, done.stderr
    assert "33.3% of what people said in source 'drawn' was refused (allowed 1.0%): dangling_id 1" in done.stdout
    assert (tmp_path / "root/export/manifest.json").exists()
    told = fld("status", "--root", root).stdout
    assert "human annotations: seen 3, read 2, refused 1" in told
    assert "refused: dangling_id 1 (drawn#annotation/2)" in told
    found = json.loads(fld("status", "--root", root, "--json").stdout)["sources"]["drawn"]
    assert (found["images"]["read"], found["human"]["read"]) == (len(names), 2)
    allowed = fld("run", str(recipe), "--root", root, "--set", "limits.max_rejected_share=0.5")
    assert allowed.returncode == 0, allowed.stdout


def test_what_could_not_be_read_ends_with_exit_code_3_and_is_named(recipe: Path, tmp_path: Path) -> None:
    """A tar that may not be read beside nine photographs: they are exported, it is named, and the next run has it."""
    with troubled_bucket() as bucket:
        fsspec.filesystem("s3").pipe_file(f"{bucket.url}/web.tar", tar_bytes([("a.jpg", jpeg())]))
        bucket.troubles.append(Trouble("AccessDenied", "web.tar", times=10**6))
        root, run = str(tmp_path / "root"), ("run", str(recipe), "--source", str(tmp_path / "photos"))
        run = (*run, "--source", f"{bucket.url}/web.tar", "--root", root, "--set", "limits.max_unread_share=0.9")
        first = fld(*run)
        assert first.returncode == 3, first.stderr
        assert "exported 9 samples" in first.stdout
        told = f"left for the next run: 1 chunks with 1 files, forbidden: {bucket.url}/web.tar: access to it is refused"
        assert told in first.stdout
        assert told in fld("status", "--root", root).stdout
        bucket.troubles.clear()
        second = fld(*run)
        assert second.returncode == 0, second.stderr
        assert "exported 10 samples" in second.stdout
        assert "left for the next run" not in second.stdout


def test_a_killed_run_leaves_no_process_behind_and_its_root_goes_on(recipe: Path, tmp_path: Path) -> None:
    root = tmp_path / "root"
    slow = ["--set", "annotators.first.params.seconds=0.5"]
    driver = subprocess.Popen([*FLD, "run", str(recipe), "--root", str(root), *slow], stdout=subprocess.DEVNULL)
    wait_until((root / "partitions").exists, driver=driver)
    children = psutil.Process(driver.pid).children(recursive=True)
    assert children
    os.kill(driver.pid, signal.SIGKILL)
    driver.wait()
    _, alive = psutil.wait_procs(children, timeout=PATIENCE_S)
    assert not alive, [p.cmdline() for p in alive]
    assert fld("run", str(recipe), "--root", str(root), *slow).returncode == 0
