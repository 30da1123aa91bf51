"""Somebody else's package adds one of each extension by entry points alone."""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image

from tests.commands import FLD
from tests.engine.stages.report.recount import samples_of
from tests.waiting import PATIENCE_S

EXTENSION = Path(__file__).parents[1] / "extension"
RUN = """
import sys
from fld_engine.engine.plan.config import load_config
from fld_engine.engine.plan.registry import stage_named
from fld_engine.flows.report import make_report
from tests.roots import opened, run_pipeline
if __name__ == "__main__":
    config = load_config(sys.argv[1])
    run_pipeline(sys.argv[2], config)
    with opened(sys.argv[2], config) as pipeline:
        pipeline.run(stage_named("sharpness"))
        make_report(pipeline)
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where pip installed the extension."""
    site = tmp_path_factory.mktemp("site")
    install = ["install", "--quiet", "--no-deps", "--no-build-isolation", "--target", str(site), str(EXTENSION)]
    subprocess.run([sys.executable, "-m", "pip", *install], check=True, capture_output=True, timeout=PATIENCE_S)
    return site


def run(site: Path, folder: Path, config: dict[str, Any]) -> dict[str, Any]:
    """The manifest of a whole pipeline, report included, in a process that has the extension on its path."""
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    script = folder / "run.py"
    script.write_text(RUN)
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(site), str(EXTENSION.parents[1])])}
    command = [sys.executable, str(script), str(folder / "config.yaml"), str(folder / "root")]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=PATIENCE_S, check=False)
    assert done.returncode == 0, done.stderr
    manifest: dict[str, Any] = json.loads((folder / "root/export/manifest.json").read_text())
    return manifest


def grey(value: int) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(np.full((40, 50, 3), value, dtype=np.uint8)).save(stream, "PNG")
    return stream.getvalue()


def test_an_annotator_a_filter_a_stage_and_a_page_of_another_package_are_found_and_run(
    site: Path, tmp_path: Path
) -> None:
    (tmp_path / "photos").mkdir()
    for name, value in (("dark", 20), ("grey", 120), ("white", 250)):
        (tmp_path / f"photos/{name}.png").write_bytes(grey(value))
    config = {
        "sources": [{"url": str(tmp_path / "photos"), "kind": "folder"}],
        "annotators": {"brightness": {}},
        "filters": {"bright-enough": {"params": {"min_score": 0.4}}},
    }
    manifest = run(site, tmp_path, config)
    assert manifest["samples"] == 2, "the dark image is dropped by the other package's filter"
    assert manifest["models"]["brightness"]["id"] == "brightness"
    assert "3 images were measured" in (tmp_path / "root/report/sharpest.html").read_text()


def test_a_source_of_another_package_is_read_by_workers_and_its_captions_are_exported(
    site: Path, tmp_path: Path
) -> None:
    """Images are read once to scan and once more to pack, each time by a worker that finds the reader by its name."""
    with zipfile.ZipFile(tmp_path / "photos.cbz", "w", zipfile.ZIP_DEFLATED) as archive:
        for name, value in (("day/grey", 120), ("day/white", 250), ("night/dark", 20)):
            info = zipfile.ZipInfo(f"{name}.png")
            info.comment = f"Nothing but {name}.".encode()
            archive.writestr(info, grey(value))
    source = {"url": str(tmp_path / "photos.cbz"), "kind": "zipped", "params": {"folder": "day/"}}
    manifest = run(site, tmp_path, {"sources": [source], "annotators": {"brightness": {}}})
    assert manifest["samples"] == 2
    samples = list(samples_of(tmp_path / "root/export"))
    assert sorted(text["text"] for sample in samples for text in sample["texts"]) == [
        "Nothing but day/grey.",
        "Nothing but day/white.",
    ]
    with tarfile.open(next((tmp_path / "root/partitions").glob("*.tar"))) as packed:
        assert sorted(packed.extractfile(member).read() for member in packed) == sorted([grey(120), grey(250)])


def fld(site: Path | None, *arguments: str) -> str:
    """What a command says, in a process that has the extension on its path, or not."""
    paths = [*([str(site)] if site else []), str(EXTENSION.parents[1])]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(paths)}
    command = [*FLD, *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=PATIENCE_S, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.long
def test_an_exporter_of_another_package_writes_and_a_removal_reaches_what_it_and_a_stage_left(
    site: Path, tmp_path: Path
) -> None:
    """The package is gone when the image has to go: what its stages left is noted in the root."""
    with zipfile.ZipFile(tmp_path / "photos.cbz", "w") as archive:
        for name, value in (("grey", 120), ("white", 250)):
            info = zipfile.ZipInfo(f"{name}.png")
            info.comment = f"Nothing but {name}.".encode()
            archive.writestr(info, grey(value))
    root = str(tmp_path / "root")
    run(site, tmp_path, {"sources": [{"url": str(tmp_path / "photos.cbz"), "kind": "zipped"}]})
    shutil.copy(tmp_path / "config.yaml", tmp_path / "root/config.yaml")  # as `fld run` does
    assert "captions-csv" in fld(site, "exporters")
    told = fld(
        site, "export", "--root", root, "--format", "captions-csv", "--set", "exporters.captions-csv.params.separator=;"
    )
    assert "2 captions" in told
    lines = (tmp_path / "root/captions-csv/captions.csv").read_text().splitlines()
    assert sorted(line.split(";")[1] for line in lines[1:]) == ["Nothing but grey.", "Nothing but white."]
    assert '"measured": 2' in fld(site, "status", "--root", root, "--json")

    gone = next(line.split(";")[0] for line in lines if "white" in line)
    (tmp_path / "ids.txt").write_text(gone)
    fld(None, "remove", "--root", root, "--ids", str(tmp_path / "ids.txt"))
    assert not (tmp_path / "root/captions-csv").exists()
    left = [path for path in (tmp_path / "root").rglob("*") if path.is_file() and path.name != "removed.json"]
    assert not [path for path in left if gone.encode() in path.read_bytes() or b"but white" in path.read_bytes()]
