"""Commands that people copy from README and docs: `fld` accepts them all; those that can be are run as they stand."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer.main

from fld_engine.flows.cli import app
from fld_engine.flows.samples import sample_sources
from tests.docs.blocks import PAGES, REPOSITORY, Block, blocks, commands
from tests.waiting import PATIENCE_S

ALL = [block for page in PAGES for block in blocks(page)]
LANGUAGES = {"sh", "text", "python", "python no-run", "yaml", "toml", "json"}


def test_every_block_says_what_it_is() -> None:
    assert {block.place for block in ALL if block.language not in LANGUAGES} == set()


@pytest.mark.parametrize("block", [one for one in ALL if one.language == "sh"], ids=lambda block: block.place)
def test_every_command_is_accepted(block: Block) -> None:
    """Each sub-command, option and number of arguments is one that there is; nothing is done."""
    for words in commands(block.code):
        command: Any = typer.main.get_command(app)
        rest, name = list(words), "fld"
        while subcommands := getattr(command, "commands", None):
            if rest and rest[0].startswith("--"):  # of `fld` itself: it would be done at once
                assert rest[0] in {option for parameter in command.params for option in parameter.opts}
                return
            assert rest, f"fld {words}: a command is missing"
            name = rest.pop(0)
            assert name in subcommands, f"fld has no command {name}"
            command = subcommands[name]
        command.make_context(name, rest)  # raises where it would say "no such option", or that one is missing


# ------------------------------------------------------------------ all that can be are run


RUN = [page for page in PAGES if any(one.language == "sh" and not one.reason for one in blocks(page))]
MADE = ("runs/demo", "runs/mine", "runs/a", "runs/b")
"""Roots that pages take for granted: one run of recipe `laptop`, copied."""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with photographs, some of them gold, and a folder in which somebody has run `fld` before."""
    folder = tmp_path_factory.mktemp("home")
    samples = folder / "samples"
    sample_sources(samples)
    (folder / "photographs").mkdir()
    for path in sorted((samples / "photographs").iterdir())[:8]:
        shutil.copy(path, folder / "photographs" / path.name)
    shutil.copy(samples / "voc/voc.jpg", folder / "photographs/cat.jpg")
    (folder / "work/gold").mkdir(parents=True)
    shutil.copy(samples / "voc/voc.jpg", folder / "work/gold/voc.jpg")
    shutil.copy(samples / "voc/annotations.json", folder / "work/gold/instances.json")
    shell("fld run laptop --source ~/photographs --root runs/made", folder, folder / "work")
    for root in MADE:
        shutil.copytree(folder / "work/runs/made", folder / "work" / root)
    return folder


def shell(code: str, home: Path, work: Path) -> str:
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    environment = {**os.environ, "HOME": str(home), "PATH": path, "FLD_CACHE": str(Path.home() / ".cache/fld-engine")}
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", code],
        cwd=work,
        env=environment,
        capture_output=True,
        text=True,
        timeout=4 * PATIENCE_S,
        check=False,
    )
    assert done.returncode == 0, f"{code}\n{done.stdout[-2000:]}\n{done.stderr[-3000:]}"
    return done.stdout


@pytest.mark.deploy
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("page", RUN, ids=lambda page: str(page.relative_to(REPOSITORY)))
def test_the_commands_of_a_page_run_as_they_stand(page: Path, home: Path, tmp_path: Path) -> None:
    """In their order, in one folder; programs of the tutorials and how-tos, too."""
    is_story = page.parent.name in ("tutorials", "howto")
    work = tmp_path / "work"
    shutil.copytree(home / "work", work)
    for block in blocks(page):
        if block.language == "sh" and not block.reason:
            shell(block.code, home, work)
        elif block.language == "python" and is_story:
            (work / "program.py").write_text(block.code)
            assert shell("python program.py", home, work)


@pytest.mark.deploy
def test_the_pages_are_a_site_without_a_broken_link(tmp_path: Path) -> None:
    pytest.importorskip("mkdocs", reason="the extra `docs` is not installed")
    build = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path / "site")]
    done = subprocess.run(build, cwd=REPOSITORY, capture_output=True, text=True, timeout=PATIENCE_S, check=False)
    assert done.returncode == 0, done.stderr
    pages = list((tmp_path / "site").rglob("*.html"))
    assert len(pages) > 20
    outside = [page.name for page in pages if "fonts.googleapis" in page.read_text(encoding="utf-8")]
    assert outside == [], "no page asks for anything outside"
