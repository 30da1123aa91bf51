"""ImageNet as ILSVRC's folders and as tars of classes, through the reader and a whole ingest."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from fld_engine.engine.sources.imagenet.tars import Window
from fld_engine.engine.sources.item import SourceSpec
from fld_engine.engine.sources.open import open_source, read_bytes, read_chunk
from fld_engine.engine.sources.wordnet import class_name
from tests.engine.sources.places import authors_of, boxes_of, classes_of, read_all
from tests.hostile import tar_bytes
from tests.known_faults.field import ingested, write, write_pictures
from tests.known_faults.pictures import jpeg

TENCH, SHARK = "n01440764", "n01484850"


def xml(name: str, wnid: str) -> str:
    box = "<bndbox><xmin>20</xmin><ymin>30</ymin><xmax>70</xmax><ymax>70</ymax></bndbox>"
    size = "<size><width>160</width><height>120</height><depth>3</depth></size>"
    source = "<source><database>ILSVRC_2012</database></source>"
    return (
        f"<annotation><folder>{wnid}</folder><filename>{name}</filename>{source}{size}"
        f"<object><name>{wnid}</name><difficult>0</difficult>{box}</object></annotation>"
    )


def test_ilsvrcs_folders_with_boxes_and_the_truth_of_validation(tmp_path: Path) -> None:
    train, val, other = (
        f"train/{TENCH}/{TENCH}_1.JPEG",
        "val/ILSVRC2012_val_00000001.JPEG",
        "test/ILSVRC2012_test_1.JPEG",
    )
    base = tmp_path / "ILSVRC"
    write_pictures(base / "Data/CLS-LOC", train, val, other)
    write(base / f"Annotations/CLS-LOC/{train.replace('JPEG', 'xml')}", xml(f"{TENCH}_1", TENCH))
    write(tmp_path / "LOC_val_solution.csv", f"ImageId,PredictionString\nILSVRC2012_val_00000001,{SHARK} 5 6 50 60 \n")
    root = ingested(tmp_path, {"url": "."})
    train, val = f"ILSVRC/Data/CLS-LOC/{train}", f"ILSVRC/Data/CLS-LOC/{val}"
    assert boxes_of(root) == [
        (train, class_name(TENCH), (20, 30, 70, 70)),
        (val, class_name(SHARK), (5, 6, 50, 60)),
    ]
    assert classes_of(root) == [(train, class_name(TENCH)), (val, class_name(SHARK))]
    assert {row["label"]: row["annotator"] for row in root.rows("labels")} == {
        class_name(TENCH): "class_folder",
        class_name(SHARK): "human",
    }
    assert authors_of(root, "regions") == {"human"}
    assert sorted(row["source_label"] for row in root.rows("images")) == ["", "", TENCH]
    assert not root.quarantine()


@pytest.mark.parametrize("nested", [False, True])
def test_tars_of_classes_alone_and_in_the_tar_of_all(tmp_path: Path, nested: bool) -> None:
    tars = [(f"{wnid}.tar", tar_bytes([(f"{wnid}_{i}.JPEG", jpeg(i))])) for i, wnid in enumerate((TENCH, SHARK))]
    if nested:
        write(tmp_path / "in/ILSVRC2012_img_train.tar", tar_bytes(tars))
    else:
        for name, data in tars:
            write(tmp_path / f"in/{name}", data)
    source = open_source(SourceSpec(url=str(tmp_path / "in"), name="src"))
    assert source.kind == "imagenet"
    found = [one for chunk in source.chunks() for one in read_chunk(chunk)]
    outer = "src/ILSVRC2012_img_train.tar!" if nested else "src/"
    for i, (item, data) in enumerate(sorted(found, key=lambda one: one[0].source_label)):  # type: ignore[union-attr, index]
        wnid = (TENCH, SHARK)[i]
        assert item.uri == f"{outer}{wnid}.tar!{wnid}_{i}.JPEG"
        assert [(one.label, one.source and one.source.annotator) for one in item.annotations.labels] == [
            (class_name(wnid), "class_folder")
        ]
        assert data == jpeg(i) == read_bytes(item.read)
    assert len(found) == 2


def test_a_tar_that_is_cut_off_gives_what_is_before_the_cut(tmp_path: Path) -> None:
    inner = tar_bytes([(f"{TENCH}_{i}.JPEG", jpeg(i)) for i in range(3)])
    write(tmp_path / f"{TENCH}.tar", inner[: len(jpeg(0)) + 2048])
    items, refused, _ = read_all(tmp_path / f"{TENCH}.tar", kind="imagenet")
    assert len(items) == 1
    assert [one.reason for one in refused] == ["truncated"]


def test_the_devkits_numbers_need_the_order_of_its_classes(tmp_path: Path) -> None:
    write(tmp_path / "ILSVRC2012_img_val.tar", tar_bytes([("ILSVRC2012_val_00000001.JPEG", jpeg(0))]))
    write(tmp_path / "ILSVRC2012_validation_ground_truth.txt", "2\n")
    (item,), (refused,), _ = read_all(tmp_path)
    assert (item.annotations.labels, refused.reason) == ((), "classes_unknown")
    write(tmp_path / "synsets.txt", f"{TENCH} tench\n{SHARK} shark\n")
    (item,), refused_now, _ = read_all(tmp_path, kind="imagenet", params={"synsets": f"{tmp_path}/synsets.txt"})
    assert [one.label for one in item.annotations.labels] == [class_name(SHARK)]
    assert refused_now == []


def test_folders_of_ids_alone_are_class_folders(tmp_path: Path) -> None:
    write_pictures(tmp_path / "in", f"{TENCH}/{TENCH}_1.JPEG")
    assert open_source(SourceSpec(url=str(tmp_path / "in"), name="src")).kind == "folder"


def test_a_window_ends_where_it_says() -> None:
    window = Window(io.BytesIO(b"0123456789"), 2, 4)
    assert (window.read(3), window.read(3), window.read(3)) == (b"234", b"5", b"")
    assert (window.seek(-1, io.SEEK_END), window.read()) == (3, b"5")
