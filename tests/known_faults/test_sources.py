"""What a source says is lost or bent on the way in. Each value here is what is right, not what comes out today."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from botocore.exceptions import ClientError
from PIL import Image
from s3fs.errors import translate_boto_error

from fld_engine.engine.data.hashing import sha256_hex
from fld_engine.engine.data.images import ImageLimits, decode
from fld_engine.engine.plan.tasks import Isolation, Span
from fld_engine.engine.sources.open import open_source
from fld_engine.engine.stages.ingest.scan import scan
from fld_engine.engine.stages.ingest.stage import Ingest
from fld_engine.engine.stages.ingest.tasks import ScanChunk
from fld_engine.schemas.errors import FldError
from tests.hostile import ORIENTATION_TAG, tar_bytes
from tests.known_faults.far import Traffic, Trouble, far_traffic
from tests.known_faults.in_process import Root, new_root, plain_config
from tests.known_faults.pictures import as_bytes, jpeg
from tests.roots import fake_config, write_photographs

# ------------------------------------------------------------------------------------------------ Parquet

SENTENCES = {
    "dictionary": pa.array(["a dog", "a cat"]).dictionary_encode(),  # pandas' category
    "struct with raw": pa.array([{"raw": "a dog", "sentid": 1}, {"raw": "a cat", "sentid": 2}]),
    "struct with text": pa.array([{"text": "a dog"}, {"text": "a cat"}]),
    "list of struct": pa.array([[{"raw": "a dog", "sentid": 1}], [{"raw": "a cat", "sentid": 2}]]),
    "fixed-size list": pa.array([["a dog"], ["a cat"]], pa.list_(pa.string(), 1)),
    "list view": pa.array([["a dog"], ["a cat"]], pa.list_view(pa.string())),
    "UTF-8 binary": pa.array([b"a dog", b"a cat"]),
    "list of dictionary": pa.array([["a dog"], ["a cat"]], pa.list_(pa.dictionary(pa.int32(), pa.string()))),
}
"""One column, in the Arrow types that pandas, Polars, Spark and Hugging Face's `datasets` write captions in."""


@pytest.mark.xfail(
    strict=True, raises=AssertionError, reason="only string, list<string> and large_list<string> columns are captions"
)
@pytest.mark.parametrize("named", [False, True], ids=["by its usual name", "by caption_columns"])
@pytest.mark.parametrize("form", SENTENCES)
def test_captions_are_read_from_every_column_type_that_holds_text(tmp_path: Path, form: str, named: bool) -> None:
    """The type says how a tool stores text, not whether it is text: two pictures, and a caption for each.

    Lost, a dataset of captions trains a captioner on nothing, and no line of the run says so.
    """
    table = pa.table({"image": pa.array([jpeg(1), jpeg(2)]), "sentences": SENTENCES[form]})
    pq.write_table(table, tmp_path / "t.parquet")
    settings = {"caption_columns": ["sentences"]} if named else {}
    root = new_root(tmp_path / "root", plain_config({"url": str(tmp_path / "t.parquet"), "name": "t", **settings}))
    root.run(Ingest())
    assert [row["text"] for row in root.rows("texts")] == ["a dog", "a cat"]


@pytest.mark.xfail(strict=True, raises=AssertionError, reason="a Parquet's paths are followed anywhere on this machine")
@pytest.mark.parametrize("form", ["{private}/passport.png", "file://{private}/passport.png"])
def test_a_table_names_no_file_outside_its_own_folder(tmp_path: Path, form: str) -> None:
    """A downloaded table is somebody else's text. The picture beside it is read; the one it points at elsewhere is not.

    Followed, whoever publishes a table has files of the reader's machine copied into a dataset and its export.
    """
    private, table = tmp_path / "private", tmp_path / "table"
    private.mkdir()
    table.mkdir()
    (private / "passport.png").write_bytes(as_bytes(Image.new("RGB", (50, 40)), "PNG"))
    (table / "mine.jpg").write_bytes(jpeg(1))
    pq.write_table(pa.table({"url": ["mine.jpg", form.format(private=private)]}), table / "t.parquet")
    root = new_root(tmp_path / "root", plain_config({"url": str(table / "t.parquet"), "name": "t"}))
    root.run(Ingest())
    assert [row["uri"] for row in root.rows("images")] == ["t#0"]
    assert [row["uri"] for row in root.quarantine()] == ["t#1"]


@pytest.mark.xfail(strict=True, raises=AssertionError, reason="links of a folder are followed out of it")
def test_a_link_out_of_the_folder_is_passed_over(tmp_path: Path) -> None:
    """An unpacked archive can hold links to anything; a source's own folder is as far as it reaches."""
    (tmp_path / "private").mkdir()
    (tmp_path / "photos").mkdir()
    (tmp_path / "private/passport.jpg").write_bytes(jpeg(1))
    (tmp_path / "photos/mine.jpg").write_bytes(jpeg(2))
    (tmp_path / "photos/holiday.jpg").symlink_to(tmp_path / "private/passport.jpg")
    root = new_root(tmp_path / "root", plain_config({"url": str(tmp_path / "photos"), "name": "photos"}))
    root.run(Ingest())
    assert [row["uri"] for row in root.rows("images")] == ["photos/mine.jpg"]


# ------------------------------------------------------------------------------------------------ requests that fail


def refusal(code: str) -> OSError:
    """What s3fs raises where S3 answers with an error code."""
    answer: Any = {"Error": {"Code": code, "Message": "as S3 says it"}, "ResponseMetadata": {"HTTPStatusCode": 503}}
    error: OSError = translate_boto_error(ClientError(answer, "GetObject"))
    return error


def failing(name: str, error: OSError) -> Trouble:
    """Trouble that `error` is raised wherever a file of this name is read."""

    def trouble(path: str, start: int, stop: int) -> None:
        if path.endswith(name):
            raise error

    return trouble


def failing_once(name: str, at: int, error: OSError) -> Trouble:
    """Trouble that `error` is raised at the first read of a byte of a file."""
    left = [error]

    def trouble(path: str, start: int, stop: int) -> None:
        if path.endswith(name) and start <= at < stop and left:
            raise left.pop()

    return trouble


@pytest.fixture
def traffic() -> Traffic:
    return far_traffic()


@pytest.mark.parametrize(
    "code", ["SlowDown", "ServiceUnavailable", "InternalError", "ExpiredToken", "RequestTimeTooSkewed"]
)
def test_a_request_that_failed_is_no_verdict_on_the_image(tmp_path: Path, traffic: Traffic, code: str) -> None:
    """Nobody has seen the image: once the store answers again, the next run has it. Four pictures, four images.

    Today a minute of throttling, or credentials that end in the night, cost images for ever, without a word.
    """
    write_photographs(tmp_path / "photos", 4)
    root = new_root(tmp_path / "root", plain_config({"url": f"far://{tmp_path}/photos", "name": "photos"}))
    traffic.trouble = failing("002.jpg", refusal(code))
    ingest_unless_refused(root)
    far_traffic()
    root.run(Ingest())
    assert sorted(row["uri"] for row in root.rows("images")) == [f"photos/photo-0-{i:03d}.jpg" for i in range(4)]
    assert root.quarantine() == []


@pytest.mark.parametrize("form", ["tar", "parquet"])
def test_one_failed_read_costs_nothing_of_a_file(tmp_path: Path, traffic: Traffic, form: str) -> None:
    """A single answer 503 in the middle of the second file, and all before and after it well: 60 pictures, 60 images.

    Today all that follows in the file is one row of quarantine, and no later run looks again.
    """
    (tmp_path / "all").mkdir()
    for name, numbers in (("a", range(5)), ("b", range(5, 60))):
        path = tmp_path / f"all/{name}.{form}"
        if form == "tar":
            path.write_bytes(tar_bytes([(f"{i:04d}.jpg", jpeg(i)) for i in numbers]))
        else:
            pq.write_table(pa.table({"image": [jpeg(i) for i in numbers]}), path, row_group_size=5)
    root = new_root(tmp_path / "root", plain_config({"url": f"far://{tmp_path}/all", "name": "all"}))
    traffic.trouble = failing_once(f"b.{form}", path.stat().st_size // 2, refusal("SlowDown"))
    ingest_unless_refused(root)
    root.run(Ingest())
    assert len(root.rows("images")) == 60
    assert root.quarantine() == []


def test_a_file_that_is_gone_and_one_that_is_forbidden_have_names_of_their_own(
    tmp_path: Path, traffic: Traffic
) -> None:
    """The cures differ (list again; ask for access), and neither is that of a damaged file (fetch it again)."""
    write_photographs(tmp_path / "photos", 3)
    root = new_root(tmp_path / "root", plain_config({"url": f"far://{tmp_path}/photos", "name": "photos"}))
    gone, forbidden = refusal("NoSuchKey"), refusal("AccessDenied")

    def trouble(path: str, start: int, stop: int) -> None:
        if path.endswith(("001.jpg", "002.jpg")):
            raise gone if path.endswith("001.jpg") else forbidden

    traffic.trouble = trouble
    root.run(Ingest())
    assert isinstance(gone, FileNotFoundError)
    assert len({row["reason"] for row in root.quarantine()} - {"unreadable"}) == 2


def ingest_unless_refused(root: Root) -> None:
    """A run that could not read everything may end with an error of its own."""
    with suppress(FldError):
        root.run(Ingest())


def test_a_scan_that_was_given_up_cannot_overwrite_the_one_that_counts(tmp_path: Path) -> None:
    """A worker behind a broken network goes on, and ends after its successor was recorded: two attempts, two names.

    The record says what the file's bytes are. Today they are others: the ingest packs rows that nobody accounted for,
    here the very image that was found to kill workers.
    """
    write_photographs(tmp_path / "photos", 5)
    root = new_root(tmp_path / "root", fake_config(tmp_path / "photos"))
    (chunk,) = open_source(root.config.sources[0]).chunks()
    task = ScanChunk(chunk=chunk, index=0, out="ingest/000001/x", images=ImageLimits())
    condemned = ((Span(step="scan", start=1, stop=2), "hung_worker"),)
    first, second = (
        SimpleNamespace(store=root.store, isolation=isolation, report=lambda span, finished: None)
        for isolation in (Isolation(), Isolation(careful=True, condemned=condemned))
    )
    recorded = scan(task, cast(Any, second)).files["scan"]
    scan(task, cast(Any, first))
    assert recorded.rows == 4
    assert sha256_hex(root.store.read_bytes(recorded.path)) == recorded.sha256


# ------------------------------------------------------------------------------------------------ COCO and frames


def write_coco(folder: Path, picture: bytes, wh: tuple[int, int], *annotations: dict[str, Any]) -> str:
    """`folder/labels.json` about one `x.jpg` beside it; returns its path."""
    folder.mkdir(parents=True)
    (folder / "x.jpg").write_bytes(picture)
    tree = {
        "images": [{"id": 1, "file_name": "x.jpg", "width": wh[0], "height": wh[1]}],
        "categories": [{"id": 1, "name": "thing"}],
        "annotations": [{"id": i, "image_id": 1, "category_id": 1, **one} for i, one in enumerate(annotations)],
    }
    (folder / "labels.json").write_text(json.dumps(tree))
    return str(folder / "labels.json")


def upside_down() -> bytes:
    """100 x 80 stored pixels with a white thing at (5, 5)-(35, 25), to be shown turned by 180 degrees (EXIF 3)."""
    stored = np.zeros((80, 100, 3), np.uint8)
    stored[5:25, 5:35] = 255
    exif = Image.Exif()
    exif[ORIENTATION_TAG] = 3
    return as_bytes(Image.fromarray(stored), "JPEG", exif=exif, quality=95)


@pytest.mark.xfail(
    strict=True, raises=AssertionError, reason="a box that fits both frames is taken to be of the upright one"
)
def test_a_box_whose_frame_cannot_be_told_is_not_guessed(tmp_path: Path) -> None:
    """Turned by 180 degrees, width and height say nothing, and the box lies inside both frames: nobody can tell.

    The box is of the stored pixels, as tools that ignore EXIF write it. Taken for the upright frame it holds black:
    the student learns that background is a thing. Refused by name, with a cure, nothing false is learnt.
    """
    url = write_coco(tmp_path / "c", upside_down(), (100, 80), {"bbox": [5, 5, 30, 20]})
    root = new_root(tmp_path / "root", plain_config({"url": url, "name": "c"}))
    root.run(Ingest())
    pixels = decode(upside_down(), ImageLimits()).pixels
    for row in root.rows("regions"):
        x1, y1, x2, y2 = (int(row[name]) for name in ("x1", "y1", "x2", "y2"))
        assert pixels[y1:y2, x1:x2].mean() > 200, "a box that holds none of the thing"
    assert root.rows("regions") or any("x.jpg" in row["uri"] + row["of_image"] for row in root.quarantine())


def inside(polygon: list[float], wh: tuple[int, int]) -> Any:
    """Which pixel centres of a frame a polygon holds, by crossing numbers."""
    y, x = np.mgrid[0 : wh[1], 0 : wh[0]] + 0.5
    held = np.zeros((wh[1], wh[0]), bool)
    corners = np.array(polygon).reshape(-1, 2)
    for (x1, y1), (x2, y2) in zip(corners, np.roll(corners, 1, axis=0), strict=True):
        with np.errstate(divide="ignore", invalid="ignore"):
            held ^= ((y1 > y) != (y2 > y)) & (x < (x2 - x1) * (y - y1) / (y2 - y1) + x1)
    return held


@pytest.mark.parametrize(
    "polygon",
    [
        pytest.param([-100, 50, 50, -100, 50, 50], id="triangle over the top left corner"),
        pytest.param([50, 20, 250, 40, 50, 60], id="wedge out of the right side"),
    ],
)
def test_a_polygon_that_leaves_the_frame_is_cut_not_bent(tmp_path: Path, polygon: list[float]) -> None:
    """What is visible of a shape is the shape within the frame: the same pixels, no others.

    A corner that is pulled to the edge turns the sides that end in it: the mask gets what is not the thing.
    """
    wh = (100, 80)
    url = write_coco(tmp_path / "c", jpeg(1, wh), wh, {"bbox": [0, 0, 100, 80], "segmentation": [polygon]})
    root = new_root(tmp_path / "root", plain_config({"url": url, "name": "c"}))
    root.run(Ingest())
    (mask,) = root.rows("masks")
    held = sum(inside(part, wh) for part in mask["polygons"]) > 0
    assert (held != inside(polygon, wh)).sum() <= 0.01 * inside(polygon, wh).sum()


# ------------------------------------------------------------------------------------------------ EXIF in exports


def test_an_export_does_not_say_where_a_photographer_lives(tmp_path: Path) -> None:
    """Place, maker and serial number are no training data. The coded picture is the same, byte for byte, without them.

    Kept, whoever publishes a dataset publishes the homes of the people who took its photographs.
    """
    exif = Image.Exif()
    place = exif.get_ifd(0x8825)
    place[1], place[2], place[3], place[4] = "N", (48.0, 51.0, 30.0), "E", (2.0, 17.0, 40.0)
    exif[0x8825] = place
    exif[0x010F] = "PhoneMaker"
    exif.get_ifd(0x8769)[0xA431] = "serial-123"
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos/a.jpg").write_bytes(jpeg(1, exif=exif))
    root = new_root(tmp_path / "root", plain_config({"url": str(tmp_path / "photos"), "name": "photos"}))
    root.run_all()
    ((_, data),) = [(name, data) for name, data in root.members() if name.endswith(".jpg")]
    assert b"PhoneMaker" not in data
    assert b"serial-123" not in data
    assert decode(data, ImageLimits()).pixels.tobytes() == decode(jpeg(1), ImageLimits()).pixels.tobytes()
