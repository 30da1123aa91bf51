"""The programs in docs/python.md run, in their order, as somebody would copy them."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.roots import write_photographs
from tests.waiting import PATIENCE_S

DOCUMENT = Path(__file__).parents[2] / "docs/python.md"


def programs() -> list[str]:
    return re.findall(r"```python\n(.*?)```", DOCUMENT.read_text(encoding="utf-8"), flags=re.DOTALL)


@pytest.mark.long
def test_the_programs_of_the_document_run_one_after_the_other(tmp_path: Path) -> None:
    write_photographs(tmp_path / "photographs", 6)
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    said = []
    for number, program in enumerate(programs()):
        script = tmp_path / f"program_{number}.py"
        script.write_text(program)
        done = subprocess.run(
            [sys.executable, script.name],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=False,
        )
        assert done.returncode == 0, program + done.stderr
        said.append(done.stdout)
    first, tables, exports, samples = said
    assert "6 images found, 6 exported, complete: True" in first
    assert "kept" in tables
    assert "'samples': 6" in exports
    assert samples.count("regions") >= 1


def test_importing_the_package_is_light_and_its_functions_are_there() -> None:
    heavy = "{'prefect', 'ray', 'torch', 'pyarrow', 'pydantic', 'numpy'}"
    code = f"""
import sys
import fld_engine
print(sorted({heavy} & sys.modules.keys()), sorted(set(fld_engine.__all__) - set(dir(fld_engine))))
from fld_engine import export, open_root, refine, run
print(sorted({{'prefect', 'ray', 'torch'}} & sys.modules.keys()))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=PATIENCE_S, check=False)
    assert done.stdout.split("\n")[:2] == ["[] []", "[]"], done.stderr
