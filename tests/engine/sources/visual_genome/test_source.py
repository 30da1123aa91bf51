"""Visual Genome: descriptions of regions and named objects, of its first release and of its last."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest

from fld_engine.engine.sources.item import SourceSpec
from fld_engine.engine.sources.json_arrays import elements
from fld_engine.engine.sources.open import open_source
from fld_engine.engine.stages.ingest.stage import Ingest
from fld_engine.schemas.errors import SourceError
from tests.engine.sources.layouts import objects, phrases, picture_at, scanned, write_all
from tests.known_faults.in_process import new_root, plain_config

CLOCK = {"object_id": 11, "x": 10, "y": 20, "w": 30, "h": 40, "merged_object_ids": [], "synsets": ["clock.n.01"]}
MAN = {"object_id": 12, "x": 60, "y": 20, "w": 50, "h": 90, "synsets": []}
V14: dict[str, Any] = {
    "image_data.json": [
        {
            "image_id": 1, "url": "https://cs.stanford.edu/people/rak248/VG_100K_2/1.jpg", "width": 160, "height": 120,
            "coco_id": None, "flickr_id": None,
        },
        {"image_id": 2, "url": "https://cs.stanford.edu/people/rak248/VG_100K/2.jpg", "width": 160, "height": 120},
    ],
    "region_descriptions.json": [
        {
            "id": 1,
            "regions": [
                {
                    "region_id": 1382, "image_id": 1, "x": 10, "y": 20, "width": 30, "height": 40,
                    "phrase": "the clock é is green in colour ",
                },
                {"region_id": 1383, "image_id": 1, "x": 150, "y": -10, "width": 30, "height": 40, "phrase": "a corner"},
                {"region_id": 1384, "image_id": 1, "x": 150, "y": 10, "width": 0, "height": 40, "phrase": "a line"},
                {"region_id": 1385, "image_id": 1, "x": 1, "y": 1, "width": 9, "height": 9, "phrase": " "},
            ],
        },
        {"id": 99, "regions": []},
    ],
    "objects.json": [
        {
            "image_id": 1, "image_url": "https://cs.stanford.edu/people/rak248/VG_100K_2/1.jpg",
            "objects": [{**CLOCK, "names": ["clock", "clock face"]}, {**MAN, "names": ["man"]}],
        },
        {"image_id": 2, "objects": [{**MAN, "object_id": 13, "names": []}]},
    ],
    "relationships.json": [
        {
            "image_id": 1,
            "relationships": [
                {
                    "relationship_id": 15927, "predicate": "looks_at", "synsets": ["look.v.01"],
                    "subject": {**MAN, "name": "man"}, "object": {**CLOCK, "name": "clock"},
                },
            ],
        }
    ],
    "attributes.json": [
        {"image_id": 1, "attributes": [{**CLOCK, "names": ["clock"], "attributes": ["green", "tall"]}]}
    ],
    "question_answers.json": [],
}  # fmt: skip
V10: dict[str, Any] = {
    "image_data.json": [{"id": 1, "url": "https://x/VG_100K_2/1.jpg", "width": 160, "height": 120}],
    "region_descriptions.json": [
        {
            "id": 1,
            "regions": [{"id": 1, "image": 1, "x": 10, "y": 20, "width": 30, "height": 40, "phrase": "a clock"}],
        }
    ],
    "objects.json": [
        {"id": 1, "objects": [{"id": 11, "x": 10, "y": 20, "w": 30, "h": 40, "names": ["clock"]},
                              {"id": 12, "x": 60, "y": 20, "w": 50, "h": 90, "names": ["man"]}]}
    ],
    "relationships.json": [
        {"id": 1, "relationships": [{"id": 5, "predicate": "looks at", "subject_id": 12, "object_id": 11},
                                    {"id": 6, "predicate": "has", "subject_id": 12, "object_id": 77}]}
    ],
}  # fmt: skip
CLOCK_BOX, MAN_BOX = (10.0, 20.0, 40.0, 60.0), (60.0, 20.0, 110.0, 110.0)


def made(folder: Path, files: dict[str, Any]) -> Path:
    picture_at(folder, "VG_100K_2/1.jpg", "VG_100K/2.jpg")
    return write_all(folder, {name: json.dumps(tree, ensure_ascii=False) for name, tree in files.items()})


def test_the_last_release_as_it_is_published(tmp_path: Path) -> None:
    found = scanned(made(tmp_path, V14))
    assert found.kind == "visual_genome"
    assert list(found.items) == ["VG_100K/2.jpg", "VG_100K_2/1.jpg"]
    assert objects(found.items["VG_100K_2/1.jpg"]) == [
        ([("phrase", "clock"), ("phrase", "clock face")], CLOCK_BOX),
        ([("phrase", "man")], MAN_BOX),
        ([("brief", "the clock é is green in colour")], CLOCK_BOX),
        ([("brief", "a corner")], (150.0, 0.0, 160.0, 30.0)),
    ]
    assert not found.items["VG_100K/2.jpg"].annotations.regions
    assert sorted(found.rejected) == [
        ("annotation/objects/13", "no_class"),
        ("annotation/regions/1384", "box_empty"),
        ("annotation/regions/1385", "bad_text"),
        ("annotations of 99 in region_descriptions.json", "dangling_id"),
    ]
    assert found.passed_over == {
        ("attribute", ""): 2, ("relationship", ""): 1, ("not_kept", "objects: synsets"): 1,
        ("not_kept", "relationships: synsets"): 1,
    }  # fmt: skip
    assert found.files == {"not_labelled": 1}, "the questions"


def test_relationships_as_texts_on_both_boxes(tmp_path: Path) -> None:
    params = {"relationships": "texts"}
    found = scanned(made(tmp_path, V14), kind="visual_genome", params=params)
    expected = [("man looks at clock", [("man", [MAN_BOX]), ("clock", [CLOCK_BOX])])]
    assert phrases(found.items["VG_100K_2/1.jpg"]) == expected
    assert ("relationship", "") not in found.passed_over


def test_the_first_release_has_other_keys(tmp_path: Path) -> None:
    found = scanned(made(tmp_path, V10), kind="visual_genome", params={"relationships": "texts"})
    one = found.items["VG_100K_2/1.jpg"]
    assert [texts for texts, _ in objects(one)] == [[("phrase", "clock")], [("phrase", "man")], [("brief", "a clock")]]
    assert phrases(one) == [("man looks at clock", [("man", [MAN_BOX]), ("clock", [CLOCK_BOX])])]
    assert found.rejected == [("annotation/relationships/6", "dangling_id")]
    assert (len(found.items), found.files) == (1, {"not_labelled": 1}), "an image that no record is of"


def test_places_of_another_size_are_not_put_in_the_wrong_place(tmp_path: Path) -> None:
    images = [{**V14["image_data.json"][0], "width": 800}]
    found = scanned(made(tmp_path, {**V14, "image_data.json": images}))
    assert {reason for place, reason in found.rejected if "annotation/" in place} == {"frame_mismatch"}
    assert not found.items["VG_100K_2/1.jpg"].annotations.regions


def test_a_file_that_breaks_off_is_named(tmp_path: Path) -> None:
    made(tmp_path, V14)
    whole = (tmp_path / "objects.json").read_text()
    (tmp_path / "objects.json").write_text(whole[:-40])
    with pytest.raises(SourceError, match=r"objects.json cannot be read: the array breaks off"):
        open_source(SourceSpec(url=str(tmp_path))).chunks()


@pytest.mark.parametrize("block", [1, 7, 4096])
def test_elements_of_an_array_stand_where_they_are_said_to(block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fld_engine.engine.sources.json_arrays._BLOCK", block)
    written = '\ufeff [ {"a": "é]}\\"", "b": [1, {}]},\n\t{"a": "ü"} , {} ]'.encode()
    found = [(json.loads(written[at : at + length]), value) for at, length, value in elements(io.BytesIO(written))]
    assert [one for one, _ in found] == [{"a": 'é]}"', "b": [1, {}]}, {"a": "ü"}, {}]
    assert found[0][1]["b"] == [1, {}]


@pytest.mark.parametrize("written", ['{"a": 1}', "[{}", '[{"a": }]', ""])
def test_what_is_no_array_is_refused(written: str) -> None:
    with pytest.raises(ValueError, match="array"):
        list(elements(io.BytesIO(written.encode())))


def test_a_whole_ingest_keeps_what_was_said(tmp_path: Path) -> None:
    made(tmp_path, V14)
    root = new_root(tmp_path.parent / f"{tmp_path.name}-root", plain_config({"url": str(tmp_path), "name": "vg"}))
    root.run(Ingest())
    assert [row["text"] for row in root.rows("region_texts") if row["kind"] == "brief"] == [
        "the clock é is green in colour",
        "a corner",
    ]
    assert (len(root.rows("images")), len(root.rows("regions")), len(root.quarantine())) == (2, 4, 4)
