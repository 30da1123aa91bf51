"""Installed packages for tests: metadata on a path, without pip."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path


def write_distribution(
    folder: Path, name: str, entry_points: Mapping[str, Mapping[str, str]], *, version: str = "1.0"
) -> Path:
    """A package with entry points by group and name, for whatever has `folder` on its path.

    Returns `folder`.
    """
    metadata = folder / f"{name.replace('-', '_')}-{version}.dist-info"
    metadata.mkdir(parents=True)
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    sections = ["\n".join([f"[{group}]", *(f"{k} = {v}" for k, v in of.items())]) for group, of in entry_points.items()]
    (metadata / "entry_points.txt").write_text("\n\n".join(sections) + "\n")
    return folder
