"""What is installed describes itself: ours, and what another package brings."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from fld_engine.engine.inspect.installed import GROUPS, extension, extensions
from fld_engine.schemas.errors import ConfigError
from tests.distributions import write_distribution

ANNOTATORS, FILTERS, SOURCES, EXPORTERS = GROUPS
HEAVY = ("torch", "transformers", "onnxruntime", "spacy", "ray", "prefect", "webdataset", "openai")


class Half:
    """Keeps every other row.

    Which one comes first is up to it.
    """

    target = "texts"


def test_an_annotator_says_what_it_reads_and_writes_and_what_can_be_set() -> None:
    found = extension(ANNOTATORS, "nanodet")
    assert (found.package, found.version) == ("fld-engine", 1)
    assert (found.says["requires"], found.says["produces"]) == (("pixels",), ("objects",))
    assert {"min_score", "nms_iou", "max_regions"} <= {row.name for row in found.parameters}
    assert found.about.endswith(".")


def test_what_depends_on_parameters_is_not_guessed() -> None:
    found = extension(ANNOTATORS, "florence2")
    assert found.says["produces"] is None
    assert found.said("produces") == "by its parameters"


def test_what_another_package_brings_is_listed_with_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    entries = {FILTERS.group: {"half": f"{__name__}:Half"}, EXPORTERS.group: {"half-exporter": f"{__name__}:Half"}}
    monkeypatch.syspath_prepend(write_distribution(tmp_path, "my-halves", entries))
    found = {one.name: one for one in extensions(FILTERS)}
    assert list(found) == sorted(found)
    half = found["half"]
    assert (half.package, half.release, half.version, half.about) == (
        "my-halves",
        "1.0",
        None,
        "Keeps every other row.",
    )
    assert half.description == "Keeps every other row. Which one comes first is up to it."
    assert (half.said("target"), half.parameters) == ("texts", ())
    assert "half" not in {one.name for one in extensions(FILTERS, package="fld-engine")}
    assert [one.name for one in extensions(EXPORTERS, package="my-halves")] == ["half-exporter"]


def test_a_name_that_is_not_installed_is_an_error_with_the_nearest() -> None:
    with pytest.raises(ConfigError, match="filter 'region-mns' is not known; did you mean 'region-nms'"):
        extension(FILTERS, "region-mns")


def test_describing_all_that_we_bring_loads_no_model_library() -> None:
    code = f"""
import sys
from fld_engine.engine.inspect.reference import reference
from fld_engine.engine.inspect.schema import config_schema
reference(), config_schema()
print([m for m in {HEAVY!r} if m in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
