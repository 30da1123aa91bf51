"""The table of reasons in the documentation of sources."""

from __future__ import annotations

import re
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
IN_CODE = (
    r'reason="([a-z_]+)"',
    r'reason = "([a-z_]+)"',
    r'reason = .* else "([a-z_]+)"',
    r'problems.append\(\(f?"[^"]*", "([a-z_]+)"',
    r'_refuse\(record, "([a-z_]+)"',
    r'return None, "([a-z_]+)"',
    r'counted\["([a-z_]+)"',
    r'numbers\["([a-z_]+)"',
    r'^ +yield "([a-z_]+)", "',
)


def test_every_reason_that_a_source_gives_is_explained() -> None:
    """Else a user reads of a loss in the account of a source, and finds nowhere what to do."""
    table = (REPOSITORY / "docs/sources/index.md").read_text().partition("## Reasons")[2]
    explained = set(re.findall(r"`([a-z_]+)`", table))
    sources = [path.read_text() for path in (REPOSITORY / "engine/sources").rglob("*.py")]
    given = {reason for text in sources for pattern in IN_CODE for reason in re.findall(pattern, text, re.MULTILINE)}
    assert {"not_kept", "dangling_id", "box_form", "scene"} <= given, "the patterns find reasons of all forms"
    assert given <= explained
