"""Classes of whole images, from what a source tells to what is given out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from fld_engine.engine.data.journal import read_journal, read_partitions, totals
from fld_engine.engine.data.partition import load_view
from fld_engine.engine.data.records import PartitionOutputs
from fld_engine.engine.inspect.explain import explain
from fld_engine.engine.sources import pictures
from fld_engine.engine.stages.coco.stage import CocoExporter
from fld_engine.engine.stages.coverage.report import CoverageReport
from fld_engine.engine.stages.export.verify import verify
from fld_engine.engine.stages.ingest.stage import Ingest
from fld_engine.engine.stages.removal.stage import Remove
from fld_engine.schemas.annotations import Label
from fld_engine.schemas.sample import SAMPLE
from tests import labelled_lines
from tests.known_faults.in_process import Root, new_root, plain_config
from tests.known_faults.pictures import jpeg
from tests.labelled_lines import write_lines

Row = dict[str, Any]


@pytest.fixture(autouse=True)
def source_of_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(labelled_lines.install(tmp_path / "site"))


def write(path: Path, number: int) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(jpeg(number))
    return path


def labelled(tmp_path: Path) -> Root:
    """Four pictures: one in a folder with a class, and lines by people and a machine about it and two others.

    Two people say the same of picture 1, in other letters; picture 2 is said to be both a dog and none.
    """
    write(tmp_path / "folder/n01440764/1.jpg", 1)
    write(tmp_path / "folder/4.jpg", 4)
    for number in (1, 2, 3):
        write(tmp_path / f"lines/{number}.jpg", number)
    lines = write_lines(
        tmp_path / "lines",
        {"file": "1.jpg", "by": "seer", "labels": {"fish": 0.25, "water": 0.75}},
        {"file": "1.jpg", "by": "human", "labels": {"Traffic Light": 1}, "absences": {"dog": 1}},
        {"file": "1.jpg", "by": "human", "labels": {"traffic_light": 1}},
        {"file": "2.jpg", "by": "human", "labels": {"Dog": 1}, "absences": {"dog": 1, "cat": 1}},
    )
    folder = {"url": str(tmp_path / "folder"), "name": "folder", "kind": "folder"}
    return new_root(tmp_path / "root", plain_config(folder, lines))


def said(rows: list[Row]) -> list[tuple[str, float, str]]:
    return [(row["label"], row["score"], row["source"]["annotator"]) for row in rows]


def test_what_sources_tell_is_in_every_sample_and_counted_by_whose_word_it_is(tmp_path: Path) -> None:
    root = labelled(tmp_path)
    root.run_all()
    samples = {sample["image"]["uri"]: sample for sample in root.samples()}
    first, second = samples["folder/n01440764/1.jpg"], samples["lines/2.jpg"]
    assert said(first["labels"]) == [
        ("Traffic Light", 1.0, "human"),
        ("tench", 1.0, "class_folder"),
        ("water", 0.75, "seer"),
        ("fish", 0.25, "seer"),
    ]
    assert said(first["absences"]) == [("dog", 1.0, "human")]
    assert (said(second["labels"]), len(second["absences"])) == ([("Dog", 1.0, "human")], 2)
    for uri in ("folder/4.jpg", "lines/3.jpg"):
        assert samples[uri]["labels"] == samples[uri]["absences"] == [], "readers want the same keys everywhere"
    assert next(row for row in root.rows("images") if row["source_label"])["source_label"] == "n01440764"
    assert not verify(str(tmp_path / "root/export")).problems

    coverage = CoverageReport.model_validate_json(root.store.read_bytes("coverage/report.json"))
    assert [tuple(one.model_dump().values()) for one in coverage.classes] == [
        ("labels", "class_folder", 1, 1, 1),
        ("labels", "human", 2, 2, 2),
        ("labels", "seer", 2, 1, 2),
        ("absences", "human", 2, 2, 3),
    ]
    assert coverage.contradicted_classes == 1
    accounts = totals(read_journal(root.store)).sources
    assert (accounts["folder"].folders.read, accounts["folder"].images.read) == (1, 2)
    assert (accounts["lines"].human.read, accounts["lines"].machine.read) == (6, 2)


def test_a_loader_that_goes_by_the_card_has_classes_as_columns(tmp_path: Path) -> None:
    import datasets

    root = labelled(tmp_path)
    root.run_all()
    loaded = datasets.load_dataset(str(tmp_path / "root/export"), split="train", streaming=True)
    found = {row["json"]["image"]["uri"]: row["json"] for row in loaded}
    assert [one["label"] for one in found["lines/2.jpg"]["absences"]] == ["cat", "dog"]
    assert found["lines/3.jpg"]["labels"] == []
    arrow = pa.ipc.read_schema(pa.BufferReader(root.store.read_bytes("export/schema/sample.arrow")))
    assert arrow.equals(SAMPLE)


def test_whoever_asks_about_an_image_and_coco_json_are_told_the_same(tmp_path: Path) -> None:
    root = labelled(tmp_path)
    root.run_all()
    (second,) = (row for row in root.rows("images") if row["uri"] == "lines/2.jpg")
    told = [(one.said, one.label, one.source) for one in explain(root.plan(), second["id"]).classes]
    assert told == [("labels", "Dog", "human"), ("absences", "dog", "human"), ("absences", "cat", "human")]
    root.run(CocoExporter())
    images = {row["fld_id"]: row for row in json.loads(root.store.read_bytes("coco/instances.json"))["images"]}
    (label,) = images[second["id"]]["fld_labels"]
    assert (label["label"], label["score"], label["fld_annotator"]) == ("Dog", 1.0, "human")
    assert [one["label"] for one in images[second["id"]]["fld_absences"]] == ["dog", "cat"]


def test_a_root_whose_sources_tell_no_class_has_no_keys_for_them(tmp_path: Path) -> None:
    """Its shards are those of the versions before."""
    write(tmp_path / "photos/1.jpg", 1)
    root = new_root(tmp_path / "root", plain_config({"url": str(tmp_path / "photos"), "kind": "folder"}))
    root.run_all()
    (sample,) = root.samples()
    assert not {"labels", "absences"} & sample.keys()
    for file in ("export/README.md", "export/manifest.json", "coverage/report.json"):
        assert b"absences" not in root.store.read_bytes(file)
    assert not root.store.exists("coverage/classes.parquet")


def test_gold_says_its_classes_as_the_reference_alone(tmp_path: Path) -> None:
    write(tmp_path / "lines/1.jpg", 1)
    lines = write_lines(tmp_path / "lines", {"file": "1.jpg", "by": "human", "labels": {"dog": 1}})
    write(tmp_path / "others/2.jpg", 2)
    others = write_lines(tmp_path / "others", {"file": "2.jpg", "by": "human", "labels": {"cat": 1}})
    root = new_root(tmp_path / "root", plain_config({**lines, "gold": True}, others))
    root.run_all()
    assert [said(sample["labels"]) for sample in root.samples()] == [[("cat", 1.0, "human")]]


def test_labels_of_specialists_that_a_round_carries_are_not_those_of_sources(tmp_path: Path) -> None:
    """After a round they stand where a source's stand; exports of rounds of 0.1.0 have none of them."""
    root = labelled(tmp_path)
    root.run(Ingest())
    (record,) = read_partitions(root.journal())
    outputs = PartitionOutputs(verdicts="", outputs={}, producers={}, fingerprint="", specialists=("seer",))
    view = load_view(root.store, record, outputs)
    assert set(view.of_sources["labels"]["annotator"].to_pylist()) == {"human", "class_folder"}
    assert "seer" in view.annotations["labels"]["annotator"].to_pylist()


# ------------------------------------------------------------------------------------------------ later ingests


def folder_root(tmp_path: Path, *pictures: str) -> Root:
    for number, name in enumerate(pictures):
        write(tmp_path / "photos" / name, number)
    source = {"url": str(tmp_path / "photos"), "name": "photos", "kind": "folder"}
    root = new_root(tmp_path / "root", plain_config(source))
    root.run(Ingest())
    return root


def test_an_image_more_in_a_folder_of_an_older_root_changes_nothing_of_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Roots of 0.1.0 have no rows of classes: were they revised, all that reads people's words would be made again."""
    no_classes: tuple[Label, ...] = ()
    with monkeypatch.context() as before:
        before.setattr(pictures, "class_labels", lambda label: no_classes)
        root = folder_root(tmp_path, "cats/1.jpg", "cats/2.jpg")
    (old,) = read_partitions(root.journal())
    write(tmp_path / "photos/cats/3.jpg", 3)
    root.run(Ingest())
    again, new = read_partitions(root.journal())
    assert (again.annotations_fingerprint, again.additions) == (old.annotations_fingerprint, ())
    assert [row["label"] for row in root.rows("labels")] == ["cats"]
    assert "labels" in new.files


def test_an_image_that_moves_to_another_folder_is_of_that_class(tmp_path: Path) -> None:
    root = folder_root(tmp_path, "cats/1.jpg", "cats/2.jpg")
    write(tmp_path / "photos/dogs/2.jpg", 1)
    (tmp_path / "photos/cats/2.jpg").unlink()
    root.run_all()
    labels = {sample["image"]["uri"]: said(sample["labels"]) for sample in root.samples()}
    assert labels == {
        "photos/cats/1.jpg": [("cats", 1.0, "class_folder")],
        "photos/dogs/2.jpg": [("dogs", 1.0, "class_folder")],
    }


def test_a_class_in_two_places_is_said_once(tmp_path: Path) -> None:
    root = folder_root(tmp_path, "cats/1.jpg")
    write(tmp_path / "photos/more/cats/1.jpg", 0)
    root.run_all()
    assert [said(sample["labels"]) for sample in root.samples()] == [[("cats", 1.0, "class_folder")]]


def test_a_removed_image_takes_its_classes_with_it(tmp_path: Path) -> None:
    root = labelled(tmp_path)
    root.run_all()
    (gone,) = (row["id"] for row in root.rows("images") if row["uri"] == "lines/2.jpg")
    assert gone in {row["image_id"] for row in root.rows("absences")}
    root.run(Remove((gone,)))
    for table in ("labels", "absences"):
        assert gone not in {row["image_id"] for row in root.rows(table)}
    root.run_all()
    assert gone not in {sample["id"] for sample in root.samples()}
