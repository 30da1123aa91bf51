"""The manifests for Kubernetes are what KubeRay takes, and the recipe's specialists fit the workers in them."""

from __future__ import annotations

import copy
import json
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import typer.testing
import yaml

from fld_engine.engine.plan.config import load_config
from fld_engine.engine.plan.fit import fit_workers
from fld_engine.engine.plan.protocols import Resources
from fld_engine.engine.plan.registry import build_annotator
from fld_engine.flows.cli import app

REPOSITORY = Path(__file__).parents[2]
MANIFESTS = REPOSITORY / "deploy/kuberay"
SCHEMAS = json.loads((Path(__file__).parent / "kuberay/schemas.json").read_text())


def manifest(name: str) -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((MANIFESTS / name).read_text())
    return loaded


def problems(manifest: dict[str, Any]) -> list[str]:
    schema = {"$defs": SCHEMAS["$defs"], "$ref": f"#/$defs/{manifest['kind']}"}
    return [error.message for error in jsonschema.Draft202012Validator(schema).iter_errors(manifest)]


def cluster_spec(manifest: dict[str, Any]) -> dict[str, Any]:
    spec: dict[str, Any] = manifest["spec"]
    return spec["rayClusterSpec"] if manifest["kind"] == "RayJob" else spec


@pytest.mark.parametrize("name", ["rayjob.yaml", "raycluster.yaml"])
def test_a_manifest_is_what_the_published_definition_takes(name: str) -> None:
    given = manifest(name)
    assert given["apiVersion"] == "ray.io/v1"
    assert problems(given) == []


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        ("workerGroupSpecs.0.minReplica", 1, "minReplica"),  # a key misspelt
        ("workerGroupSpecs.0.minReplicas", "four", "'four' is not of type 'integer'"),
        ("headGroupSpec.rayStartParams.num-cpus", 0, "0 is not of type 'string'"),
        ("authOptions.mode", "on", "'on' is not one of ['disabled', 'token']"),
        ("headGroupSpec.template.spec.containers.0.envFrom.0.secretRef.optinal", True, "optinal"),
    ],
)
def test_the_check_finds_what_kubernetes_would_refuse(path: str, value: Any, said: str) -> None:
    given = copy.deepcopy(manifest("rayjob.yaml"))
    *way, last = path.split(".")
    place: Any = cluster_spec(given)
    for key in way:
        place = place[int(key)] if key.isdigit() else place[key]
    place[last] = value
    assert said in " ".join(problems(given))


@pytest.mark.parametrize("name", ["rayjob.yaml", "raycluster.yaml"])
def test_every_specialist_of_the_recipe_fits_a_worker(name: str) -> None:
    """Ray takes a pod's limits for what a node has; one that fits none is refused once all pods are paid for."""
    group = cluster_spec(manifest(name))["workerGroupSpecs"][0]
    has = group["template"]["spec"]["containers"][0]["resources"]["limits"]
    memory_mb = _mebibytes(has["memory"]) - int(group["rayStartParams"]["object-store-memory"]) // 2**20
    node = Resources(cpus=float(group["rayStartParams"]["num-cpus"]), gpus=has["nvidia.com/gpu"], memory_mb=memory_mb)
    config = load_config("cluster")
    requests = [build_annotator(key, one).resources for key, one in config.annotators.items()]
    assert any(request.gpus for request in requests)
    for request in requests:
        assert fit_workers([node], [request]) >= [1]


@pytest.mark.parametrize("name", ["rayjob.yaml", "raycluster.yaml"])
def test_pods_are_nobody_s_root_and_share_image_and_folders(name: str) -> None:
    spec = cluster_spec(manifest(name))
    pods = [group["template"]["spec"] for group in (spec["headGroupSpec"], *spec["workerGroupSpecs"])]
    head = pods[0]["containers"][0]
    for pod in pods:
        (container,) = pod["containers"]
        assert pod["securityContext"]["runAsNonRoot"]
        assert not container["securityContext"]["allowPrivilegeEscalation"]
        assert [container[key] for key in ("image", "envFrom", "volumeMounts")] == [
            head[key] for key in ("image", "envFrom", "volumeMounts")
        ], "a path or a secret that the driver has and a worker has not"
        claims = [volume["persistentVolumeClaim"]["claimName"] for volume in pod["volumes"]]
        assert claims == [yaml.safe_load((MANIFESTS / "storage.yaml").read_text())["metadata"]["name"]]


def test_the_cluster_is_of_the_version_that_the_image_has() -> None:
    pinned = re.search(r"^ray==(.*)$", (REPOSITORY / "constraints.txt").read_text(), re.MULTILINE)
    assert pinned
    assert {cluster_spec(manifest(name))["rayVersion"] for name in ("rayjob.yaml", "raycluster.yaml")} == {pinned[1]}


@pytest.mark.deploy
def test_the_volume_is_what_kubernetes_takes() -> None:
    validate = shutil.which("kubernetes-validate", path=Path(sys.executable).parent)
    if not validate:
        pytest.skip("kubernetes-validate is not installed: pip install kubernetes-validate")
    command = [validate, "--strict", MANIFESTS / "storage.yaml"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_job_s_command_is_one_of_ours() -> None:
    """It is read by the real command line, up to the folder that is not here."""
    fld, *arguments = shlex.split(manifest("rayjob.yaml")["spec"]["entrypoint"])
    told = typer.testing.CliRunner().invoke(app, [*arguments, "--help"])
    assert (fld, told.exit_code) == ("fld", 0)


def _mebibytes(quantity: str) -> int:
    number, unit = re.fullmatch(r"(\d+)([GM])i", quantity).groups()  # type: ignore[union-attr]
    return int(number) * (1024 if unit == "G" else 1)
