"""A root that is continued with other versions of libraries says so, or is not; and can be made with one."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from PIL import Image
from typer.testing import CliRunner

from fld_engine.engine.data.libraries import MadeWith, read_seen
from fld_engine.engine.data.records import OutputRecord, record_path
from fld_engine.engine.plan.libraries import mark_made_with, not_made_again, tell_of_libraries
from fld_engine.engine.plan.plan import Plan
from fld_engine.engine.plan.registry import stages_of_run
from fld_engine.engine.stages.replay.marks import mark_failed
from fld_engine.flows.cli import app
from fld_engine.flows.pipeline import run_flow
from fld_engine.flows.root import keep_config
from fld_engine.schemas.errors import ConfigError
from tests.commands import FLD
from tests.distributions import write_distribution
from tests.installed import install_annotators
from tests.known_faults.in_process import new_root, plain_config
from tests.roots import digest, fake_config, opened, run_pipeline, write_photographs
from tests.waiting import PATIENCE_S

pytestmark = pytest.mark.long


CODE = """
from importlib.metadata import version
from fld_engine.annotators.composed.fake import FakeAnnotator


class Coloured(FakeAnnotator):
    libraries = ("fld-colours",)

    def annotate(self, batch):
        self.params = self.params.model_copy(update={"regions": int(version("fld-colours")[0])})
        return super().annotate(batch)
"""
"""Sees as many regions as its library's version says."""


def config_of(photos: Path, **changes: Any) -> Any:
    annotators = {"first": {"use": "coloured", "batch_size": 3}, "second": {"use": "fake", "batch_size": 2}}
    return fake_config(photos, **{"annotators": annotators, **changes})


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Puts a version of a library before what is installed, for this process and its workers."""
    install_annotators(tmp_path, monkeypatch, "coloured", CODE, {"coloured": "Coloured"})

    def do(version: str, library: str = "fld-colours") -> Path:
        folder = tmp_path / f"{library}-{version}"
        if not folder.exists():
            write_distribution(folder, library, {}, version=version)
        monkeypatch.syspath_prepend(folder)
        return folder

    return do


def records(plan: Plan, step: str) -> list[OutputRecord]:
    found = [record_path(step, record.id, plan.fingerprints[step, record.id]) for record in plan.partitions]
    return [plan.store.read_model(path, OutputRecord) for path in found]


def told(plan: Plan) -> str:
    return tell_of_libraries(plan, stages_of_run(plan.config))


def files(root: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).digest()
        for path in root.rglob("*")
        if path.is_file() and not path.name.startswith("lease")
    }


def test_a_root_says_that_it_is_continued_with_others_and_is_made_again_with_one(
    tmp_path: Path, install: Any, caplog: pytest.LogCaptureFixture
) -> None:
    url, photos = tmp_path / "root", tmp_path / "photos"
    install("1.0")
    write_photographs(photos, 4)
    plan = run_pipeline(url, config_of(photos)).plan()
    (record,) = records(plan, "first")
    (versions,) = record.made_with
    assert versions["fld-colours"] == "1.0"
    assert versions["pillow"] != "none"
    assert "fld-colours" not in records(plan, "second")[0].made_with[0]
    assert read_seen(plan.store).steps["first"] == (versions,)

    install("2.0")
    assert not told(plan), "there is nothing that it would be continued with"
    write_photographs(photos, 4, seed=1)
    assert "first: fld-colours 1.0 -> 2.0 (1 outputs)." in told(plan), "nothing else has changed, `second` least of all"
    assert "--made-with other" in told(plan)

    before = files(url)
    with (
        opened(url, config_of(photos, limits={"library_change": "refuse"})) as pipeline,
        pytest.raises(ConfigError, match=r"fld-colours 1\.0 -> 2\.0.*library_change is 'refuse'"),
    ):
        pipeline.preflight()
    with opened(url, config_of(photos)) as pipeline:
        assert not caplog.text
        pipeline.preflight()
    assert "first: fld-colours 1.0 -> 2.0 (1 outputs)." in caplog.text
    assert files(url) == before, "nothing was made"

    root = new_root(url, config_of(photos))
    root.run_all()
    mixed = root.plan()
    assert [output.made_with[0]["fld-colours"] for output in records(mixed, "first")] == ["1.0", "2.0"]
    assert mark_made_with(mixed, MadeWith("fld-colours==3")) == 0
    assert mark_made_with(mixed, MadeWith("fld-colours==1.0")) == 1
    again = root.plan()
    assert [len(again.missing(step)) for step in ("first", "second", "verdicts")] == [1, 0, 1]
    root.run_all()
    assert [output.made_with[0]["fld-colours"] for output in records(root.plan(), "first")] == ["2.0", "2.0"]
    assert not told(root.plan())
    assert mark_made_with(root.plan(), MadeWith("other")) == 0

    for seed in range(2):  # in two ingests, as the other
        write_photographs(tmp_path / "again", 4, seed=seed)
        new_root(tmp_path / "fresh", config_of(tmp_path / "again")).run_all()
    assert shards(url) == shards(tmp_path / "fresh"), "as if the library had always been that one"


def shards(root: Path) -> dict[str, str]:
    return {name: sha256 for name, sha256 in digest(root).items() if name.startswith("export/shards")}


def test_an_output_whose_failed_images_were_replayed_with_another_version_was_made_with_both(
    tmp_path: Path, install: Any
) -> None:
    photos, flag = tmp_path / "photos", tmp_path / "broken"
    ids = write_photographs(photos, 3)
    params = {"raise_while": str(flag), "raise_on": [ids[2]]}
    config = config_of(photos, annotators={"first": {"use": "coloured", "params": params}})
    flag.touch()
    install("1.0")
    root = new_root(tmp_path / "root", config)
    root.run_all()
    flag.unlink()
    install("2.0")
    assert mark_failed(root.plan()) == 1
    root.run_all()
    (output,) = records(root.plan(), "first")
    assert [versions["fld-colours"] for versions in output.made_with] == ["1.0", "2.0"]
    assert mark_made_with(root.plan(), MadeWith("other")) == 1
    root.run_all()
    (whole,) = records(root.plan(), "first")
    assert ([versions["fld-colours"] for versions in whole.made_with], whole.done) == (["2.0"], 3)


def test_pictures_that_are_encoded_anew_say_with_what(tmp_path: Path, install: Any) -> None:
    def add(name: str, colour: str) -> None:
        (tmp_path / "photos").mkdir(exist_ok=True)
        Image.new("RGB", (40, 30), colour).save(tmp_path / "photos" / name)

    config = plain_config({"url": str(tmp_path / "photos"), "name": "photos"})
    root = new_root(tmp_path / "root", config)
    install("9.0", "pillow")
    add("red.png", "red")
    root.run_all()
    install("9.1", "pillow")
    add("blue.jpg", "blue")
    assert "export: pillow 9.0 -> 9.1 (1 outputs)" in told(root.plan())
    assert "ingest: pillow 9.0 -> 9.1 (1 outputs)" in told(root.plan())
    root.run_all()
    assert read_seen(root.store).steps["export"] == ({"pillow": "9.0"},), "a photograph is handed on as it is"

    before = digest(tmp_path / "root")
    assert mark_made_with(root.plan(), MadeWith("pillow==9.0")) == 1
    assert not any("g00000" in name for name in root.store.list_names("stages/export") if "index" not in name)
    assert root.run_all().groups_written == 1
    assert digest(tmp_path / "root") == before, "it was the same library by another number"
    assert mark_made_with(root.plan(), MadeWith("pillow==9.0")) == 0

    (stays,) = not_made_again(root.plan(), MadeWith("pillow==9.0"))
    assert stays.startswith("1 outputs of ingest stay as they are, because"), "in silence, it would count as mended"
    assert not_made_again(root.plan(), MadeWith("torch==1")) == []
    for number in (0, 1):
        root.store.write_bytes(f"rounds/{number:03d}/round.json", b"{}")
    assert "rounds of refinement (1) stay" in not_made_again(root.plan(), MadeWith("torch==1"))[0]


def test_the_commands_say_it_refuse_it_and_mend_it(tmp_path: Path, install: Any) -> None:
    root, photos, recipe = tmp_path / "root", tmp_path / "photos", tmp_path / "recipe.yaml"
    recipe.write_text(yaml.safe_dump(config_of(photos).model_dump(mode="json", exclude_defaults=True)))
    change = "fld-colours 1.0 -> 2.0"
    install("1.0")
    write_photographs(photos, 4)
    keep_config(run_pipeline(root, config_of(photos)).store, config_of(photos))
    config = (root / "config.yaml").read_bytes()
    install("2.0")
    write_photographs(photos, 2, seed=1)
    plan = ["plan", str(recipe), "--root", str(root)]
    assert change in CliRunner().invoke(app, plan, catch_exceptions=False).output

    refusing = config_of(photos, limits={"library_change": "refuse"})
    with pytest.raises(ConfigError, match=change):
        run_flow.fn(str(root), recipe=refusing.model_dump(mode="json"))
    assert (root / "config.yaml").read_bytes() == config, "a run that is refused leaves the root as it was"

    replay = [*FLD, "replay", "--root", str(root), "--made-with", "fld-colours<2"]  # Prefect, in a process of its own
    path = os.pathsep.join(sys.path)  # with the library before what is installed
    replayed = subprocess.run(
        replay, env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True, timeout=PATIENCE_S, check=False
    )
    assert replayed.returncode == 0, replayed.stderr
    assert "making 1 outputs again" in replayed.stdout
    assert change not in CliRunner().invoke(app, plan, catch_exceptions=False).output
