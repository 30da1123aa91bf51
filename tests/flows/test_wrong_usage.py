"""Wrong usages through the real command line: each ends in a sentence that holds what was given, and the cure.

All that need no flow run in this process, one after another; those that do run in one process of their own.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import pytest
import yaml

from fld_engine.engine.plan.config import dump_config
from fld_engine.flows.cli import main
from tests.roots import fake_config, run_pipeline, write_photographs
from tests.waiting import PATIENCE_S


class Usage(NamedTuple):
    """What somebody types, the exit code, and what the message must hold: what was given, and what to do."""

    command: str
    code: int
    holds: tuple[str, ...]


class Answer(NamedTuple):
    """What came of it."""

    code: int
    out: str
    err: str


USAGES = (
    # commands and options
    Usage("", 2, ("run",)),
    Usage("rnu", 2, ("rnu", "Did you mean 'run'")),
    Usage("run --sorce photos", 2, ("--sorce", "--source")),
    Usage("run recipe.yaml", 2, ("recipe.yaml is a recipe", "say on which with --root")),
    Usage("run", 2, ("fld run laptop --root ROOT",)),
    Usage("run recipe.yaml --root new --workers two", 2, ("--workers", "integer")),
    Usage("run recipe.yaml --root new --workers -1", 2, ("-1", "greater than or equal to 0")),
    Usage("run recipe.yaml --root new --runner rya", 2, ("'rya'", "'local', 'ray'")),
    Usage(
        "run recipe.yaml --root new --runner local --ray-address h:6379", 2, ("--ray-address h:6379", "leave one of")
    ),
    # configs
    Usage("run demmo --root new", 2, ("'demmo'", "did you mean 'demo'")),
    Usage("run nowhere.yaml --root new", 2, ("nowhere.yaml does not exist", "give a file, or a recipe: cluster, demo")),
    Usage("run folder.yaml --root new", 2, ("folder.yaml is a folder", "inside.yaml")),
    Usage("run folder --root new", 2, ("folder is there", "ends in .yaml")),
    Usage("run broken.yaml --root new", 2, ("broken.yaml is not YAML at line 2, column 5", "mend it")),
    Usage("run list.yaml --root new", 2, ("list.yaml: expected a mapping", "name: run")),
    Usage("run binary.yaml --root new", 2, ("binary.yaml is not YAML", "UTF-8")),
    Usage("run circle.yaml --root new", 2, ("circle.yaml -> circle.yaml", "circle")),
    Usage("run empty.yaml --root new", 2, ("nothing to run on", "--source")),
    Usage("run recipe.yaml --root new --set seed", 2, ("--set 'seed'", "expected key.path=value")),
    Usage("run recipe.yaml --root new --set seed=[", 2, ("'seed=['", "not YAML", "mend it")),
    Usage("run recipe.yaml --root new --set sede=1", 2, ("'sede'", "did you mean 'seed'")),
    Usage("run recipe.yaml --root new --set seed=many", 2, ("seed", "'many'", "integer")),
    Usage("run recipe.yaml --root new --set annotators.first.use=fakee", 2, ("'fakee'", "did you mean 'fake'")),
    Usage("run recipe.yaml --root new --set annotators.first.params.region=1", 2, ("region'", "regions'")),
    Usage("run recipe.yaml --root new --set their_section.a=1", 2, ("'their_section'", "install that package")),
    Usage("run plugin.yaml --root new", 2, ("'their-detector' is not known", "install that package in")),
    # sources
    Usage("run recipe.yaml --root new --source no/where", 2, ("no/where does not exist", "give a folder, a tar")),
    Usage("run recipe.yaml --root new --source foo://b/x", 2, ("foo://b/x", "protocol 'foo' is not known", "s3://")),
    Usage("run recipe.yaml --root new --source gs://b/x", 2, ("gcsfs", "pip install 'fld-engine[gcs]'")),
    Usage("plan recipe.yaml --root new --source ${FLD_NOT_SET}/x", 2, ("FLD_NOT_SET", "set it where")),
    Usage(
        "plan recipe.yaml --root new --source photos/*.gif", 2, ("photos/*.gif matches no file", "to see what is there")
    ),
    Usage("plan recipe.yaml --root new --source afile.txt", 2, ("afile.txt", "no Parquet file (.parquet)")),
    Usage("run recipe.yaml --root new --gold nowhere.json", 2, ("nowhere.json does not exist", "give a")),
    # roots
    Usage("run recipe.yaml --root foo://x", 2, ("foo://x", "protocol 'foo' is not known", "give a folder")),
    Usage("run recipe.yaml --root gs://x/y", 2, ("gcsfs", "pip install 'fld-engine[gcs]'")),
    Usage("run recipe.yaml --root afile.txt/x", 1, ("afile.txt/x", "check that this is the path")),
    Usage("run folder", 2, ("folder is neither a dataset root", "fld run laptop --source PHOTOS --root folder")),
    Usage("run recipe.yaml --root newer", 1, ("newer", "99", "use a newer fld-engine")),
    Usage("run recipe.yaml --root cut", 1, ("cut/root.json is damaged", "copy of the root")),
    Usage("status --root nowhere", 1, ("nowhere is not a dataset root", "fld run")),
    Usage("status --root broken", 2, ("broken/config.yaml is not YAML", "mend it")),
    Usage("status --root plugin", 2, ("'their-detector' is not known", "install that package in")),
    Usage("status --root journal", 1, ("journal/ingest/000001.json is damaged", "copy of the root")),
    Usage("explain a --root table", 1, (".images.parquet is damaged", "copy of the root")),
    # looking
    Usage("explain nothing.jpg --root root", 2, ("'nothing.jpg'", "such as 'photos/photo-0-000.jpg'")),
    Usage("explain p --root root --set a", 2, ("--set 'a'", "expected key.path=value")),
    Usage("export --root root --format cooc", 2, ("'cooc'", "did you mean 'coco'")),
    Usage("export --root root --images", 2, ("--images", "leave it out")),
    Usage("export --root root --round 7", 1, ("7", "fld refine")),
    Usage("report nowhere", 1, ("nowhere is not a dataset root", "fld run")),
    Usage("report root --words nosuch", 2, ("nosuch does not exist", "coco, lvis")),
    Usage("report root --floor 3", 2, ("--floor", "give --words, too")),
    Usage("report root --against-round 1", 2, ("--against-round", "give --against, too")),
    Usage("report root --against-set seed=1", 2, ("--against-set", "leave --against-set out")),
    Usage("verify nowhere", 1, ("nowhere", "no export")),
    Usage("verify foo://x", 2, ("foo://x", "protocol 'foo' is not known")),
    Usage("diff root/export afile.txt", 1, ("afile.txt", "check that this is the path")),
    Usage("diff root/export root", 1, ("root has no manifest.json", "give the folder `export`")),
    Usage("plan recipe.yaml --root new --node-gpus 3", 2, ("--node-gpus 3", "Give --nodes N")),
    Usage("plan recipe.yaml --root new --nodes -3", 2, ("--nodes", "greater than or equal to 0")),
    Usage("plan recipe.yaml --root new --nodes 1 --node-cpus 0", 2, ("--node-cpus", "greater than or equal to 0.1")),
    Usage("plan empty.yaml --root new --calibrate 3", 2, ("--calibrate 3", "give --source")),
    # what is installed
    Usage("annotators fakee", 2, ("'fakee'", "did you mean 'fake'")),
    Usage("config schema --package nosuch", 2, ("'nosuch'", "available: fld-engine")),
    Usage("models pull --set seed=1", 2, ("--set", "give RECIPE, too")),
    Usage("models pull lapptop", 2, ("'lapptop'", "did you mean 'laptop'")),
    # changing
    Usage("remove --ids nowhere --root root", 2, ("nowhere is no file", "one image id a line")),
    Usage("remove --ids folder --root root", 2, ("folder is no file", "one image id a line")),
    Usage("replay --root root --made-with nonsense", 2, ("'nonsense'", "torch==")),
    Usage("refine root --rounds 0", 2, ("--rounds", "1")),
    Usage("serve recipe.yaml --root new", 2, ("PREFECT_API_URL", "prefect server start")),
)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a recipe, a root, and everything that somebody may have broken."""
    folder = tmp_path_factory.mktemp("usage")
    write_photographs(folder / "photos", 2)
    config = fake_config(folder / "photos")
    pipeline = run_pipeline(folder / "root", config)
    resolved = dump_config(config)
    pipeline.store.write_bytes("config.yaml", resolved.encode())
    recipe = yaml.safe_dump(config.model_dump(mode="json", exclude_defaults=True))
    for name in ("folder", "folder.yaml"):
        (folder / name).mkdir()
        (folder / name / "inside.yaml").write_text("")
    for name, text in {
        "recipe.yaml": recipe,
        "plugin.yaml": recipe.replace("use: fake", "use: their-detector", 1),
        "broken.yaml": "name: a\nb: c: d\n",
        "list.yaml": "- a\n",
        "empty.yaml": "",
        "circle.yaml": "extends: circle.yaml\n",
        "afile.txt": "x",
    }.items():
        (folder / name).write_text(text)
    (folder / "binary.yaml").write_bytes(b"\xff\xfe\x00name")
    for name, path, data in (
        ("newer", "root.json", '{"schema_version": 99}'),
        ("cut", "root.json", '{"schema_ver'),
        ("broken", "config.yaml", "name: ["),
        ("plugin", "config.yaml", resolved.replace("use: fake", "use: their-detector", 1)),
        ("journal", "ingest/000001.json", "{}"),
        ("table", next((folder / "root/partitions").glob("*.images.parquet")).relative_to(folder / "root"), "PAR1"),
    ):
        shutil.copytree(folder / "root", folder / name)
        (folder / name / path).write_text(data)
    return folder


def fld(
    arguments: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], **variables: str
) -> Answer:
    """The console command, in this process."""
    environment = {"COLUMNS": "400", "FLD_DEBUG": "", **variables}
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys, "argv", ["fld", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    said = capsys.readouterr()
    return Answer(int(ended.value.code or 0), said.out, said.err)


@pytest.mark.parametrize("usage", USAGES, ids=lambda usage: usage.command.replace(" --root new", "") or "nothing")
def test_a_wrong_usage_is_said_in_a_sentence_with_its_cure(
    usage: Usage, place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(place)
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    answer = fld(usage.command.split(), monkeypatch, capsys)
    told = answer.err + answer.out
    assert answer.code == usage.code, told
    assert "Traceback" not in told
    assert "fault of fld" not in told
    assert [part for part in usage.holds if part not in " ".join(told.split())] == [], told
    shutil.rmtree(place / "new", ignore_errors=True)


def test_debug_shows_the_traceback_wherever_it_stands(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(place)
    for arguments in (["--debug", "status", "--root", "cut"], ["status", "--root", "cut", "--debug"]):
        answer = fld(arguments, monkeypatch, capsys)
        assert answer.code == 1
        assert "Traceback (most recent call last)" in answer.err
        assert "error: cut/root.json is damaged" in answer.err
    assert "Traceback" in fld(["status", "--root", "cut"], monkeypatch, capsys, FLD_DEBUG="1").err


def test_a_level_of_logging_that_there_is_not_is_named(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    answer = fld(["status", "--root", "cut"], monkeypatch, capsys, FLD_LOG_LEVEL="loud")
    assert answer.code == 2
    assert "FLD_LOG_LEVEL 'loud' is not known" in answer.err


def test_a_reader_that_has_seen_enough_is_no_error() -> None:
    """As with `fld config schema | head`: nothing is said, at the end of the process neither."""
    command = f"{sys.executable} -c 'from fld_engine.flows.cli import main; main()' config schema | head -c 9"
    piped = subprocess.run(command, shell=True, capture_output=True, text=True, timeout=PATIENCE_S, check=False)
    assert len(piped.stdout) == 9
    assert piped.stderr == ""


WITH_FLOWS: tuple[tuple[Usage, Mapping[str, str]], ...] = (
    (Usage("run recipe.yaml --root one", 1, ("127.0.0.1:1/api", "unset PREFECT_API_URL")),
     {"PREFECT_API_URL": "http://127.0.0.1:1/api"}),
    (Usage("run recipe.yaml --root one", 2, ("PREFECT_API_URL nonsense", "http://127.0.0.1:4200/api")),
     {"PREFECT_API_URL": "nonsense"}),
    (Usage("serve recipe.yaml --root one --cron often", 2, ("'often'", "'0 3 * * *'")),
     {"PREFECT_API_URL": "http://127.0.0.1:1/api"}),
    (Usage("serve recipe.yaml --root one", 1, ("127.0.0.1:1/api", "prefect server start")),
     {"PREFECT_API_URL": "http://127.0.0.1:1/api"}),
    (Usage("run models.yaml --root two", 1, ("nanodet", "`fld models pull`")), {"FLD_CACHE": "no/models/here"}),
    (Usage("run recipe.yaml --root three --ray-address 127.0.0.1:1", 1, ("'127.0.0.1:1'", "ray start --head")), {}),
    (Usage("run recipe.yaml --root folder", 1, ("folder is not empty", "give an empty or new folder")), {}),
    (Usage("run text.yaml --root four", 2, ("no readable image in text", "not_an_image 1", "Give a source")), {}),
)  # fmt: skip
WALK = """
import json, os, sys, contextlib, io
from fld_engine.flows.cli import main
from fld_engine.flows.prefect_server import prefect_api
from fld_engine.flows.surroundings import prepare

def walk():
    prepare()
    with prefect_api():
        for command, variables in json.loads(sys.stdin.read()):
            out, err, before = io.StringIO(), io.StringIO(), dict(os.environ)
            os.environ.update(variables)
            sys.argv, code = ["fld", *command.split()], None
            with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), own_server(variables):
                try:
                    main()
                except SystemExit as ended:
                    code = ended.code
            os.environ.clear()
            os.environ.update(before)
            print(json.dumps([code, out.getvalue(), err.getvalue()]), flush=True)

@contextlib.contextmanager
def own_server(variables):
    from prefect.settings import PREFECT_API_URL, temporary_settings
    url = variables.get("PREFECT_API_URL")
    with temporary_settings(updates={PREFECT_API_URL: url}) if url else contextlib.nullcontext():
        yield

if __name__ == "__main__":
    walk()
"""


@pytest.mark.long(minutes=1)
def test_a_wrong_usage_that_a_flow_meets_is_said_in_a_sentence_too(place: Path) -> None:
    """One process walks through them all, beside one Prefect server."""
    (place / "walk.py").write_text(WALK)
    (place / "text").mkdir()
    (place / "text/a.jpg").write_text("no image")
    (place / "text.yaml").write_text("sources: [{url: text, name: pages}]\nannotators: {a: {use: fake}}\n")
    (place / "models.yaml").write_text("sources: [{url: photos}]\nannotators: {a: {use: nanodet}}\n")
    environment = {key: value for key, value in os.environ.items() if key != "PREFECT_API_URL"}
    walked = subprocess.run(
        [sys.executable, "walk.py"],
        input=json.dumps([[usage.command, dict(variables)] for usage, variables in WITH_FLOWS]),
        capture_output=True, text=True, timeout=PATIENCE_S, check=False, cwd=place,
        env={**environment, "COLUMNS": "400"},
    )  # fmt: skip
    answers = [Answer(*json.loads(line)) for line in walked.stdout.splitlines()]
    assert len(answers) == len(WITH_FLOWS), walked.stderr
    for (usage, _), answer in zip(WITH_FLOWS, answers, strict=True):
        assert answer.code == usage.code, (usage, answer)
        assert "Traceback" not in answer.err + answer.out
        assert [part for part in usage.holds if part not in answer.err] == [], (usage, answer)
    assert "Traceback" not in walked.stderr
    assert not list(place.glob("two/ingest/*")), "models are asked for before anything is ingested"
