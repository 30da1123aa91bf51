"""Nothing that a source holds is lost, and nothing is there twice: every item is an image, a duplicate or a reason."""

from __future__ import annotations

import io
import json
import tarfile
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from fld_engine.engine.data.journal import read_journal, read_partitions
from fld_engine.engine.data.partition import PartitionImages, source_tables
from fld_engine.engine.data.store import Store
from fld_engine.engine.inspect.status import read_status
from fld_engine.engine.plan.config import RunConfig
from fld_engine.engine.stages.ingest.stage import Ingest
from fld_engine.schemas.errors import SourceError
from tests import hostile
from tests.roots import fake_config, opened, run_pipeline, write_photographs

pytestmark = pytest.mark.long


def config_of(sources: list[dict[str, Any]], **changes: Any) -> RunConfig:
    return fake_config("unused", **changes).model_copy(update={"sources": parse(sources)})


def parse(sources: list[dict[str, Any]]) -> list[Any]:
    from fld_engine.engine.sources.item import SourceSpec

    return [SourceSpec.model_validate(source) for source in sources]


def coco_of(folder: Path, name: str, captions: list[str]) -> None:
    """A COCO json over the images of a folder, each with a caption and a box."""
    files = sorted(p.name for p in folder.glob("*.jpg"))
    images = [{"id": i, "file_name": f, "width": 96, "height": 72} for i, f in enumerate(files)]
    boxes = [{"id": i, "image_id": i, "category_id": 1, "bbox": [8, 8, 40, 30]} for i, _ in enumerate(files)]
    said = [{"id": 100 + i, "image_id": i, "caption": c} for i, c in enumerate(captions)]
    coco = {"images": images, "categories": [{"id": 1, "name": "kite"}], "annotations": [*boxes, *said]}
    (folder / name).write_text(json.dumps(coco))


def images_of(store: Store) -> list[dict[str, Any]]:
    journal = read_journal(store)
    return [
        row
        for record in read_partitions(journal)
        for row in PartitionImages(store, record, RunConfig().images).table.to_pylist()
    ]


def test_every_hostile_item_is_quarantined_with_its_reason_and_its_neighbours_go_on(tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    good = write_photographs(photos, 3)
    expected = Counter(hostile.write_unreadable(photos).values())
    config = config_of([{"url": str(photos), "name": "photos"}])
    with opened(tmp_path / "root", config) as pipeline:
        record = pipeline.run(Ingest())
    assert record is not None
    assert sorted(row["id"] for row in images_of(pipeline.store)) == sorted(good)
    assert Counter(record.quarantined) == expected
    assert record.found == 3 + sum(expected.values())
    table = pipeline.store.read_table(record.quarantine.path)
    assert table.num_rows == sum(expected.values())
    assert all(table["detail"].to_pylist()), "every reason has its detail"


def test_hostile_tars_parquet_and_coco_json_add_up_over_the_whole_road(tmp_path: Path) -> None:
    for name in ("tars", "parquet", "coco"):
        (tmp_path / name).mkdir()
    hostile.write_hostile_tar(tmp_path / "tars/hostile.tar")
    hostile.write_hostile_parquet(tmp_path / "parquet/hostile.parquet")
    hostile.write_hostile_coco(tmp_path / "coco")
    coco = next((tmp_path / "coco").glob("*.json"))
    sources = [str(tmp_path / "tars/hostile.tar"), str(tmp_path / "parquet/hostile.parquet"), str(coco)]
    pipeline = run_pipeline(tmp_path / "root", config_of([{"url": url} for url in sources]))
    status = read_status(pipeline.plan(), read_journal(pipeline.store))
    assert status.ingested > 0
    assert status.found == status.ingested + status.duplicates + status.known + sum(status.quarantined.values())
    assert status.ingested == status.exported_samples + sum(status.dropped["images"].values())
    assert status.rejected_annotations


def test_exact_duplicates_are_kept_once_with_all_their_places_and_annotations(tmp_path: Path) -> None:
    first, second = tmp_path / "a", tmp_path / "b"
    ids = write_photographs(first, 3)
    second.mkdir()
    for path in first.glob("*.jpg"):
        (second / path.name).write_bytes(path.read_bytes())
    coco_of(second, "labels.json", ["A kite <b>& <loc_1>", "Another kite.", "A third kite."])
    sources = [{"url": str(first), "name": "a"}, {"url": str(second / "labels.json"), "name": "b"}]
    pipeline = run_pipeline(tmp_path / "root", config_of(sources))
    rows = images_of(pipeline.store)
    assert sorted(row["id"] for row in rows) == sorted(ids)
    assert all(len(row["uris"]) == 2 for row in rows)
    record = read_partitions(read_journal(pipeline.store))[0]
    tables = source_tables(pipeline.store, record, gold=False)
    assert tables["texts"].num_rows == tables["regions"].num_rows == 3
    assert set(tables["texts"]["annotator"].to_pylist()) == {"human"}
    assert "A kite <b>& <loc_1>" in tables["texts"]["text"].to_pylist(), "markup in a caption is inert text"
    with tarfile.open(next((tmp_path / "root/export/shards").glob("*.tar"))) as tar:
        names = tar.getnames()
    assert len(names) == len(set(names))


def test_a_later_ingest_adds_places_and_annotations_to_images_that_are_there(tmp_path: Path) -> None:
    first, second = tmp_path / "a", tmp_path / "b"
    write_photographs(first, 2)
    source = {"url": str(first), "name": "a"}
    run_pipeline(tmp_path / "root", config_of([source]))
    second.mkdir()
    for path in first.glob("*.jpg"):
        (second / path.name).write_bytes(path.read_bytes())
    coco_of(second, "labels.json", ["One kite.", "Two kites."])
    both = config_of([source, {"url": str(second / "labels.json"), "name": "b"}])
    pipeline = run_pipeline(tmp_path / "root", both)
    journal = read_journal(pipeline.store)
    assert (journal[1].new, journal[1].duplicates) == (0, 2)
    assert all(len(row["uris"]) == 2 for row in images_of(pipeline.store))
    assert pipeline.work.images_read == 0, "annotators of pixels alone do not run again"
    record = read_partitions(journal)[0]
    assert source_tables(pipeline.store, record, gold=False)["texts"].num_rows == 2


def test_human_labels_of_a_gold_source_are_the_reference_and_never_exported(tmp_path: Path) -> None:
    plain, gold = tmp_path / "plain", tmp_path / "gold"
    write_photographs(plain, 4)
    write_photographs(gold, 2, seed=7)
    (gold / "photo-0-000.jpg").write_bytes((plain / "photo-0-000.jpg").read_bytes())  # found in both: gold
    coco_of(gold, "labels.json", ["A kite.", "A kite.", "A kite."])
    sources = [{"url": str(plain), "name": "plain"}, {"url": str(gold / "labels.json"), "name": "g", "gold": True}]
    pipeline = run_pipeline(tmp_path / "root", config_of(sources))
    rows = images_of(pipeline.store)
    assert sum(row["gold"] for row in rows) == 3
    exported = set()
    for shard in (tmp_path / "root/export/shards").glob("*.tar"):
        with tarfile.open(shard) as tar:
            exported |= {name.split(".")[0] for name in tar.getnames()}
    assert exported == {row["id"] for row in rows if not row["gold"]}
    for record in read_partitions(read_journal(pipeline.store)):
        assert source_tables(pipeline.store, record, gold=False)["texts"].num_rows == 0


def test_rotated_and_grey_photographs_are_stored_upright_in_rgb(tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    (photos / "turned.jpg").write_bytes(hostile.rotated_jpeg(6))
    Image.open(io.BytesIO(hostile.jpeg())).convert("L").save(photos / "grey.png")
    pipeline = run_pipeline(tmp_path / "root", config_of([{"url": str(photos), "name": "photos"}]))
    sizes = {row["uri"]: (row["width"], row["height"], row["plain_jpeg"]) for row in images_of(pipeline.store)}
    assert sizes == {"photos/turned.jpg": (300, 451, False), "photos/grey.png": (451, 300, False)}
    for shard in (tmp_path / "root/export/shards").glob("*.tar"):
        with tarfile.open(shard) as tar:
            for member in tar:
                if member.name.endswith(".json"):
                    record = json.load(tar.extractfile(member))  # type: ignore[arg-type]
                    jpg = tar.extractfile(member.name.replace(".json", ".jpg"))
                    image = Image.open(io.BytesIO(jpg.read()))  # type: ignore[union-attr]
                    assert image.size == (record["image"]["width"], record["image"]["height"])
                    assert record["image"]["reencoded"]


@pytest.mark.parametrize("content", [None, {}, {"broken.jpg": b"nothing"}], ids=["missing", "empty", "unreadable"])
def test_a_source_without_one_readable_image_is_an_error(tmp_path: Path, content: dict[str, bytes] | None) -> None:
    photos = tmp_path / "photos"
    if content is not None:
        photos.mkdir()
        for name, data in content.items():
            (photos / name).write_bytes(data)
    with (
        opened(tmp_path / "root", config_of([{"url": str(photos), "name": "photos"}])) as pipeline,
        pytest.raises(SourceError, match="photos"),
    ):
        pipeline.run(Ingest())
