"""Which extra brings what is missing: asked of the metadata that pip installs, said in a sentence."""

from __future__ import annotations

import sys
from pathlib import Path

import fsspec
import pytest

from fld_engine.engine.data.extras import absent, extra_for, extras, install_command, missing_sentence


def test_an_extra_has_what_those_that_it_includes_have() -> None:
    assert {one.name for one in extras()["gold"]} < {one.name for one in extras()["refine"]}
    assert "dev" not in extras()


@pytest.mark.parametrize(
    ("libraries", "room", "extra"),
    [
        (["cv2"], "fld_engine.annotators.packaged.nanodet", "packaged"),
        (["cv2"], "fld_engine.engine.stages.contamination.views", "gold"),
        (["torch", "transformers"], "fld_engine.annotators.hub.florence2", "hub"),
        (["torch"], "fld_engine.refinement.training.train", "refine"),
        (["ray"], "fld_engine.engine.run.ray", "cluster"),
        (["spacy"], "fld_engine.annotators.parse.spacy_parser", "packaged"),  # the first that has it
        (["openai"], "", "hub"),
        (["tabulate"], "", ""),
    ],
)
def test_a_library_is_had_by_the_extra_of_the_code_that_asks(libraries: list[str], room: str, extra: str) -> None:
    assert extra_for(libraries, room) == extra


def test_an_extra_that_is_needed_anyway_is_preferred() -> None:
    assert extra_for(["spacy"], preferred=["cluster", "hub"]) == "hub"


def test_only_what_an_extra_brings_and_is_not_here_is_absent() -> None:
    assert absent(["opencv", "gcsfs", "torchvision", "torch"]) == ("gcsfs",)


def test_a_file_system_that_is_not_installed_is_told_by_its_extra_whoever_says_it() -> None:
    with pytest.raises(ImportError) as failed:
        fsspec.get_filesystem_class("gs")
    assert missing_sentence(failed.value).endswith("this needs the extra `gcs`: pip install 'fld-engine[gcs]'")


def test_a_module_of_nobody_s_is_not_explained_away() -> None:
    assert missing_sentence(ModuleNotFoundError("No module named 'tabulate'", name="tabulate")) == ""


@pytest.mark.parametrize(
    ("file", "command"), [("uv-receipt.toml", "uv tool install"), ("pipx_metadata.json", "pipx install --force")]
)
def test_the_command_is_that_of_the_tool_that_made_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file: str, command: str
) -> None:
    (tmp_path / file).touch()
    monkeypatch.setattr(sys, "prefix", str(tmp_path))
    assert install_command("hub", "s3") == f"{command} 'fld-engine[hub,s3]'"
