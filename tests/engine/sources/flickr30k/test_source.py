"""Flickr30k Entities: captions whose phrases stand on the boxes that people drew for them."""

from __future__ import annotations

from pathlib import Path

import pytest

from fld_engine.engine.sources.flickr30k.parsing import parse_boxes, parse_sentence
from fld_engine.engine.sources.flickr30k.source import Flickr30kSource
from fld_engine.engine.sources.listing import list_files
from fld_engine.engine.stages.ingest.stage import Ingest
from tests.engine.sources.layouts import phrases, picture_at, scanned, write_all
from tests.known_faults.in_process import new_root, plain_config

SENTENCES = (
    "[/EN#1/people Two young , White males] are outside near [/EN#2/other many bushes] .\n"
    "[/EN#1/people Two men] in [/EN#3/scene a yard] think of [/EN#0/notvisual nothing] "
    "and [/EN#4/other/clothing a hat] .\n"
    "About another picture , [/EN#1/people two men] .\n"
    "[/EN#1/people Two men are cut off .\n"
)


def xml(*found: str, wh: tuple[int, int] = (160, 120)) -> str:
    size = f"<size><width>{wh[0]}</width><height>{wh[1]}</height><depth>3</depth></size>"
    return f"<annotation><filename>1000092795.jpg</filename>{size}{''.join(found)}</annotation>"


def of(chains: str, box: tuple[int, int, int, int] | None = None, flag: str = "") -> str:
    names = "".join(f"<name>{chain}</name>" for chain in chains.split())
    if box is None:
        flags = "".join(f"<{one}>{int(one == flag)}</{one}>" for one in ("scene", "nobndbox"))
        return f"<object>{names}{flags}</object>"
    x1, y1, x2, y2 = box
    return (
        f"<object>{names}<bndbox><xmin>{x1}</xmin><ymin>{y1}</ymin><xmax>{x2}</xmax><ymax>{y2}</ymax></bndbox></object>"
    )


FILES = {
    "Sentences/1000092795.txt": SENTENCES,
    "Annotations/1000092795.xml": xml(
        of("1", (11, 21, 41, 61)), of("1 2", (61, 21, 111, 111)), of("3", flag="scene"), of("4", flag="nobndbox"),
        of("5", (1, 1, 11, 11)),
    ),
    "Sentences/7.txt": "[/EN#9/people A girl] sings .\n",
    "Annotations/7.xml": "<annotation><size>",
    "Sentences/8.txt": "Nobody came .\n\n",
    "UNRELATED_CAPTIONS": "format: <imageID> <sentence number>\n1000092795 3\n",
    "train.txt": "7\n",
}  # fmt: skip
LEFT, RIGHT = (10.0, 20.0, 40.0, 60.0), (60.0, 20.0, 110.0, 110.0)


def made(folder: Path) -> Path:
    picture_at(folder / "flickr30k-images", "1000092795.jpg", "7.jpg")
    return write_all(folder, FILES)


def test_the_release_as_it_is_published(tmp_path: Path) -> None:
    found = scanned(made(tmp_path))
    assert found.kind == "flickr30k_entities"
    assert phrases(found.items["flickr30k-images/1000092795.jpg"]) == [
        (
            "Two young , White males are outside near many bushes .",
            [("Two young , White males", [LEFT, RIGHT]), ("many bushes", [RIGHT])],
        ),
        ("Two men in a yard think of nothing and a hat .", [("Two men", [LEFT, RIGHT])]),
    ]
    assert phrases(found.items["flickr30k-images/7.jpg"]) == [("A girl sings .", [])]
    assert sorted(found.rejected) == [
        ("8.jpg", "missing"),
        ("annotations of 7", "bad_record"),
        ("caption/1000092795/4", "bad_markup"),
    ]
    assert found.passed_over == {
        ("unrelated", ""): 1, ("scene", ""): 1, ("no_box", ""): 1, ("not_visual", ""): 1, ("no_place", ""): 1,
        ("not_mentioned", ""): 1, ("not_kept", "types of phrases"): 7, ("image_missing", ""): 1,
    }  # fmt: skip
    assert found.files == {"not_labelled": 1}, "the list of a split"


def test_a_folder_of_voc_is_none_of_this(tmp_path: Path) -> None:
    write_all(tmp_path, {"Annotations/1.xml": xml(of("1", (1, 1, 2, 2))), "ImageSets/Main/train.txt": "1\n"})
    picture_at(tmp_path, "JPEGImages/1.jpg")
    assert scanned(tmp_path, kind="folder").items
    assert Flickr30kSource.recognises(list_files(str(tmp_path), "src")) == 0


def test_spans_are_characters_of_the_text_without_markup() -> None:
    sentence = parse_sentence("  A [/EN#2/other  red   hat ] , [/EN#1/people/bodyparts he] waves .")
    assert sentence.text == "A red hat , he waves ."
    assert [(sentence.text[one.start : one.end], one.chain, one.types) for one in sentence.mentions] == [
        ("red hat", "2", ("other",)),
        ("he", "1", ("people", "bodyparts")),
    ]


@pytest.mark.parametrize("line", ["[/EN#1/people Two", "[/EN#1/people ] came", "[/EN# Two men]"])
def test_markup_that_cannot_be_read_is_no_caption(line: str) -> None:
    with pytest.raises(ValueError, match="EN#"):
        parse_sentence(line)


def test_xml_is_read_without_what_it_might_bring(tmp_path: Path) -> None:
    bomb = "<!DOCTYPE a [" + "".join(f'<!ENTITY e{n} "{f"&e{n - 1};" * 10 if n else "x" * 99}">' for n in range(12))
    for data in (f"{bomb}]><annotation>&e11;</annotation>", xml(of("1").replace("<scene>0</scene>", "")) + "<", ""):
        with pytest.raises(ValueError, match="XML"):
            parse_boxes(data.encode())
    with pytest.raises(ValueError, match="xmin"):
        parse_boxes(xml("<object><name>1</name><bndbox><xmin>left</xmin></bndbox></object>").encode())


def test_a_whole_ingest_keeps_what_was_said(tmp_path: Path) -> None:
    made(tmp_path)
    root = new_root(tmp_path.parent / f"{tmp_path.name}-root", plain_config({"url": str(tmp_path), "name": "f30k"}))
    root.run(Ingest())
    assert (len(root.rows("images")), len(root.rows("texts")), len(root.rows("phrases"))) == (2, 3, 3)
    assert len(root.rows("phrase_regions")) == 5
