"""Packages that a test makes: where an installed one would be, for this process and the workers it starts."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest


def install_annotators(
    folder: Path, monkeypatch: pytest.MonkeyPatch, module: str, code: str, annotators: Mapping[str, str]
) -> Path:
    """Install a module with annotators, given by entry point → class; returns the folder that was put on the path."""
    site = folder / f"site-{module}"
    info = site / f"{module}-1.0.dist-info"
    info.mkdir(parents=True)
    (site / f"{module}.py").write_text(code)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {module}\nVersion: 1.0\n")
    entries = "".join(f"{name} = {module}:{kind}\n" for name, kind in annotators.items())
    (info / "entry_points.txt").write_text(f"[fld_engine.annotators]\n{entries}")
    monkeypatch.syspath_prepend(site)
    return site
