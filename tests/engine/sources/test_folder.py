"""Folders of photographs: what is a candidate, in which order, under which name."""

from __future__ import annotations

import os
from pathlib import Path
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from fld_engine.engine.data.images import Format
from fld_engine.engine.sources.item import IMAGE_EXTENSIONS, Rejected, SourceChunk, SourceItem, SourceSpec
from fld_engine.engine.sources.listing import cut
from fld_engine.engine.sources.open import open_source, read_bytes, read_chunk, read_items
from fld_engine.schemas.errors import ConfigError, SourceError
from tests.hostile import jpeg, photograph, write_unreadable


def scan(spec: SourceSpec, **options: int) -> tuple[list[tuple[SourceItem, bytes]], list[Rejected]]:
    """Everything in a source; chunks cross a process boundary as JSON on the way."""
    items, rejected = [], []
    for chunk in open_source(spec).chunks():
        for found in read_chunk(SourceChunk.model_validate_json(chunk.model_dump_json()), **options):
            if isinstance(found, Rejected):
                rejected.append(found)
            else:
                items.append(found)
    return items, rejected


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    for name in ("b.jpg", "a.JPEG", "cats/tabby/c.jpg", ".hidden.jpg", ".cache/d.jpg", "notes.txt", "Thumbs.db"):
        path = tmp_path / "photos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(jpeg(quality=50 + len(name)))
    return tmp_path / "photos"


def test_images_come_sorted_with_stable_names_and_folder_labels(photos: Path) -> None:
    items, rejected = scan(SourceSpec(url=str(photos)))
    assert [(item.uri, item.source_label) for item, _ in items] == [
        ("photos/a.JPEG", ""),
        ("photos/b.jpg", ""),
        ("photos/cats/tabby/c.jpg", "tabby"),
    ]
    assert not rejected
    assert [data for _, data in items] == [(photos / i.uri.removeprefix("photos/")).read_bytes() for i, _ in items]


def test_a_folder_is_a_class_that_nobody_said(photos: Path) -> None:
    items, _ = scan(SourceSpec(url=str(photos)))
    labels = [label for item, _ in items for label in item.annotations.labels]
    assert [(label.label, label.source and label.source.annotator) for label in labels] == [("tabby", "class_folder")]


def test_names_do_not_depend_on_where_the_folder_is(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tables must be the same on a machine that keeps the photographs elsewhere."""
    monkeypatch.chdir(photos.parent)
    for url in ("photos", "./photos/", f"file://{photos}"):
        assert scan(SourceSpec(url=url))[0][0][0].uri == "photos/a.JPEG"


def test_labels_can_be_turned_off(photos: Path) -> None:
    items, _ = scan(SourceSpec(url=str(photos), class_folders=False))
    assert {(item.source_label, item.annotations.labels) for item, _ in items} == {("", ())}


def test_locators_give_the_bytes_again_elsewhere(photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Packing runs in another process with another working directory."""
    monkeypatch.chdir(photos)
    items, _ = scan(SourceSpec(url=".", name="here"))
    monkeypatch.chdir("/")
    assert list(read_items([item.read for item, _ in items])) == [data for _, data in items]
    (photos / "b.jpg").unlink()
    with pytest.raises(SourceError, match=r"b\.jpg could be read when it was scanned"):
        read_bytes(items[1][0].read)


def test_names_with_every_odd_character_are_read(tmp_path: Path) -> None:
    """fsspec gives meaning to `::`, `*`, `{` and `#`; a photographer does not."""
    names = ["a::b.jpg", "c*?.jpg", "d{1..3}.jpg", "e#[x] %20.jpg", "f\nline.jpg", "ünïcode \\ 漢字.jpg"]
    for quality, name in enumerate(names, start=40):
        (tmp_path / name).write_bytes(jpeg(quality=quality))
    items, rejected = scan(SourceSpec(url=str(tmp_path), name="odd"))
    assert {item.uri for item, _ in items} == {f"odd/{name}" for name in names}
    assert not rejected
    assert list(read_items([item.read for item, _ in items])) == [data for _, data in items]


def test_what_cannot_be_read_is_named_and_the_rest_goes_on(tmp_path: Path) -> None:
    """A pipe would be waited for, for ever; a name outside UTF-8 cannot be written into a table."""
    (tmp_path / "good.jpg").write_bytes(jpeg())
    (tmp_path / "large.jpg").write_bytes(jpeg() + bytes(200_000))
    os.mkfifo(tmp_path / "pipe.jpg")
    (tmp_path / "broken.jpg").symlink_to(tmp_path / "nowhere.jpg")
    (tmp_path / "linked.jpg").symlink_to(tmp_path / "good.jpg")
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff\xfe.jpg")).write_bytes(jpeg())
    items, rejected = scan(SourceSpec(url=str(tmp_path), name="odd"), max_bytes=100_000)
    assert [item.uri for item, _ in items] == ["odd/good.jpg", "odd/linked.jpg"]
    assert {(r.uri, r.reason) for r in rejected} == {
        ("odd/\\udcff\\udcfe.jpg", "bad_name"),
        ("odd/broken.jpg", "not_a_file"),
        ("odd/large.jpg", "too_many_bytes"),
        ("odd/pipe.jpg", "not_a_file"),
    }
    assert not any(str(tmp_path) in r.detail for r in rejected), "details are data: no machine's paths in them"


def test_bad_images_are_candidates_for_the_decoder_to_judge(tmp_path: Path) -> None:
    reasons = write_unreadable(tmp_path)
    items, rejected = scan(SourceSpec(url=str(tmp_path), name="bad"))
    assert {item.uri.removeprefix("bad/") for item, _ in items} == set(reasons)
    assert not rejected


def test_every_name_that_pillow_has_for_a_format_that_can_be_allowed_is_a_candidate(tmp_path: Path) -> None:
    """What is not one is passed over without being looked at: the list must not fall behind Pillow's."""
    Image.init()
    formats = {*get_args(Format), "MPO"}
    known = {name[1:] for name, format in Image.EXTENSION.items() if format in formats}
    assert known - IMAGE_EXTENSIONS == {"pfm"}, "float maps, which are measurements and no pictures"
    names = [f"{i}.{name.upper()}" for i, name in enumerate(sorted(IMAGE_EXTENSIONS))]
    for name in (*names, "a.jpg?w=800", "b.jpeg?url=x.y", "what?.png"):
        (tmp_path / name).write_bytes(jpeg())
    for name in ("x.txt", "none", "jpg", "x.jpg.part", "y?.txt"):
        (tmp_path / name).write_bytes(jpeg())
    items, _ = scan(SourceSpec(url=str(tmp_path), name="x"))
    assert {item.uri for item, _ in items} == {f"x/{n}" for n in (*names, "a.jpg?w=800", "b.jpeg?url=x.y", "what?.png")}


def test_a_single_photograph_is_a_source(tmp_path: Path) -> None:
    (tmp_path / "one.jpg").write_bytes(photograph("rocket.jpg"))
    ((item, data),), _ = scan(SourceSpec(url=str(tmp_path / "one.jpg")))
    assert item.uri == "one.jpg"
    assert data == photograph("rocket.jpg") == read_bytes(item.read)


def test_sources_that_cannot_work_say_why(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="does not exist"):
        open_source(SourceSpec(url=str(tmp_path / "nowhere"))).chunks()
    (tmp_path / "notes.txt").write_text("no image")
    for kind in ("auto", "folder"):
        with pytest.raises(SourceError, match=r"holds no .*image.*jpg.*") as raised:
            open_source(SourceSpec(url=str(tmp_path), kind=kind)).chunks()
        assert "1 files" in str(raised.value)
    for kind in ("tars", "parquet"):
        with pytest.raises(SourceError, match="holds no"):
            open_source(SourceSpec(url=str(tmp_path), kind=kind)).chunks()
    (tmp_path / "a.jpg").write_bytes(jpeg())
    (tmp_path / "b.tar").write_bytes(b"")
    with pytest.raises(SourceError, match=r"several kinds.*1 for 'folder', 1 for 'tars'"):
        open_source(SourceSpec(url=str(tmp_path)))
    with pytest.raises(ConfigError, match="protocol 'nosuchprotocol' is not known; give a folder"):
        open_source(SourceSpec(url="nosuchprotocol://bucket/photos"))


PATHS = st.lists(st.text("abcdef/.", min_size=1, max_size=12), unique=True, max_size=60).map(sorted)


@given(paths=PATHS, size=st.integers(1, 10))
def test_cutting_loses_nothing_and_bounds_every_run(paths: list[str], size: int) -> None:
    runs = cut([(path, 1) for path in paths], size)
    assert [path for run in runs for path, _ in run] == paths
    assert all(1 <= len(run) <= 4 * size for run in runs)


def test_an_added_photograph_changes_one_chunk_only() -> None:
    """Else one new file would make an ingest of a million read them all again."""
    files = [(f"{number:05d}.jpg", 1) for number in range(20_000)]
    before = set(cut(files))
    after = set(cut(sorted([*files, ("00042-new.jpg", 1)])))
    assert len(before) > 10
    assert len(after - before) <= 2  # the run it fell into, or its two halves
