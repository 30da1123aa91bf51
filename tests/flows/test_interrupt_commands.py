"""Commands beside `fld run` that somebody stops: they say where, leave nothing, and the same command goes on."""

from __future__ import annotations

import os
import re
import shutil
import signal
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from fld_engine.engine.plan.config import dump_config
from tests.commands import FLD
from tests.roots import digest, fake_config, run_pipeline, write_photographs
from tests.terminal import CTRL_C, Terminal

pytestmark = pytest.mark.long

NUM_IMAGES = 40


@dataclass(frozen=True)
class Made:
    """A root of ten partitions with its export; on ten of the images, listed in `ids`, one specialist failed."""

    root: Path
    ids: Path


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    folder = tmp_path_factory.mktemp("made")
    some = write_photographs(folder / "photos", NUM_IMAGES)[::4]
    (folder / "ids.txt").write_text("\n".join(some))
    (folder / "broken").touch()
    params = {"regions": 3, "raise_on": some, "raise_while": str(folder / "broken")}
    annotators = {"first": {"use": "fake", "params": params, "batch_size": 3}}
    config = fake_config(folder / "photos", annotators=annotators, limits={"max_failed_share": 0.9})
    run_pipeline(folder / "root", config)
    (folder / "root/config.yaml").write_text(dump_config(config))
    (folder / "broken").unlink()
    return Made(folder / "root", folder / "ids.txt")


def files(root: Path) -> dict[Path, int]:
    """When each file was written that counts; what is being renamed meanwhile is looked at the next time."""
    found = {}
    for path in root.rglob("*"):
        if path.name != "lease.json" and path.exists() and path.is_file():
            found[path] = path.stat(follow_symlinks=False).st_mtime_ns if path.exists() else 0
    return found


def stopped_and_taken_up_again(command: Sequence[str], root: Path, *, changes: int, by: signal.Signals) -> str:
    """Stop a command as soon as it has changed so many files of the root; returns its last line.

    Then the same command ends well.
    """
    before = files(root)
    terminal = Terminal([*FLD, *command])
    terminal.wait_for(lambda: len(set(files(root).items()) ^ set(before.items())) >= changes)
    if by == signal.SIGINT:
        terminal.press(CTRL_C)
    else:
        os.kill(terminal.process.pid, by)
    code, said = terminal.end()
    assert code == 128 + by, said
    assert "Traceback" not in said, said
    assert not (root / "lease.json").exists(), "the next driver has to wait"
    code, again = Terminal([*FLD, *command]).end()
    assert code == 0, again
    assert not (root / "lease.json").exists()
    return said.rstrip().splitlines()[-1].removeprefix("fld: loading…").removeprefix("^C")


def undisturbed(made: Made, root: Path, command: Sequence[str]) -> dict[str, str]:
    """What the command makes of the root where nobody stops it."""
    shutil.copytree(made.root, root)
    code, said = Terminal([*FLD, *command, "--root", str(root)]).end()
    assert code == 0, said
    return everything(root)


def everything(root: Path) -> dict[str, str]:
    """Digests of what counts, and the names of all files but pages, but for the part of a name that is drawn by lot."""
    names = (re.sub(r"\.[0-9a-f]{8}\.", ".", str(path.relative_to(root))) for path in files(root))
    kept = {name: "" for name in names if not name.startswith(("report/", "run.json"))}
    return kept | digest(root)


def test_ctrl_c_in_an_export(made: Made, tmp_path: Path) -> None:
    root = tmp_path / "root"
    shutil.copytree(made.root, root)
    shutil.rmtree(root / "export")
    shutil.rmtree(root / "stages/export")
    line = stopped_and_taken_up_again(["export", "--root", str(root)], root, changes=2, by=signal.SIGINT)
    assert line.startswith("interrupted in export")
    assert line.endswith("; the same command goes on")
    assert digest(root) == digest(made.root)


@pytest.mark.deploy
@pytest.mark.parametrize("by", [signal.SIGINT, signal.SIGTERM], ids=lambda one: one.name)
@pytest.mark.parametrize(
    ("command", "moments"),
    [("remove", (1, 20, 60)), ("export --format coco --images", (1, 20)), ("replay", (1, 6, 12))],
    ids=lambda one: one.split()[0] if isinstance(one, str) else "",
)
def test_a_command_stopped_at_some_moments_ends_with_the_same_bytes(
    made: Made, tmp_path: Path, command: str, moments: Sequence[int], by: signal.Signals
) -> None:
    words = [*command.split(), *(["--ids", str(made.ids)] if command == "remove" else [])]
    expected = undisturbed(made, tmp_path / "undisturbed", words)
    for changes in moments:
        root = tmp_path / f"stopped-{changes}"
        shutil.copytree(made.root, root)
        line = stopped_and_taken_up_again([*words, "--root", str(root)], root, changes=changes, by=by)
        assert line.startswith("interrupted"), line
        assert line.endswith("; the same command goes on"), line
        assert everything(root) == expected, changes
