"""Which libraries an output was made with: what is recorded, what is meant by `--made-with`, and who names what."""

from __future__ import annotations

from pathlib import Path

import pytest

from fld_engine.annotators.composed.fake import FakeAnnotator
from fld_engine.annotators.parse.spacy_parser import SpacyParser
from fld_engine.engine.data.discovery import package_of
from fld_engine.engine.data.libraries import BUILDS, DECISIVE, NONE, MadeWith, versions_here
from fld_engine.engine.plan.libraries import libraries_of
from fld_engine.engine.plan.protocols import Sample
from fld_engine.engine.plan.registry import installed_annotators
from fld_engine.schemas.annotations import Annotations
from fld_engine.schemas.errors import ConfigError
from tests.distributions import write_distribution


@pytest.mark.parametrize(
    ("wanted", "made_with", "is_meant"),
    [
        ("torch==2.13.0", {"torch": "2.13.0+cpu"}, True),  # a build of that version
        ("torch==2.13.0+cu130", {"torch": "2.13.0+cpu"}, False),
        ("torch==2.13.0", {"torch": "2.13.1"}, False),
        ("Pillow<13", {"pillow": "12.1.0"}, True),
        ("pillow", {}, None),
        ("torch==2.13.0", {}, False),  # not known
        ("torch<3", {"torch": NONE}, False),
        ("torchvision==none", {"torchvision": NONE}, True),
        ("torchvision==none", {"torchvision": "0.28"}, False),
        ("torchvision==none", {}, False),
        ("onnxruntime==1.32", {"onnxruntime": "onnxruntime-gpu 1.32.0"}, True),
        ("onnxruntime_gpu==1.32", {"onnxruntime": "onnxruntime-gpu 1.32.0"}, True),
        ("onnxruntime-gpu==1.32", {"onnxruntime": "1.32.0"}, False),
        ("torch>=2.13.0.dev0", {"torch": "2.14.0.dev20260901"}, True),
        ("other", {"fld-colours": "1.0"}, True),  # not installed here
        ("other", {"fld-colours": NONE}, False),
        ("other", {}, False),
        ("2.13.0", {}, None),
        ("torch==", {}, None),
        ("", {}, None),
    ],
)
def test_a_requirement_means_the_outputs_of_these_versions(
    wanted: str, made_with: dict[str, str], is_meant: bool | None
) -> None:
    if is_meant is None:
        with pytest.raises(ConfigError, match="expected a library and its version"):
            MadeWith(wanted)
    else:
        assert MadeWith(wanted).matches(made_with) == is_meant


def test_versions_are_those_that_are_installed_whoever_brings_the_library(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(write_distribution(tmp_path / "site", "fld-colours", {}, version="2.0"))
    monkeypatch.setitem(BUILDS, "shades", ("shades", "shades-gpu"))  # type: ignore[arg-type]
    assert versions_here(["fld-colours", "shades"]) == {"fld-colours": "2.0", "shades": NONE}
    monkeypatch.syspath_prepend(write_distribution(tmp_path / "gpu", "shades-gpu", {}, version="0.3+cu1"))
    assert versions_here(["shades"]) == {"shades": "shades-gpu 0.3+cu1"}


def test_annotators_of_the_package_name_libraries_that_there_are() -> None:
    """A name that is spelt wrong would be recorded as `none` for ever, and no change of its version be seen."""
    named = set(SpacyParser().libraries)
    for name, entry in installed_annotators().items():
        if package_of(entry) == "fld-engine" and name != "spacy-parser":
            named |= set(entry.load().libraries)
    assert {"torch", "onnxruntime", "spacy", "opencv"} <= named
    fetched = {"rapidocr-onnxruntime", SpacyParser().libraries[1]}
    assert {library for library, version in versions_here(named - fetched).items() if version == NONE} <= {
        "torchvision"  # on GPU nodes
    }


def test_pillow_counts_for_whoever_sees_images_and_everything_for_whoever_names_nothing() -> None:
    class Silent:
        version, resources, batch_size = 1, FakeAnnotator.resources, 1
        params, model = FakeAnnotator().params, FakeAnnotator.model
        requires, optional, produces = frozenset({"objects"}), frozenset[str](), frozenset({"labels"})

        def load(self) -> None: ...

        def annotate(self, batch: list[Sample]) -> list[Annotations]:
            return []

    assert libraries_of(FakeAnnotator()) == ("pillow",)
    assert set(libraries_of(SpacyParser())) == {"spacy", SpacyParser().libraries[1]}
    assert set(libraries_of(Silent())) == set(DECISIVE)  # type: ignore[arg-type]
