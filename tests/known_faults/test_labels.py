"""One thing in a picture is one label: whoever says it, however often, under whatever name."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from fld_engine.annotators.composed.fake import fake_regions
from fld_engine.engine.data.rows import RowWriter, concat
from fld_engine.engine.plan.config import RunConfig
from fld_engine.filters.region import RegionNms
from fld_engine.schemas.annotations import Annotations, Region, RegionText, Source
from fld_engine.schemas.reader import open_export
from fld_engine.schemas.target_language import parse_answer
from tests.roots import fake_config, run_pipeline, write_photographs

IMAGE_WH = (96, 72)
Box = tuple[float, float, float, float]

# ------------------------------------------------------------------------------------------ a person and a machine

AT = (10.0, 10.0, 100.0, 100.0)
"""Where the person's box is."""


def of_human_and_machine(human: str, machine: str, machine_xyxy: Box = AT) -> pa.Table:
    """The tables of an image with a person's region and a detector's."""
    writer = RowWriter()
    for annotator, label, box, score in (("human", human, AT, 1.0), ("detector", machine, machine_xyxy, 0.9)):
        text = RegionText(kind="phrase", text=label, score=score)
        region = Region(kind="object", box_xyxy=box, score=score, texts=(text,))
        writer.add("image", Annotations(regions=(region,)), Source(annotator=annotator, model="m", revision=""))
    return concat([writer.tables()])


@pytest.mark.parametrize(
    ("human", "machine"),
    [
        ("motorbike", "motorcycle"),  # Objects365, Pascal VOC; COCO
        ("sofa", "couch"),  # Pascal VOC; COCO
        ("aeroplane", "airplane"),
        ("television", "tv"),
        ("Person", "person"),  # Open Images; COCO
        ("poodle", "dog"),  # ImageNet; COCO: what a person said more exactly
        ("man", "person"),  # Open Images, Visual Genome; COCO
    ],
)
def test_a_machine_s_box_of_what_a_person_labelled_is_dropped(human: str, machine: str) -> None:
    """Right: of two boxes at one place whose names mean the same thing, or a kind of it, the person's is kept alone.

    Vocabularies of people and of detectors differ in nearly every dataset. Kept twice, one thing is two in `<OD>`: a
    student learns to say everything twice, and is marked down for it by gold that says it once.
    """
    assert RegionNms().decide(of_human_and_machine(human, machine)).keep.tolist() == [True, False]


@pytest.mark.parametrize(
    ("human", "machine", "machine_xyxy"),
    [
        ("motorbike", "motorcycle", (60.0, 10.0, 150.0, 100.0)),  # another one beside it: IoU 0.29
        ("person", "motorcycle", AT),  # two things at one place
        ("dining table", "person", (10.0, 10.0, 100.0, 95.0)),
    ],
)
def test_a_machine_s_box_of_something_else_stays(human: str, machine: str, machine_xyxy: Box) -> None:
    """What mending the fault above must not lose: what the person did not label."""
    assert RegionNms().decide(of_human_and_machine(human, machine, machine_xyxy)).keep.tolist() == [True, True]


PEOPLE_SAY = {
    "motorcycle": "motorbike",
    "airplane": "aeroplane",
    "couch": "sofa",
    "tv": "television",
    "cell phone": "mobile phone",
    "donut": "doughnut",
}
"""COCO's name, which the fake detector uses -> another that means the same."""


def test_detection_says_a_thing_once_that_a_person_and_a_detector_saw(tmp_path: Path) -> None:
    """Right: the one thing in the picture is in `<OD>` once, under the name that the person gave it."""
    found = [
        (path, region)
        for seed in range(6)
        for path, region in detections(tmp_path / "photos", seed)
        if region.texts[0].text in PEOPLE_SAY and region.score > 0.5
    ]
    path, region = found[0]
    for other in path.parent.glob("*.jpg"):
        if other != path:
            other.unlink()
    name = PEOPLE_SAY[region.texts[0].text]
    labels = write_coco(path.parent, "labels.json", name, region.box_xyxy)
    one = {"use": "fake", "params": {"regions": 1}}
    config = fake_config(
        path.parent,
        sources=[coco_source(labels)],
        annotators={"first": one, "second": one},
        export={"splits": {"train": 1.0}},
    )
    run_pipeline(tmp_path / "root", config)
    assert detected(tmp_path / "root") == [name]


def detections(folder: Path, seed: int) -> list[tuple[Path, Region]]:
    """Photographs, and the one region that the fake detector sees in each."""
    ids = write_photographs(folder, 20, seed=seed)
    paths = sorted(folder.glob(f"photo-{seed}-*.jpg"))
    return [(path, fake_regions(id_, IMAGE_WH, 1)[0]) for path, id_ in zip(paths, ids, strict=True)]


# ------------------------------------------------------------------------------------------- two people, or one twice


def write_coco(folder: Path, name: str, label: str, box_xyxy: Box) -> Path:
    """A COCO json that says one box of every photograph of a folder."""
    x1, y1, x2, y2 = box_xyxy
    width, height = IMAGE_WH
    names = sorted(path.name for path in folder.glob("*.jpg"))
    tree: dict[str, Any] = {
        "images": [{"id": i, "file_name": file, "width": width, "height": height} for i, file in enumerate(names)],
        "categories": [{"id": 1, "name": label}],
        "annotations": [
            {"id": i, "image_id": i, "category_id": 1, "bbox": [x1, y1, x2 - x1, y2 - y1]} for i in range(len(names))
        ],
    }
    (folder / name).write_text(json.dumps(tree))
    return folder / name


def coco_source(labels: Path) -> dict[str, str]:
    return {"url": str(labels), "kind": "coco", "name": labels.stem}


def people_alone(folder: Path, *labels: Path) -> RunConfig:
    """A config without annotators."""
    config = fake_config(
        folder, sources=[coco_source(path) for path in labels], filters={}, export={"splits": {"train": 1.0}}
    )
    return config.model_copy(update={"annotators": {}})


def detected(root: Path) -> list[str]:
    """The labels that `<OD>` says of the one sample of an export, in order, as often as it says them."""
    ((sample, _),) = open_export(str(root / "export"), "train").epoch(epoch=0, seed=0)
    (target,) = (entry["target"] for entry in sample.record["targets"] if entry["task"] == "<OD>")
    return [instance.label for instance in parse_answer("<OD>", target, IMAGE_WH)]


def test_a_person_in_several_files_of_labels_is_one(tmp_path: Path) -> None:
    """Right: one person in the picture is one region, also where one of three files was rounded by another tool.

    COCO itself ships each person's box in two files, instances and keypoints. Who gives both as sources teaches that
    every person is two.
    """
    write_photographs(tmp_path / "photos", 1)
    boxes: dict[str, Box] = {
        "instances.json": (8, 8, 48, 38),
        "person_keypoints.json": (8, 8, 48, 38),
        "exported.json": (8.4, 7.8, 48, 38),
    }
    files = [write_coco(tmp_path / "photos", name, "person", box) for name, box in boxes.items()]
    run_pipeline(tmp_path / "root", people_alone(tmp_path, *files))
    assert detected(tmp_path / "root") == ["person"]


def test_a_source_of_labels_that_was_moved_says_nothing_twice(tmp_path: Path) -> None:
    """Right: the same file under another name adds no region. Today renaming a folder doubles all human labels."""
    write_photographs(tmp_path / "photos", 1)
    labels = write_coco(tmp_path / "photos", "labels.json", "person", (8, 8, 48, 38))
    run_pipeline(tmp_path / "root", people_alone(tmp_path, labels))
    moved = labels.rename(tmp_path / "photos/labels-v1.json")
    run_pipeline(tmp_path / "root", people_alone(tmp_path, moved))
    assert detected(tmp_path / "root") == ["person"]


def test_two_people_in_two_files_of_labels_are_two(tmp_path: Path) -> None:
    """What mending the fault above must not lose: things of one class beside each other."""
    write_photographs(tmp_path / "photos", 1)
    first = write_coco(tmp_path / "photos", "left.json", "person", (8, 8, 40, 38))
    second = write_coco(tmp_path / "photos", "right.json", "person", (40, 8, 72, 38))
    run_pipeline(tmp_path / "root", people_alone(tmp_path, first, second))
    assert detected(tmp_path / "root") == ["person", "person"]
