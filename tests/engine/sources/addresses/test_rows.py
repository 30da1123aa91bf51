"""Lists of addresses as their publishers ship them, and as img2dataset takes them."""

from __future__ import annotations

import bz2
import gzip
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fld_engine.engine.sources.addresses.columns import Columns, columns_of
from fld_engine.engine.sources.addresses.lists import fetching, layout_of
from fld_engine.engine.sources.addresses.rows import form_of, tables
from fld_engine.engine.sources.fetch_settings import FetchSettings
from fld_engine.engine.sources.item import SourceSpec
from fld_engine.schemas.errors import SourceError

URL = "http://a.org/1.jpg"


def rows_of(path: Path, names: tuple[str, ...] = (), num_rows: int = 100) -> list[dict[str, Any]]:
    form, packed = form_of(path.name)
    assert form is not None, f"{path.name} is no list"
    made = tables(str(path), path.stat().st_size, form, packed, names=names, num_rows=num_rows)
    return [row for table in made for row in table.to_pylist()]


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("cc12m.tsv", f'{URL}\ta "quoted\tword\n', [{"url": URL, "caption": 'a "quoted', "column_3": "word"}]),
        ("a.tsv", f"a cat\t{URL}\n", [{"caption": "a cat", "url": URL}]),
        ("a.tsv", f"url\ttext\n{URL}\ta\rb\n", [{"url": URL, "text": "a\rb"}]),
        ("a.csv", f'url,caption\n{URL},"two\nlines, one cell"\n', [{"url": URL, "caption": "two\nlines, one cell"}]),
        ("a.csv", f"{URL}\n{URL}\n", [{"url": URL}, {"url": URL}]),
        ("a.txt", f"{URL}\n\n  {URL} \n", [{"url": URL}, {"url": URL}]),
        ("a.jsonl", f'{{"url": "{URL}", "n": 1}}\n\n{{"n": 2}}\n', [{"url": URL, "n": "1"}, {"url": None, "n": "2"}]),
        ("a.json", json.dumps([{"url": URL, "TEXT": "x"}]), [{"url": URL, "TEXT": "x"}]),
        ("a.csv", "\ufeffurl,text\n" + f"{URL},é\n", [{"url": URL, "text": "é"}]),
        ("a.tsv", "", []),
    ],
)  # fmt: skip
def test_rows_are_read_in_every_form(tmp_path: Path, name: str, text: str, expected: list[dict[str, Any]]) -> None:
    path = tmp_path / name
    path.write_bytes(text.encode())
    names = ("url", "caption") if name.startswith("cc12m") else ()
    assert rows_of(path, names) == expected


def test_lists_are_unpacked_while_they_are_read(tmp_path: Path) -> None:
    text = f"url\n{URL}\n".encode()
    for name, data in {"a.csv.gz": gzip.compress(text), "b.csv.bz2": bz2.compress(text)}.items():
        (tmp_path / name).write_bytes(data)
        assert rows_of(tmp_path / name) == [{"url": URL}]


def test_row_groups_of_parquet_are_cut_anew_and_keep_their_types(tmp_path: Path) -> None:
    table = pa.table({"URL": [f"{URL}?{n}" for n in range(10)], "similarity": [n / 10 for n in range(10)]})
    pq.write_table(table, tmp_path / "a.parquet", row_group_size=3)
    cut = list(tables(str(tmp_path / "a.parquet"), None, "parquet", "", names=(), num_rows=4))
    assert [one.num_rows for one in cut] == [4, 4, 2]
    assert pa.concat_tables(cut).to_pydict() == table.to_pydict()


def test_a_file_that_is_no_list_says_which_it_is(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text("{")
    with pytest.raises(SourceError, match=r"a\.jsonl"):
        rows_of(tmp_path / "a.jsonl")


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["SAMPLE_ID", "URL", "TEXT", "HEIGHT", "WIDTH", "LICENSE", "NSFW", "similarity"], ("URL", ("TEXT",), "")),
        (["uid", "url", "text", "sha256", "face_bboxes", "clip_b32_similarity_score"], ("url", ("text",), "sha256")),
        (["id", "url", "text", "width", "height", "image_phash"], ("url", ("text",), "")),
        (["url", "caption"], ("url", ("caption",), "")),
    ],
)
def test_columns_of_known_lists_are_recognised(names: list[str], expected: tuple[str, tuple[str, ...], str]) -> None:
    uri, captions, sha256 = expected
    found = columns_of(names, SourceSpec(url="x"), FetchSettings())
    assert found == Columns(uri=uri, captions=captions, sha256=sha256)


def test_a_list_without_addresses_says_which_columns_it_has() -> None:
    with pytest.raises(SourceError, match="a, b"):
        columns_of(["a", "b"], SourceSpec(url="x"), FetchSettings())


def test_a_source_is_fetched_where_it_says_so_or_is_of_a_kind_that_is_a_list() -> None:
    def of(**given: Any) -> FetchSettings | None:
        return fetching(SourceSpec.model_validate({"url": "x", **given}))

    assert of(kind="cc12m") == of(fetch=True) == of(kind="parquet", fetch={}) == FetchSettings()
    assert of(kind="parquet") is of() is of(fetch=False) is None
    assert of(kind="laion", fetch={"per_host": 2}) == FetchSettings(per_host=2)
    layout = layout_of(SourceSpec(url="x", kind="cc3m"))
    assert layout is not None
    assert layout.names[:2] == ("caption", "url")
