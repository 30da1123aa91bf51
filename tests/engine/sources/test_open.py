"""Sources of other packages: found by their entry points, recognised, read again, and named where they do not fit."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import pytest

from fld_engine.engine.data.discovery import load
from fld_engine.engine.data.identity import identity_of
from fld_engine.engine.data.source_account import Counted
from fld_engine.engine.plan.config import load_config
from fld_engine.engine.sources.item import Locator, Rejected, SourceChunk, SourceItem, SourceSpec
from fld_engine.engine.sources.open import OF_SOME_KINDS, brings, open_source, read_chunk, read_items
from fld_engine.engine.sources.reader import GROUP
from fld_engine.schemas.errors import ConfigError, SourceError
from fld_engine.schemas.kinds import FROM_SOURCES
from tests.distributions import write_distribution
from tests.hostile import jpeg

EXTENSION = Path(__file__).parents[2] / "extension/fld_extension"
FAULTY = """
from fld_extension.zipped import ZippedImages

class WrongChunks(ZippedImages): ...

class WrongLocators(ZippedImages):
    def chunks(self, spec):
        return [chunk.model_copy(update={"kind": "wrong-locators"}) for chunk in super().chunks(spec)]
"""


@pytest.fixture
def extended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The source of `tests/extension`, as an installed package brings it."""
    entry_points = {GROUP: {"zipped": "fld_extension.zipped:ZippedImages"}}
    site = write_distribution(tmp_path / "site", "fld-extension", entry_points)
    (site / "fld_extension").symlink_to(EXTENSION)
    monkeypatch.syspath_prepend(site)


@pytest.fixture
def faulty(extended: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two sources that do not keep to the protocol."""
    names = {"wrong-chunks": "faulty_sources:WrongChunks", "wrong-locators": "faulty_sources:WrongLocators"}
    monkeypatch.syspath_prepend(write_distribution(tmp_path / "faulty", "faulty", {GROUP: names}))
    (tmp_path / "faulty/faulty_sources.py").write_text(FAULTY)


@pytest.fixture
def zips(tmp_path: Path) -> Path:
    """Two zips of two images each, and a file that only calls itself one."""
    (tmp_path / "zips").mkdir()
    for number, name in enumerate(("a.cbz", "b.cbz")):
        with zipfile.ZipFile(tmp_path / "zips" / name, "w", zipfile.ZIP_DEFLATED) as archive:
            for folder in ("cats", "dogs"):
                info = zipfile.ZipInfo(f"{folder}/1.jpg")
                info.comment = f"One of the {folder}.".encode()
                archive.writestr(info, jpeg(quality=40 + number + 10 * len(folder) + ord(folder[0]) % 5))
    (tmp_path / "zips/broken.cbz").write_bytes(b"not a zip")
    return tmp_path / "zips"


def scan(spec: SourceSpec) -> tuple[list[tuple[SourceItem, bytes]], list[Rejected]]:
    """Everything in a source; chunks cross a process boundary as JSON on the way."""
    chunks = [SourceChunk.model_validate_json(chunk.model_dump_json()) for chunk in open_source(spec).chunks()]
    found = [one for chunk in chunks for one in read_chunk(chunk)]
    return [one for one in found if not isinstance(one, Rejected)], [one for one in found if isinstance(one, Rejected)]


@pytest.mark.usefixtures("extended")
def test_a_source_of_another_package_is_recognised_by_its_files_and_its_images_are_read_again(
    zips: Path, tmp_path: Path
) -> None:
    items, rejected = scan(SourceSpec(url=str(zips)))
    assert [item.uri for item, _ in items] == [f"zips/{z}.cbz!{name}/1.jpg" for z in "ab" for name in ("cats", "dogs")]
    assert [item.annotations.texts[0].text for item, _ in items[:2]] == ["One of the cats.", "One of the dogs."]
    assert [(one.uri, one.reason) for one in rejected] == [("zips/broken.cbz", "corrupt")]
    (tmp_path / "plain.jpg").write_bytes(jpeg())
    plain = Locator(kind="file", url=str(tmp_path / "plain.jpg"), length=len(jpeg()))
    stored = [Locator.model_validate_json(item.read.model_dump_json()) for item, _ in items]
    mixed = [stored[3], plain, *stored[:3]]
    assert list(read_items(mixed)) == [items[3][1], jpeg(), *(data for _, data in items[:3])]


@pytest.mark.usefixtures("extended")
def test_its_parameters_reach_it_and_are_refused_where_it_has_none_of_that_name(zips: Path) -> None:
    items, _ = scan(SourceSpec(url=str(zips), kind="zipped", params={"folder": "dogs/"}))
    assert [item.uri.rpartition("!")[2] for item, _ in items] == ["dogs/1.jpg"] * 2
    with pytest.raises(ConfigError, match=r"source zips\.params\.foldr.*did you mean 'source zips\.params\.folder'"):
        open_source(SourceSpec(url=str(zips), kind="zipped", params={"foldr": "dogs/"}))
    with pytest.raises(ConfigError, match="of a stated kind; set kind"):
        open_source(SourceSpec(url=str(zips), params={"folder": "dogs/"}))


@pytest.mark.usefixtures("extended")
def test_a_folder_of_several_kinds_is_refused_with_the_other_package_s_among_them(zips: Path) -> None:
    (zips / "one.jpg").write_bytes(jpeg())
    with pytest.raises(SourceError, match=r"several kinds \(1 for 'folder', .*3 for 'zipped'\)"):
        open_source(SourceSpec(url=str(zips)))


def test_params_stand_in_a_chunk_only_where_they_are_given(tmp_path: Path) -> None:
    """A chunk's fingerprint is made of its dump: an empty `params` would make every root read all its sources again."""
    (tmp_path / "one.jpg").write_bytes(jpeg())
    (chunk,) = open_source(SourceSpec(url=str(tmp_path))).chunks()
    assert "params" not in chunk.model_dump(mode="json")["spec"]
    given = SourceSpec(url="x", kind="zipped", params={"folder": "dogs"})
    assert SourceSpec.model_validate_json(given.model_dump_json()) == given


def test_a_kind_that_is_not_installed_is_refused_by_the_config_with_its_path() -> None:
    with pytest.raises(ConfigError, match=r"demo: sources\.1\.kind: source 'foldr' .*did you mean 'folder'.*tars"):
        load_config("demo", extra={"sources": [{"url": "a", "kind": "folder"}, {"url": "b", "kind": "foldr"}]})
    with pytest.raises(ConfigError, match=r"demo: sources\.0\.params\.x"):
        load_config("demo", extra={"sources": [{"url": "a", "kind": "folder", "params": {"x": 1}}]})


@pytest.mark.parametrize(
    ("name", "given", "setting", "value", "purpose"),
    [
        ("x.json", {"kind": "coco"}, "caption_columns", ["re_caption"], "names columns of Parquet"),
        ("photos", {"kind": "folder"}, "images_url", "elsewhere", "folder of images of label files"),
        ("photos", {"kind": "folder"}, "exif", "raw", "which picture the boxes of label files are of"),
        ("x.parquet", {"kind": "parquet"}, "class_folders", False, "for folders of images"),
        ("x.parquet", {"kind": "parquet"}, "images_url", "elsewhere", "folder of images of label files"),
        ("x.json", {"kind": "coco"}, "uri_column", "url", "names a column of Parquet"),
    ],
)
def test_a_setting_that_does_nothing_for_a_kind_is_refused_with_what_it_is_for(
    tmp_path: Path, name: str, given: dict[str, Any], setting: str, value: Any, purpose: str
) -> None:
    """Else a user believes that captions are read, and a captioner is trained on nothing."""
    source = {"url": str(tmp_path / name), setting: value}
    with pytest.raises(ConfigError, match=rf"demo: sources\.0\.{setting}: .*{given['kind']}.*{purpose}"):
        load_config("demo", extra={"sources": [{**source, **given}]})


def test_a_setting_is_refused_for_a_source_whose_kind_shows_in_its_files(tmp_path: Path) -> None:
    (tmp_path / "one.jpg").write_bytes(jpeg())
    with pytest.raises(ConfigError, match=r"source photos\.uri_column: 'alt' does nothing.*'folder'"):
        open_source(SourceSpec(url=str(tmp_path), name="photos", uri_column="alt"))
    assert open_source(SourceSpec(url=str(tmp_path), class_folders=False)).kind == "folder"


@pytest.mark.usefixtures("extended")
def test_a_reader_that_does_not_say_what_it_uses_may_use_all(zips: Path) -> None:
    assert open_source(SourceSpec(url=str(zips), kind="zipped", caption_columns=("x",))).kind == "zipped"


def test_every_setting_of_some_kinds_is_used_by_one_of_ours_and_is_none_of_all() -> None:
    used = {name for kind in ("folder", "tars", "parquet", "coco") for name in load(GROUP, kind, "source").uses}
    assert used == set(OF_SOME_KINDS)
    assert used < set(SourceSpec.model_fields)


def test_settings_that_are_left_out_enter_no_chunk(tmp_path: Path) -> None:
    """A finished root reads nothing again because a later version knows one setting more."""
    (tmp_path / "one.jpg").write_bytes(jpeg())
    (chunk,) = open_source(SourceSpec(url=str(tmp_path))).chunks()
    assert not {"allow_outside", "exif"} & chunk.model_dump(mode="json")["spec"].keys()
    told = chunk.model_copy(update={"passed_over": {"hidden": Counted(number=3)}})
    assert identity_of(told) == identity_of(chunk), "what is passed over is no content"
    allowing = chunk.model_copy(update={"spec": chunk.spec.model_copy(update={"allow_outside": True})})
    assert identity_of(allowing) != identity_of(chunk)


@pytest.mark.usefixtures("faulty")
def test_a_package_at_fault_is_named_before_anything_is_packed(zips: Path) -> None:
    with pytest.raises(SourceError, match="source kind 'wrong-chunks' made chunks of kind 'zipped'"):
        open_source(SourceSpec(url=str(zips), kind="wrong-chunks")).chunks()
    with pytest.raises(SourceError, match=r"'wrong-locators' says of zips/a\.cbz!cats/1\.jpg .*as 'zipped'"):
        scan(SourceSpec(url=str(zips), kind="wrong-locators"))


@pytest.mark.usefixtures("extended")
def test_what_may_come_with_a_source_is_what_its_reader_says_and_anything_where_that_is_not_known() -> None:
    told = {kind: brings(SourceSpec(url="x", kind=kind)) for kind in ("folder", "tars", "zipped", "auto", "not-here")}
    assert told["zipped"] == {"brief_texts"}
    assert {"brief_texts", "objects"} <= told["folder"] == told["tars"] < FROM_SOURCES
    assert told["auto"] == told["not-here"] == FROM_SOURCES
