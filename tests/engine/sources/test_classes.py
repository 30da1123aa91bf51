"""Classes that places tell: written as a name or as a WordNet id."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from fld_engine.engine.sources import wordnet
from fld_engine.engine.sources.classes import class_labels
from fld_engine.engine.sources.wordnet import class_name, is_wnid


@pytest.fixture(autouse=True)
def afresh() -> Iterator[None]:
    """Other packages are here than a moment ago."""
    wordnet._names.cache_clear()
    wordnet._say_unknown.cache_clear()
    yield
    wordnet._names.cache_clear()
    wordnet._say_unknown.cache_clear()


@pytest.fixture
def timm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A distribution with the file of timm: the real one needs torchvision, which this environment does not have."""
    (tmp_path / "timm-1.0.31.dist-info").mkdir()
    (tmp_path / "timm-1.0.31.dist-info/METADATA").write_text("Metadata-Version: 2.1\nName: timm\nVersion: 1.0.31\n")
    (tmp_path / "timm/data/_info").mkdir(parents=True)
    (tmp_path / "timm/data/_info/imagenet_synset_to_lemma.txt").write_text(
        "n00007846\tperson, individual, someone\nn01440764\ttench, Tinca tinca\nn02364520\tcavy\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))


@pytest.mark.parametrize(
    ("name", "expected"),
    [("n01440764", True), ("n0144076", False), ("N01440764", False), ("n014407640", False), ("tench", False)],
)
def test_only_a_whole_id_is_one(name: str, expected: bool) -> None:
    assert is_wnid(name) is expected


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("n01440764", "tench"),  # the first of `tench, Tinca tinca`
        ("n01514668", "cock"),
        ("n03085013", "computer keyboard"),
        ("holiday", "holiday"),
        ("n99999999", "n99999999"),
    ],
)
def test_an_id_of_imagenet_1k_is_called_by_its_name(name: str, expected: str) -> None:
    """By the package that `fld models pull` installs."""
    assert class_name(name) == expected


@pytest.mark.usefixtures("timm")
def test_more_are_known_with_timm() -> None:
    assert [class_name(name) for name in ("n00007846", "n02364520", "n01440764")] == ["person", "cavy", "tench"]


def test_an_id_without_a_name_is_told_of_once(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        assert [class_name("n00007846"), class_name("n00007847")] == ["n00007846", "n00007847"]
    (said,) = caplog.messages
    assert "1,000" in said
    assert "fld-engine[imagenet]" in said


def test_a_class_of_a_place_is_nobodys_word() -> None:
    (label,) = class_labels(" n01440764\n")
    assert (label.label, label.score) == ("tench", 1.0)
    assert label.source is not None
    assert label.source.annotator == "class_folder"
    assert class_labels(" \x00") == ()
