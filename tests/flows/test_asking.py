"""At a terminal, somebody is asked whether a root's settings may change; a no leaves everything as it was."""

from __future__ import annotations

from pathlib import Path

import pytest

from fld_engine.flows.asked import Asked
from fld_engine.flows.start import begin
from tests.commands import FLD
from tests.flows.test_start import THRESHOLD, Place
from tests.terminal import Terminal

pytestmark = pytest.mark.long


def test_a_no_at_the_terminal_leaves_the_root_as_it_was(tmp_path: Path) -> None:
    place = Place(tmp_path)
    place.run(recipe=place.recipe, sources=[place.source("photos")], overrides=[f"{THRESHOLD}=0.5"])
    before = {path: path.read_bytes() for path in Path(place.root).rglob("*") if path.is_file()}
    terminal = Terminal([*FLD, "run", place.recipe, "--root", place.root])
    terminal.wait_for(lambda: "[y/N]" in terminal.said())
    asked = " ".join(terminal.said().split())
    assert f"{THRESHOLD}: 0.5 (--set) -> 0.3" in asked
    terminal.press(b"n\n")
    code, said = terminal.end()
    assert code == 2, said
    assert {path: path.read_bytes() for path in Path(place.root).rglob("*") if path.is_file()} == before
    assert begin(Asked(root=place.root)).changes == ()
