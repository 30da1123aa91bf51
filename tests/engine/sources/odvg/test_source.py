"""ODVG lines of Open-GroundingDINO and MM-Grounding-DINO, through the reader and a whole ingest."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from fld_engine.schemas.errors import SourceError
from tests.engine.sources.places import authors_of, boxes_of, read_all
from tests.known_faults.field import ingested, said_of, write, write_pictures

AT, BT = [20, 30, 70, 70], [90.0, 20.0, 130.0, 70.0]


def line(name: str, **more: Any) -> str:
    return json.dumps({"filename": name, "height": 120, "width": 160, **more}) + "\n"


def caption(text: str, *regions: dict[str, Any]) -> dict[str, Any]:
    return {"caption": text, "regions": list(regions)}


def test_boxes_with_classes_and_captions_with_phrases(tmp_path: Path) -> None:
    write_pictures(tmp_path / "images", "a.jpg", "b.jpg")
    instances = [{"bbox": AT, "label": 0, "category": "cup"}, {"bbox": BT, "label": 1}]
    phrases = caption(
        "A cup near a pot and a pot.",
        {"bbox": BT, "phrase": "a pot"},
        {"bbox": [BT, AT], "phrase": "a pot"},
        {"bbox": AT, "phrase": "A cup", "tokens_positive": [[0, 5]]},
    )
    lines = line("a.jpg", detection={"instances": instances}) + line("b.jpg", grounding=phrases)
    write(tmp_path / "train.jsonl", lines)
    write(tmp_path / "label_map.json", {"0": "cup", "1": "pot"})
    params = {"label_map": f"{tmp_path}/label_map.json"}
    root = ingested(tmp_path, {"url": "train.jsonl", "images_url": "images", "kind": "odvg", "params": params})
    assert boxes_of(root) == [("a.jpg", "cup", tuple(AT)), ("a.jpg", "pot", tuple(BT))]
    said = said_of(root)
    assert said.texts == ["A cup near a pot and a pot."]
    assert said.phrases == [("A cup", tuple(AT)), ("a pot", tuple(AT)), ("a pot", tuple(BT)), ("a pot", tuple(BT))]
    assert sorted((row["start"], row["end"]) for row in root.rows("phrases")) == [(0, 5), (11, 16), (21, 26)]
    assert authors_of(root, "regions", "texts", "phrases") == {"human"}
    assert said.rejected == []


def test_a_file_of_lines_needs_no_kind(tmp_path: Path) -> None:
    """MM-Grounding-DINO's: one box or a list of them a phrase, and where it stands in the caption."""
    write_pictures(tmp_path / "images", "1.jpg")
    regions = [
        {"bbox": [AT], "phrase": "a cup", "tokens_positive": [[0, 5]]},
        {"bbox": BT, "phrase": "a pot", "tokens_positive": [[10, 15]]},
    ]
    write(tmp_path / "labels.jsonl", line("1.jpg", grounding=caption("a cup and a pot", *regions)))
    said = said_of(ingested(tmp_path, {"url": "labels.jsonl", "images_url": "images"}))
    assert said.texts == ["a cup and a pot"]
    assert said.phrases == [("a cup", tuple(AT)), ("a pot", tuple(BT))]


@pytest.mark.parametrize(
    ("what", "reason"),
    [
        ({"detection": {"instances": [{"bbox": AT, "label": 9}]}}, "dangling_id"),
        ({"detection": {"instances": [{"bbox": [0.1, 0.2, 0.3, 0.4], "category": "cup"}]}}, "box_in_fractions"),
        ({"detection": {"instances": [{"bbox": [1, 2, 3], "category": "cup"}]}}, "box_malformed"),
        ({"grounding": caption("a cup", {"bbox": AT, "phrase": "a pot"})}, "bad_span"),
        ({"grounding": caption("a cup", {"bbox": AT, "phrase": "a cup", "tokens_positive": [[0, 99]]})}, "bad_span"),
        ({"detection": {"instances": [{"bbox": AT, "category": "cup"}]}, "width": 640}, "frame_mismatch"),
        ({"grounding": caption("a cup", {"bbox": AT, "phrase": "a cup"}), "width": 640}, "frame_mismatch"),
    ],
)
def test_what_cannot_be_used_is_refused_by_name(tmp_path: Path, what: dict[str, Any], reason: str) -> None:
    write_pictures(tmp_path, "a.jpg")
    write(tmp_path / "a.jsonl", line("a.jpg", **what))
    (item,), refused, _ = read_all(tmp_path / "a.jsonl")
    assert [one.reason for one in refused] == [reason]
    assert item.annotations.regions == ()


def test_lines_that_are_none_and_keys_that_are_not_read_are_told(tmp_path: Path) -> None:
    write_pictures(tmp_path, "a.jpg")
    instances = {"instances": [{"bbox": AT, "category": "cup"}]}
    write(tmp_path / "a.jsonl", "{broken\n" + line("a.jpg", detection=instances, licence="x"))
    (item,), (refused,), (passed,) = read_all(tmp_path / "a.jsonl")
    assert len(item.annotations.regions) == 1
    assert (refused.reason, passed.reason, passed.detail) == ("bad_record", "not_kept", "licence")


def test_scores_are_a_models(tmp_path: Path) -> None:
    write_pictures(tmp_path, "a.jpg")
    instances = {"instances": [{"bbox": AT, "category": "cup", "score": 0.5}]}
    write(tmp_path / "a.jsonl", line("a.jpg", detection=instances))
    with pytest.raises(SourceError, match="set made_by on the source"):
        read_all(tmp_path / "a.jsonl")
    (item,), _, _ = read_all(tmp_path / "a.jsonl", kind="odvg", made_by="gdino")
    (region,) = item.annotations.regions
    assert (region.score, region.source and region.source.annotator) == (0.5, "gdino")


def test_lines_of_something_else_are_refused_with_what_was_expected(tmp_path: Path) -> None:
    write_pictures(tmp_path, "a.jpg")
    write(tmp_path / "a.jsonl", '{"text": "a cup"}\n')
    with pytest.raises(SourceError, match="no line of ODVG"):
        read_all(tmp_path / "a.jsonl")
