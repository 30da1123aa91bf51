"""A run that somebody stops: it ends soon, says where, leaves nobody at work, and the same command goes on."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest
import yaml

from tests.commands import FLD
from tests.roots import digest, fake_config, run_pipeline, write_photographs
from tests.terminal import CTRL_C, Terminal

pytestmark = pytest.mark.long(minutes=1)

SLOW = {"first": {"use": "fake", "params": {"regions": 3, "seconds": 0.3}, "batch_size": 2}}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve photographs, a recipe that takes some seconds, and `undisturbed`, a root that it was run on."""
    folder = tmp_path_factory.mktemp("interrupted")
    write_photographs(folder / "photos", 12)
    config = fake_config(folder / "photos", annotators=SLOW)
    tree = config.model_dump(mode="json", exclude_defaults=True)
    (folder / "recipe.yaml").write_text(yaml.safe_dump(tree, sort_keys=False))
    run_pipeline(folder / "undisturbed", config)
    return folder


def run(folder: Path, root: Path, *options: str) -> Terminal:
    return Terminal([*FLD, "run", str(folder / "recipe.yaml"), "--root", str(root), *options])


def see_that_it_stopped(terminal: Terminal, root: Path, exit_code: int) -> str:
    """One line at the end, no traceback, no process, no lease; returns the line."""
    code, said = terminal.end()
    assert code == exit_code, said
    assert "Traceback" not in said, said
    line = said.rstrip().splitlines()[-1]
    assert line.removeprefix("^C").startswith("interrupted"), said
    assert not (root / "lease.json").exists(), "the next driver has to wait"
    return line.removeprefix("^C")


def see_that_it_goes_on(folder: Path, root: Path, *options: str) -> None:
    """The same command ends well, with the bytes of a run that nobody stopped."""
    code, said = run(folder, root, *options).end()
    assert code == 0, said
    made = {path: sha256 for path, sha256 in digest(root).items() if not path.startswith("report/")}
    assert made == digest(folder / "undisturbed")


def see_that_twice_is_at_once(folder: Path, root: Path, *options: str) -> None:
    """Stopped twice in annotate, a run ends with its line and leaves no process."""
    terminal = run(folder, root, *options)
    terminal.wait_for(lambda: list(root.glob("stages/first/*")))
    terminal.press(CTRL_C)
    time.sleep(0.05)  # two signals of a kind become one where the first was not yet heard
    terminal.press(CTRL_C)
    code, said = terminal.end()
    assert code == 130, said
    assert "Traceback" not in said, said
    assert said.count("interrupted in annotate") == 1, said


def test_ctrl_c_ends_a_run_whose_root_goes_on(folder: Path, tmp_path: Path) -> None:
    """The key reaches the workers, too, and would reach the temporary server if that were in the same session."""
    root = tmp_path / "root"
    terminal = run(folder, root)
    terminal.wait_for(lambda: list(root.glob("stages/first/*.json")))
    terminal.press(CTRL_C)
    line = see_that_it_stopped(terminal, root, 130)
    assert line.startswith("interrupted in annotate at ")
    assert line.endswith(" %; the same command goes on")
    recorded = sorted(root.glob("stages/first/*.json"))
    assert 0 < len(recorded) < 3, "it went on to the end"
    before = [path.stat().st_mtime_ns for path in recorded]
    see_that_it_goes_on(folder, root)
    assert [path.stat().st_mtime_ns for path in recorded] == before, "what was recorded was done again"


def test_sigterm_ends_a_run_that_has_not_begun(folder: Path, tmp_path: Path) -> None:
    """No stage is there to look whether it should end: a run hangs, or leaves the server that it was waiting for."""
    terminal = run(folder, tmp_path / "root")
    terminal.wait_for(lambda: terminal.runs("prefect_server"))
    os.kill(terminal.process.pid, signal.SIGTERM)
    line = see_that_it_stopped(terminal, tmp_path / "root", 143)
    assert line == "interrupted while Prefect starts; the same command goes on"


def test_a_second_ctrl_c_ends_a_run_at_once(folder: Path, tmp_path: Path) -> None:
    """Whoever presses twice wants the prompt back; what would clear away is killed with all the others."""
    see_that_twice_is_at_once(folder, tmp_path / "root")


MOMENTS = {
    "root.json": CTRL_C,
    "config.yaml": CTRL_C,
    "stages/first/*.json": CTRL_C,
    "stages/verdicts/*": signal.SIGTERM,
    "stages/coverage/*": CTRL_C,
    "export/shards/*": CTRL_C,
    "stages/report/*": signal.SIGTERM,
}
"""Files whose appearance is a moment, from before the first stage to the last, and what comes then."""


@pytest.mark.deploy
@pytest.mark.parametrize("runner", ["local", "ray"])
def test_a_run_stopped_in_every_stage_ends_with_the_same_bytes(folder: Path, tmp_path: Path, runner: str) -> None:
    """Each time the same command goes on, until there is nothing left to stop."""
    root, options = tmp_path / "root", ("--runner", runner, "--workers", "1")
    for sign, how in MOMENTS.items():
        terminal = run(folder, root, *options)
        terminal.wait_for(lambda sign=sign: list(root.glob(sign)))  # type: ignore[misc]
        if how == CTRL_C:
            terminal.press(CTRL_C)
        else:
            os.kill(terminal.process.pid, signal.SIGTERM)
        line = see_that_it_stopped(terminal, root, 130 if how == CTRL_C else 143)
        assert line.endswith("; the same command goes on"), (sign, line)
    see_that_it_goes_on(folder, root, *options)


@pytest.mark.deploy
@pytest.mark.parametrize("sign", ["gcs_server", "raylet"])
def test_ctrl_c_ends_a_run_while_ray_starts(folder: Path, tmp_path: Path, sign: str) -> None:
    """Half a cluster would stay, or the run freeze until there is a whole one."""
    terminal = run(folder, tmp_path / "root", "--runner", "ray")
    terminal.wait_for(lambda: terminal.runs(sign))
    terminal.press(CTRL_C)
    line = see_that_it_stopped(terminal, tmp_path / "root", 130)
    assert line == "interrupted while Ray starts; the same command goes on"


@pytest.mark.deploy
def test_a_second_ctrl_c_leaves_no_cluster(folder: Path, tmp_path: Path) -> None:
    see_that_twice_is_at_once(folder, tmp_path / "root", "--runner", "ray")
