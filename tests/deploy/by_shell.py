"""What every way to start a run is compared with: the same config, run by `fld run` in a shell."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import yaml

from tests.roots import fake_config, write_photographs
from tests.waiting import PATIENCE_S


@dataclass(frozen=True)
class ByShell:
    """A config of real files, and the root that a shell made of it."""

    config: Path
    root: Path


def run_in_a_shell(folder: Path) -> ByShell:
    """Twelve photographs, fake specialists whose answers depend on the pixels, and a root of them."""
    folder.chmod(0o755)  # for the user of an image, too
    write_photographs(folder / "photos", 12)
    config = folder / "small.yaml"
    config.write_text(yaml.safe_dump(fake_config(folder / "photos").model_dump(mode="json", exclude_defaults=True)))
    fld = Path(sys.executable).parent / "fld"
    command = [fld, "run", str(config), "--root", str(folder / "root")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S, check=False)
    assert done.returncode == 0, done.stderr
    return ByShell(config=config, root=folder / "root")


def exported(root: Path) -> dict[str, bytes]:
    """Every file of an export."""
    files = [path for path in (root / "export").rglob("*") if path.is_file()]
    assert files
    return {str(path.relative_to(root)): path.read_bytes() for path in files}
