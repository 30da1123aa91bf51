"""What trainers and publishers lay beside pictures of a folder: who says what of which, and what is counted."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fld_engine.engine.sources.item import PassedOver, Rejected, SourceChunk, SourceItem, SourceSpec
from fld_engine.engine.sources.open import open_source, read_chunk
from tests.known_faults.field import A, B, write
from tests.known_faults.pictures import jpeg


def scan(url: Path | str, **spec: Any) -> tuple[dict[str, SourceItem], Counter[str]]:
    """Images by URI without the source's name, and reasons of everything else; chunks cross a process as JSON."""
    over: list[PassedOver] = []
    items: dict[str, SourceItem] = {}
    reasons: Counter[str] = Counter()
    for chunk in open_source(SourceSpec(url=str(url), name="s", **spec)).chunks():
        for found in read_chunk(SourceChunk.model_validate_json(chunk.model_dump_json()), passed_over=over.append):
            if isinstance(found, Rejected):
                reasons[found.reason] += 1
            else:
                items[found[0].uri.removeprefix("s").lstrip("/")] = found[0]
    for one in over:
        reasons[one.reason] += one.number
    return items, reasons


def captions(item: SourceItem) -> list[str]:
    return [text.text for text in item.annotations.texts]


def objects(item: SourceItem) -> list[tuple[str, tuple[float, ...]]]:
    return [(one.texts[0].text if one.texts else "", one.box_xyxy) for one in item.annotations.regions]


def labels(item: SourceItem) -> list[tuple[str, str]]:
    return [(one.label, one.source.annotator) for one in item.annotations.labels if one.source]


TEXTS: dict[str, tuple[str, bytes, list[str], dict[str, int]]] = {
    "kohya's .caption": ("1.caption", b"a cup, a pot\n", ["a cup, a pot"], {}),
    "upper case": ("1.TXT", b"a cup", ["a cup"], {}),
    "behind the picture's own extension": ("1.jpg.txt", b"a cup", ["a cup"], {}),
    "UTF-8 with a mark": ("1.txt", "\ufeffa cüp".encode(), ["a cüp"], {}),
    "UTF-16 of Windows": ("1.txt", "a cüp\r\n".encode("utf-16"), ["a cüp"], {}),
    "line ends of Windows": ("1.txt", b"a cup\r\non a table\r\n", ["a cup\non a table"], {}),
    "latin-1, which nothing tells from other encodings": ("1.txt", "a cüp".encode("latin-1"), [], {"bad_text": 1}),
    "boxes of YOLO": ("1.txt", b"0 0.5 0.5 0.25 0.25\n", [], {"form_not_read": 1}),
    "an empty file": ("1.txt", b" \n", [], {"empty": 1}),
    "a json with a list": ("1.json", b'{"captions": ["a cup", "a pot", 7]}', ["a cup", "a pot"], {"form_not_read": 1}),
    "a json of img2dataset": (
        "1.json",
        b'{"caption": "a cup", "url": "x", "status": "success", "sha256": "0"}',
        ["a cup"],
        {"not_kept": 3},
    ),
    "a json that is a list of texts": ("1.json", b'["a cup", "a pot"]', ["a cup", "a pot"], {}),
    "a json that is a number": ("1.json", b"7", [], {"form_not_read": 1}),
    "a json with NaN": ("1.json", b'{"caption": NaN}', [], {"form_not_read": 1}),
    "a damaged json": ("1.json", b'{"caption": ', [], {"bad_text": 1}),
}


@pytest.mark.parametrize(("name", "data", "right", "counted"), TEXTS.values(), ids=TEXTS)
def test_a_file_of_the_picture_s_name_is_its_caption_or_is_counted(
    tmp_path: Path, name: str, data: bytes, right: list[str], counted: dict[str, int]
) -> None:
    write(tmp_path / "1.jpg", jpeg(1))
    write(tmp_path / "2.jpg", jpeg(2))
    write(tmp_path / name, data)
    items, reasons = scan(tmp_path)
    assert captions(items["1.jpg"]) == right
    assert captions(items["2.jpg"]) == []
    assert reasons == counted


def test_rows_of_metadata_are_of_the_pictures_below_their_own_folder(tmp_path: Path) -> None:
    """Hugging Face's splits: a file of metadata each, names relative to it, and names as Windows writes them."""
    for name in ("train/a/1.jpg", "train/2.jpg", "test/1.jpg", "test/Ünder.JPG"):
        write(tmp_path / name, jpeg(sum(map(ord, name))))
    rows: list[Any] = [
        {"file_name": "a\\1.jpg", "text": "one", "objects": {"bbox": [A, B], "categories": [1, 0], "id": [1, 2]}},
        {"file_name": "2.jpg", "text": None, "label": 1},
        {"file_name": "gone.jpg", "text": "lost"},
        {"text": "of nothing"},
        ["no object"],
    ]
    write(tmp_path / "train/metadata.jsonl", "\n".join([*map(json.dumps, rows), "{not json", ""]))
    write(
        tmp_path / "test/metadata.csv", '\ufefffile_name,caption\r\n1.jpg,"of test, not train"\r\nünder.jpg,under\r\n'
    )
    write(
        tmp_path / "README.md",
        "---\ndataset_info:\n  features:\n  - name: label\n    dtype:\n      class_label:\n        names:\n"
        "          '0': cat\n          '1': dog\n  - name: objects\n    struct:\n    - name: categories\n"
        "      sequence:\n"
        "        class_label:\n          names: {'0': cup, '1': pot}\n---\nwords\n",
    )
    items, reasons = scan(tmp_path)
    assert {name: captions(item) for name, item in items.items()} == {
        "train/a/1.jpg": ["one"],
        "train/2.jpg": [],
        "test/1.jpg": ["of test, not train"],
        "test/Ünder.JPG": ["under"],
    }
    assert objects(items["train/a/1.jpg"]) == [("pot", (20, 30, 70, 70)), ("cup", (90, 20, 130, 70))]
    assert labels(items["train/2.jpg"]) == [("dog", "human")], "a folder called train is no class"
    assert reasons == {"missing": 1, "image_missing": 1, "bad_record": 2, "bad_line": 1}


def test_metadata_may_be_parquet_with_names_of_classes(tmp_path: Path) -> None:
    write(tmp_path / "1.jpg", jpeg(1))
    table = pa.table({"file_name": ["1.jpg"], "caption": [["a cup", "a pot"]], "label": [0]})
    features = {"info": {"features": {"label": {"names": ["kitchen"], "_type": "ClassLabel"}}}}
    pq.write_table(table.replace_schema_metadata({"huggingface": json.dumps(features)}), tmp_path / "metadata.parquet")
    items, reasons = scan(tmp_path)
    assert (captions(items["1.jpg"]), labels(items["1.jpg"])) == (["a cup", "a pot"], [("kitchen", "human")])
    assert not reasons


def test_boxes_that_are_no_boxes_of_the_picture_are_refused_with_their_form(tmp_path: Path) -> None:
    """Read as if they were, corners and fractions teach places where nothing is, and a model's boxes are a person's."""
    write(tmp_path / "1.jpg", jpeg(1))
    found = [
        {"bbox": [0.1, 0.2, 0.5, 0.5], "category": "cup"},
        {"bbox": [90, 60, 150, 110], "category": "cup"},
        {"bbox": {"xmin": 20, "ymin": 30, "xmax": 70, "ymax": 70}, "category": "cup"},
        {"bbox": A, "category": 3},
        {"bbox": A, "category": "cup", "score": 0.5},
        {"bbox": [500, 500, 10, 10], "category": "cup"},
    ]
    write(tmp_path / "1.json", {"objects": found})
    items, reasons = scan(tmp_path)
    assert objects(items["1.jpg"]) == [("cup", (20, 30, 70, 70)), ("", (20, 30, 70, 70))]
    assert reasons == {
        "box_form": 1,
        "box_in_fractions": 1,
        "class_without_name": 1,
        "predictions": 1,
        "box_outside": 1,
    }


def test_captions_can_be_named_by_path(tmp_path: Path) -> None:
    write(tmp_path / "1.jpg", jpeg(1))
    write(tmp_path / "1.json", {"caption": "no", "meta": {"long": "a cup"}, "sentences": [{"raw": "x"}, {"raw": "y"}]})
    items, _ = scan(tmp_path, caption_columns=("meta.long", "sentences.raw"))
    assert captions(items["1.jpg"]) == ["a cup", "x", "y"]


def test_a_changed_text_is_seen_and_pictures_without_any_keep_their_chunk(tmp_path: Path) -> None:
    """A chunk is read again where its files, or their stamp, are others: else a corrected caption never comes in."""
    write(tmp_path / "1.jpg", jpeg(1))

    def chunk() -> SourceChunk:
        (one,) = open_source(SourceSpec(url=str(tmp_path))).chunks()
        return one

    assert chunk().files == (("1.jpg", len(jpeg(1))),)
    write(tmp_path / "1.txt", "a cup")
    before = chunk()
    write(tmp_path / "1.txt", "a pot, corrected")
    assert chunk().files != before.files
    assert chunk().stamp != before.stamp


def test_img2dataset_s_folders_are_no_classes_and_its_failures_are_counted(tmp_path: Path) -> None:
    """Output format `files`: a picture, its text and its record, in numbered folders with a table of all addresses."""
    for i in range(2):
        write(tmp_path / f"00000/{i:09d}.jpg", jpeg(i))
        write(tmp_path / f"00000/{i:09d}.txt", f"box {i}")
        write(tmp_path / f"00000/{i:09d}.json", {"caption": f"box {i}", "key": f"{i:09d}"})
    columns = {"url": list("abc"), "status": ["success", "success", "failed_to_download"]}
    pq.write_table(pa.table(columns), tmp_path / "00000.parquet")
    write(tmp_path / "00000_stats.json", {"count": 3})
    items, reasons = scan(tmp_path)
    assert [captions(item) for item in items.values()] == [["box 0"], ["box 1"]]
    assert [labels(item) for item in items.values()] == [[], []]
    assert reasons == {"failed_to_download": 1, "repeated": 2, "not_kept": 2}
