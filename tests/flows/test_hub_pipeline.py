"""The whole pipeline on small checkpoints of every architecture: both runners, killed and resumed, moved, broken."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from fld_engine.annotators.checkpoints.checkpoint import folder_sha256
from fld_engine.engine.data.journal import read_journal
from fld_engine.engine.inspect.status import read_status
from fld_engine.engine.plan.config import RunConfig
from fld_engine.engine.run.pipeline import Pipeline, Work
from fld_engine.engine.stages.export.manifest import Manifest
from fld_engine.schemas.errors import FldError
from fld_engine.schemas.tables import ANNOTATION_TABLES
from fld_engine.schemas.tasks import Task
from tests.annotators.endpoint.server import MODEL, Server, said, serving
from tests.annotators.hub.checkpoints_captioners import build_blip, build_git
from tests.annotators.hub.checkpoints_chat import build_idefics3, build_llava
from tests.annotators.hub.checkpoints_detection import (
    build_detr,
    build_dfine,
    build_grounding_dino,
    build_mm_grounding_dino,
    build_owlv2,
    build_rtdetr,
)
from tests.annotators.hub.checkpoints_encoders import build_clip, build_siglip, build_siglip2
from tests.annotators.hub.checkpoints_florence2 import ANSWERS, build_florence2
from tests.annotators.hub.checkpoints_masks import build_sam
from tests.roots import digest, fake_config, run_pipeline, write_photographs
from tests.waiting import PATIENCE_S, wait_until

BUILDERS: tuple[Callable[[Path], Path], ...] = (
    *(build_rtdetr, build_dfine, build_detr, build_grounding_dino, build_mm_grounding_dino, build_owlv2),
    *(build_blip, build_git, build_sam, build_clip, build_siglip, build_siglip2, build_llava, build_idefics3),
)
FLORENCE2: tuple[Task, ...] = ("<CAPTION>", "<OD>", "<OCR_WITH_REGION>")
OF_REGIONS: tuple[Task, ...] = ("<REGION_TO_DESCRIPTION>", "<REGION_TO_OCR>")
NUM_IMAGES = 5  # in three partitions
DRIVER = """
import sys
from pathlib import Path
from fld_engine.engine.plan.config import RunConfig
from tests.roots import run_pipeline
run_pipeline(sys.argv[1], RunConfig.model_validate_json(Path(sys.argv[2]).read_text()))
"""

pytestmark = pytest.mark.long(minutes=2)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    for build in BUILDERS:
        build(folder / build.__name__.removeprefix("build_"))
    taught = {(task, about): said for (task, about), said in ANSWERS.items() if task in FLORENCE2 + OF_REGIONS}
    build_florence2(folder / "florence2", taught)
    return folder


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("photos")
    write_photographs(folder, NUM_IMAGES)
    return folder


@pytest.fixture(scope="module")
def endpoint() -> Iterator[Server]:
    with serving(lambda request, before: said("A dog beside a red ball.", ("A", 0.5), ("dog", 0.5))) as server:
        yield server


def annotators(models: Path, endpoint: Server) -> dict[str, Any]:
    """Every role by a checkpoint, and each architecture in some role; a writer behind an endpoint beside them."""

    def by(use: str, checkpoint: str, **params: Any) -> dict[str, Any]:
        return {
            "use": use,
            "params": {"checkpoint": str(models / checkpoint), "device": "cpu", **params},
            "batch_size": 4,
            "work_set": {"min_score": 0.3, "max_regions": 3},
            "resources": {"memory_mb": 200},
        }

    short = {"max_new_tokens": 12}
    few = {"max_regions": 10}
    asked = {"base_url": endpoint.url, "model": MODEL, "granularities": ["detailed"]}
    return {
        "detector": by("object-detection", "rtdetr", **few),
        "second-detector": by("object-detection", "detr", min_score=0.1, **few),
        "third-detector": by("object-detection", "dfine", **few),
        "open-detector": by("zero-shot-detection", "owlv2", vocabulary=["cat", "dog"], min_score=0.9, **few),
        "captioner": by("image-to-text", "blip", **short),
        "second-captioner": by("image-to-text", "git", **short),
        "crop-captioner": by("image-to-text", "git", texts=False, regions=True, **short),
        "florence2": by("florence2", "florence2", tasks=FLORENCE2, max_new_tokens=40),
        "region-florence2": by("florence2", "florence2", tasks=OF_REGIONS, max_new_tokens=20),
        "masks": by("box-masks", "sam"),
        "writer": by("chat-captioner", "llava", **short),
        "second-writer": by("chat-captioner", "idefics3", granularities=["detailed"], **short),
        "third-writer": {"use": "endpoint-captioner", "params": asked, "resources": {"memory_mb": 200}},
        "parser": {"use": "spacy-parser"},
        "grounder": by("zero-shot-detection", "grounding_dino"),
        "second-grounder": by("zero-shot-detection", "mm_grounding_dino", max_phrases=5),
        "ranker": by("dual-encoder", "clip"),
        "second-ranker": by("dual-encoder", "siglip", texts=False),
        "text-ranker": by("dual-encoder", "siglip2", regions=False),
        "verifier": by("chat-verifier", "llava", max_regions=2, max_phrases=2),
    }


FILTERS: dict[str, Any] = {
    "region-votes": {"params": {"detectors": ["detector", "second-detector"], "sure_score": 0.3}},
    "region-nms": {},
    "region-check": {"params": {"min_score": 0.1}},
    "region-text-similarity": {"params": {"min_similarity": -0.9}},
    "text-similarity": {"params": {"min_similarity": -0.9}},
    "phrase-check": {"params": {"min_score": 0.1}},
}


def config_of(models: Path, photos: Path, endpoint: Server, **changes: Any) -> RunConfig:
    given = {
        "annotators": annotators(models, endpoint),
        "partitions": {"max_images": 2},
        "filters": FILTERS,
        **changes,
    }
    whole = {key: given.pop(key) for key in ("annotators", "filters")}  # instead of those that come with it
    return RunConfig.model_validate(fake_config(photos, **given).model_dump() | whole)


@pytest.fixture(scope="module")
def undisturbed(models: Path, photos: Path, endpoint: Server, tmp_path_factory: pytest.TempPathFactory) -> Pipeline:
    return run_pipeline(tmp_path_factory.mktemp("undisturbed") / "root", config_of(models, photos, endpoint))


def test_every_specialist_says_something_about_every_image(
    undisturbed: Pipeline, models: Path, endpoint: Server
) -> None:
    status = read_status(undisturbed.plan(), read_journal(undisturbed.store))
    done = {name: (counts.done, counts.failed) for name, counts in status.annotated.items()}
    assert done == dict.fromkeys(annotators(models, endpoint), (NUM_IMAGES, 0))
    written = {
        table: undisturbed.store.fs.glob(f"{undisturbed.store.base}/stages/*/*{table}*.parquet")
        for table in ANNOTATION_TABLES
    }
    assert {table for table, files in written.items() if not files} <= {"labels", "absences"}


def test_the_manifest_says_which_weights_spoke(undisturbed: Pipeline, models: Path, endpoint: Server) -> None:
    manifest = undisturbed.store.read_model("export/manifest.json", Manifest)
    for name, given in annotators(models, endpoint).items():
        model = manifest.models[name]
        if "checkpoint" in given.get("params", {}):
            folder = Path(given["params"]["checkpoint"])
            assert (model.id, model.sha256) == (folder.name, folder_sha256(folder))
        assert not model.remote_code
    assert manifest.models["third-writer"].id == MODEL


def test_a_killed_run_goes_on_under_ray_to_the_same_bytes_with_checkpoints_that_have_moved(
    undisturbed: Pipeline, models: Path, photos: Path, endpoint: Server, tmp_path: Path
) -> None:
    """A driver of the local runner dies over the first partition; Ray does the rest, with every specialist."""
    root, given = tmp_path / "root", tmp_path / "config.json"
    given.write_text(config_of(models, photos, endpoint).model_dump_json())
    driver = subprocess.Popen([sys.executable, "-c", DRIVER, str(root), str(given)])
    wait_until((root / "stages/writer").exists, driver=driver)
    children = psutil.Process(driver.pid).children(recursive=True)
    os.kill(driver.pid, signal.SIGKILL)
    assert driver.wait() == -signal.SIGKILL
    _, alive = psutil.wait_procs(children, timeout=PATIENCE_S)
    assert not alive
    elsewhere = tmp_path / "elsewhere"
    shutil.copytree(models, elsewhere)
    rest = run_pipeline(root, config_of(elsewhere, photos, endpoint, runner={"kind": "ray", "workers": 1})).work
    assert {name for name, (images, _) in rest.annotated.items() if images} == set(annotators(models, endpoint))
    assert digest(root) == digest(undisturbed.store.base)
    assert run_pipeline(root, config_of(models, photos, endpoint)).work == Work()  # moved back: nothing is to do


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda folder: (folder / "model.safetensors").write_bytes(b"not what it says"), "cannot be loaded"),
        (lambda folder: (folder / "model.safetensors").unlink(), "safetensors"),
        (lambda folder: shutil.rmtree(folder), "does not exist"),
        (lambda folder: shutil.copy(folder.parent / "clip/config.json", folder), "does not do object detection"),
    ],
    ids=["corrupt", "no weights", "not there", "wrong kind"],
)
def test_a_checkpoint_that_cannot_serve_is_an_error_that_says_so(
    models: Path, photos: Path, tmp_path: Path, damage: Callable[[Path], Any], message: str
) -> None:
    for name in ("rtdetr", "clip"):
        shutil.copytree(models / name, tmp_path / name)
    damage(tmp_path / "rtdetr")
    params = {"checkpoint": str(tmp_path / "rtdetr"), "device": "cpu"}
    with pytest.raises(FldError, match=message):
        run_pipeline(
            tmp_path / "root", fake_config(photos, annotators={"hub": {"use": "object-detection", "params": params}})
        )
