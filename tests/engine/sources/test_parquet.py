"""Parquet tables of images: bytes or URIs, well-formed, hostile, damaged."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fld_engine.engine.sources.item import Locator, Rejected, SourceItem, SourceSpec
from fld_engine.engine.sources.open import open_source, read_chunk, read_items
from fld_engine.schemas.errors import SourceError
from tests.hostile import jpeg, write_hostile_parquet


def scan(url: Path | str, **spec: Any) -> tuple[list[tuple[SourceItem, bytes]], list[Rejected]]:
    source = open_source(SourceSpec(url=str(url), **spec))
    found = [one for chunk in source.chunks() for one in read_chunk(chunk)]
    return [one for one in found if not isinstance(one, Rejected)], [one for one in found if isinstance(one, Rejected)]


def test_rows_without_an_image_are_named_and_the_rest_goes_on(tmp_path: Path) -> None:
    expected = write_hostile_parquet(tmp_path / "x.parquet")
    items, rejected = scan(tmp_path / "x.parquet")
    assert {r.uri.removeprefix("x.parquet"): r.reason for r in rejected} == expected
    assert [(i.uri, [t.text for t in i.annotations.texts]) for i, _ in items] == [
        ("x.parquet#0", ["A cat."]),
        ("x.parquet#3", ["</s><loc_1>"]),
    ]


@pytest.mark.parametrize("kind", [pa.binary(), pa.large_binary()])
def test_plain_bytes_and_lists_of_captions_over_many_row_groups(tmp_path: Path, kind: pa.DataType) -> None:
    images = [jpeg(quality=q) for q in range(20, 60)]
    captions = [["One.", " ", "Two.", "One."], None] * 20
    table = pa.table({"jpg": pa.array(images, kind), "captions": pa.array(captions, pa.list_(pa.string()))})
    pq.write_table(table, tmp_path / "x.parquet", row_group_size=7)
    items, rejected = scan(tmp_path)
    assert not rejected
    assert [data for _, data in items] == images
    assert [[t.text for t in i.annotations.texts] for i, _ in items[:2]] == [["One.", "Two."], []]
    locators = [item.read for item, _ in items]
    some = [0, 6, 7, 39, 3, 3, 38]  # rising and falling, within and across row groups, one twice
    assert list(read_items([locators[i] for i in some])) == [images[i] for i in some]


def test_uris_are_followed_beside_the_table_and_no_further(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "a.jpg").write_bytes(jpeg())
    (tmp_path / "b.jpg").write_bytes(jpeg(quality=80))
    links = [
        "images/a.jpg",
        f"file://{tmp_path}/b.jpg",
        str(tmp_path / "b.jpg"),
        "images/../b.jpg",
        "images/gone.jpg",
        "../../etc/passwd",
        "ssh://host/a.jpg",
        "simplecache::file:///a.jpg",
        None,
        "",
    ]
    pq.write_table(pa.table({"url": links, "text": ["A cat."] * len(links)}), tmp_path / "x.parquet")
    items, rejected = scan(tmp_path / "x.parquet")
    assert [data for _, data in items] == [jpeg(), jpeg(quality=80), jpeg(quality=80), jpeg(quality=80)]
    assert [(r.uri, r.reason) for r in rejected] == [
        ("x.parquet#4", "gone"),
        ("x.parquet#5", "bad_uri"),
        ("x.parquet#6", "bad_uri"),
        ("x.parquet#7", "bad_uri"),
        ("x.parquet#8", "no_bytes"),
        ("x.parquet#9", "no_bytes"),
    ]
    assert list(read_items([item.read for item, _ in items])) == [data for _, data in items]


def test_columns_can_be_named_and_unknown_ones_are_an_error(tmp_path: Path) -> None:
    table = pa.table({"payload": pa.array([jpeg()], pa.binary()), "alt": ["A cat."], "url": ["gone.jpg"]})
    pq.write_table(table, tmp_path / "x.parquet")
    ((item, data),), _ = scan(tmp_path, image_column="payload", caption_columns=("alt",))
    assert (data, [t.text for t in item.annotations.texts]) == (jpeg(), ["A cat."])
    with pytest.raises(SourceError, match="no column paylod; its columns: payload, alt, url"):
        scan(tmp_path, image_column="paylod")
    pq.write_table(table.select(["payload", "alt"]), tmp_path / "x.parquet")
    with pytest.raises(SourceError, match="set image_column or uri_column"):
        scan(tmp_path)


def test_captions_that_are_not_utf8_do_not_cost_the_image(tmp_path: Path) -> None:
    """Arrow does not check strings that it reads; Python would raise on the first one."""
    bad = pa.array([b"A \xff cat."], pa.binary()).view(pa.string())
    pq.write_table(pa.table({"jpg": pa.array([jpeg()], pa.binary()), "caption": bad}), tmp_path / "x.parquet")
    ((item, _),), rejected = scan(tmp_path)
    assert [t.text for t in item.annotations.texts] == ["A \ufffd cat."]
    assert not rejected


def test_a_changed_table_is_noticed_when_it_is_read_again(tmp_path: Path) -> None:
    pq.write_table(pa.table({"jpg": pa.array([None], pa.binary())}), tmp_path / "x.parquet")
    for row, message in ((0, "now has none"), (1, "now has 1 rows")):
        with pytest.raises(SourceError, match=message):
            list(read_items([Locator(kind="parquet", url=str(tmp_path / "x.parquet"), row=row, column="jpg")]))


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("whole") / "x.parquet"
    table = pa.table({"jpg": pa.array([jpeg(quality=q) for q in (10, 20)], pa.binary()), "caption": ["A.", "B."]})
    pq.write_table(table, path, row_group_size=1, write_page_checksum=True)
    return path.read_bytes()


@settings(max_examples=80)
@given(data=st.data())
def test_a_damaged_table_never_stops_the_run(
    data: st.DataObject, whole: bytes, tmp_path_factory: pytest.TempPathFactory
) -> None:
    damaged = bytearray(whole)
    for _ in range(data.draw(st.integers(0, 4))):
        damaged[-1 - data.draw(st.integers(0, len(whole) - 1) | st.integers(0, 1500))] = data.draw(st.integers(0, 255))
    end = data.draw(st.integers(0, len(whole)) | st.just(len(whole)))
    path = tmp_path_factory.mktemp("damaged") / "x.parquet"
    path.write_bytes(bytes(damaged[:end]))
    try:
        (chunk,) = open_source(SourceSpec(url=str(path), kind="parquet")).chunks()
    except SourceError:
        return  # the only file's columns are not those of images: nothing to run on
    for one in read_chunk(chunk):
        if not isinstance(one, Rejected):
            assert one[1] in (jpeg(quality=10), jpeg(quality=20)), "page checksums find what was flipped"


def test_a_damaged_table_stands_beside_good_ones(tmp_path: Path, whole: bytes) -> None:
    (tmp_path / "a.parquet").write_bytes(whole[:1000])
    (tmp_path / "b.parquet").write_bytes(whole)
    items, rejected = scan(tmp_path)
    assert len(items) == 2
    assert [(r.uri, r.reason) for r in rejected] == [(f"{tmp_path.name}/a.parquet", "corrupt")]


def test_rows_with_lists_of_images_are_read_again_by_their_place(tmp_path: Path) -> None:
    """A caption of several pictures is of none of them, and counted; of a list of one, it is that one's."""
    images = [jpeg(quality=q) for q in range(20, 25)]
    rows = [images[:2], [images[2]], [], None, [None, images[3]], [images[4]]]
    table = pa.table({"images": pa.array(rows, pa.list_(pa.binary())), "text": list("abcdef")})
    pq.write_table(table, tmp_path / "x.parquet", row_group_size=2)
    items, rejected = scan(tmp_path / "x.parquet")
    uris = ["#0/0", "#0/1", "#1", "#4/1", "#5"]
    assert [item.uri.removeprefix("x.parquet") for item, _ in items] == uris
    assert [[t.text for t in item.annotations.texts] for item, _ in items] == [[], [], ["b"], [], ["f"]]
    assert [(r.uri.removeprefix("x.parquet"), r.reason) for r in rejected] == [
        ("#2", "no_bytes"),
        ("#3", "no_bytes"),
        ("#4/0", "no_bytes"),
    ]
    order = [4, 0, 1, 3, 2]
    assert list(read_items([items[i][0].read for i in order])) == [items[i][1] for i in order]


CLASSES = {"info": {"features": {"label": {"names": ["cat", "dog"], "_type": "ClassLabel"}}}}


@pytest.mark.parametrize("where", ["the table", "dataset_info.json", "README.md", "nowhere"])
def test_numbered_classes_have_the_names_that_the_set_gives_them(tmp_path: Path, where: str) -> None:
    """A number without a name is no class that anybody could learn: it is counted, and no label."""
    table = pa.table({"image": pa.array([jpeg(), jpeg(quality=30)], pa.binary()), "label": [1, 0]})
    if where == "the table":
        table = table.replace_schema_metadata({"huggingface": json.dumps(CLASSES)})
    (tmp_path / "data").mkdir()
    pq.write_table(table, tmp_path / "data/train-00000-of-00001.parquet")
    if where == "dataset_info.json":
        (tmp_path / where).write_text(json.dumps(CLASSES["info"]))
    if where == "README.md":
        names = "{names: {'0': cat, '1': dog}}"
        (tmp_path / where).write_text(
            f"---\ndataset_info:\n  features:\n  - {{name: label, dtype: {{class_label: {names}}}}}\n---\n"
        )
    items, rejected = scan(tmp_path)
    found = [[(one.label, one.source and one.source.annotator) for one in item.annotations.labels] for item, _ in items]
    assert found == ([[], []] if where == "nowhere" else [[("dog", "human")], [("cat", "human")]])
    assert not rejected


def test_images_named_in_a_column_of_images_are_files_beside_the_table(tmp_path: Path) -> None:
    """As training sets of chat models have them: `image` is text."""
    (tmp_path / "a.jpg").write_bytes(jpeg())
    columns = {"image": pa.array(["a.jpg"]).dictionary_encode(), "sentences": [{"raw": "A cat.", "tokens": ["A"]}]}
    pq.write_table(pa.table(columns), tmp_path / "x.parquet")
    ((item, data),), _ = scan(tmp_path / "x.parquet", caption_columns=("sentences.raw",))
    assert (data, [t.text for t in item.annotations.texts]) == (jpeg(), ["A cat."])
    with pytest.raises(SourceError, match=r"no column sentences\.text"):
        scan(tmp_path / "x.parquet", caption_columns=("sentences.text",))


def test_a_column_of_another_type_is_refused_with_its_type(tmp_path: Path) -> None:
    pq.write_table(pa.table({"image": [[[1.5]]], "url": ["x.jpg"]}), tmp_path / "x.parquet")
    with pytest.raises(SourceError, match=r"column image .* is list<.*double.*expected bytes"):
        scan(tmp_path / "x.parquet", image_column="image")
