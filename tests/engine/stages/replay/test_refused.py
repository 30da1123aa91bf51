"""Images that were refused under limits which have changed since are told of, looked at again, and counted once."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from typer.testing import CliRunner

from fld_engine.engine.data.images import ImageLimits, decode
from fld_engine.engine.data.journal import read_journal, totals
from fld_engine.engine.data.partition import PartitionImages
from fld_engine.engine.data.store import Store
from fld_engine.engine.plan.config import RunConfig, dump_config
from fld_engine.engine.run.pipeline import Pipeline
from fld_engine.engine.stages.ingest.again import accepts, refused_before
from fld_engine.engine.stages.replay.marks import mark_refused
from fld_engine.flows.cli import app
from fld_engine.schemas.errors import UnreadableImage
from tests.driving import ingest_here
from tests.roots import fake_config, run_pipeline, write_photographs

STRICT = {"max_pixels": 100_000, "max_bytes": 20_000, "formats": ["JPEG"]}


def folder_of(place: Path) -> Path:
    """Two good photographs, and a picture for each limit; the last one is broken."""
    write_photographs(place / "photos", 2)
    noise = Image.effect_noise((300, 200), 90)
    noise.convert("RGB").save(place / "photos/a-heavy.jpg", quality=100)
    Image.new("RGB", (600, 500), "red").save(place / "photos/b-large.jpg")
    Image.new("RGB", (30, 20), "blue").save(place / "photos/c-other.png")
    (place / "photos/d-broken.jpg").write_bytes(b"\xff\xd8\xff no more of it")
    return place / "photos"


def config_of(folder: Path, **images: Any) -> RunConfig:
    return fake_config(folder, images={**STRICT, **images})


def looked_again(store: Store, config: RunConfig) -> int:
    with Pipeline(store, config) as pipeline:
        return mark_refused(pipeline.plan())


def test_each_limit_that_is_raised_lets_in_what_it_refused(tmp_path: Path) -> None:
    folder = folder_of(tmp_path)
    store, first = ingest_here(tmp_path / "root", config_of(folder))
    assert first is not None
    assert (first.new, sum(first.quarantined.values())) == (2, 4)
    taken = 2
    raised: dict[str, Any] = {}
    for limits in ({"max_bytes": 10_000_000}, {"max_pixels": 10_000_000}, {"formats": ["JPEG", "PNG"]}):
        raised |= limits
        config = config_of(folder, **raised)
        assert ingest_here(tmp_path / "root", config)[1] is None, "a run alone does not read its sources again"
        assert len(refused_before(store, config, read_journal(store))) == 1
        assert looked_again(store, config) == 1
        _, record = ingest_here(tmp_path / "root", config)
        assert record is not None
        assert record.found == record.new + record.duplicates + record.known + sum(record.quarantined.values())
        assert record.new == 1
        taken += 1
        found = totals(read_journal(store))
        refused = sum(found.quarantined.values())
        assert (found.new, refused) == (taken, 6 - taken), "what is in is not refused as well, what is not is so once"
        assert found.found == found.new + found.duplicates + found.known + refused
        assert looked_again(store, config) == 0
    assert list(totals(read_journal(store)).quarantined.values()) == [1], "the broken one"
    assert ingest_here(tmp_path / "root", config)[1] is None


def test_status_says_that_a_replay_would_take_images_in(tmp_path: Path) -> None:
    """Who raised a limit learns from it why the images are still not there."""
    folder = folder_of(tmp_path)
    ingest_here(tmp_path / "root", config_of(folder))
    for limits, line in (({}, 0), ({"max_bytes": 10_000_000, "formats": ["JPEG", "PNG"]}, 2)):
        (tmp_path / "root/config.yaml").write_text(dump_config(config_of(folder, **limits)))
        told = CliRunner().invoke(app, ["status", "--root", str(tmp_path / "root")], catch_exceptions=False)
        assert (f"{line} images were refused under limits that have changed" in told.output) == bool(line)


def test_a_detail_tells_what_a_limit_would_accept(tmp_path: Path) -> None:
    """The details are those that a decoder writes, read back: neither may change alone."""
    folder = folder_of(tmp_path)
    wide = ImageLimits()
    for name, limits in (
        ("a-heavy.jpg", ImageLimits(max_bytes=1000)),
        ("b-large.jpg", ImageLimits(max_pixels=1000)),
        ("c-other.png", ImageLimits(formats=("JPEG",))),
    ):
        data = (folder / name).read_bytes()
        with pytest.raises(UnreadableImage) as refused:
            decode(data, limits)
        assert accepts(wide, refused.value.reason, refused.value.detail)
        assert not accepts(limits, refused.value.reason, refused.value.detail)


def test_labels_that_were_refused_count_once_when_their_json_is_corrected(tmp_path: Path) -> None:
    write_photographs(tmp_path / "photos", 1)
    (name,) = (path.name for path in (tmp_path / "photos").glob("*.jpg"))

    def write(box: list[int]) -> RunConfig:
        tree = {
            "images": [{"id": 1, "file_name": name, "width": 96, "height": 72}],
            "categories": [{"id": 1, "name": "kite"}],
            "annotations": [{"id": 7, "image_id": 1, "category_id": 1, "bbox": box}],
        }
        (tmp_path / "photos/labels.json").write_text(json.dumps(tree))
        source = {"url": str(tmp_path / "photos/labels.json"), "kind": "coco", "name": "labels"}
        return fake_config("unused", sources=[source])

    store, _ = ingest_here(tmp_path / "root", write([500, 500, 10, 10]))
    assert sum(totals(read_journal(store)).rejected_annotations.values()) == 1
    ingest_here(tmp_path / "root", write([600, 600, 10, 10]))
    assert sum(totals(read_journal(store)).rejected_annotations.values()) == 1
    ingest_here(tmp_path / "root", write([8, 8, 10, 10]))
    assert totals(read_journal(store)).rejected_annotations == {}


def test_a_lowered_limit_leaves_what_is_in_as_it_is(tmp_path: Path) -> None:
    """Nothing is made again, and an annotator that is added later still sees the images that are too large now."""
    folder = folder_of(tmp_path)
    config = fake_config(folder)
    run_pipeline(tmp_path / "root", config)
    third = {"annotators": {**fake_config(folder).model_dump()["annotators"], "third": {"use": "fake"}}}
    lower = fake_config(folder, images=STRICT, **third)
    pipeline = run_pipeline(tmp_path / "root", lower)
    plan = pipeline.plan()
    status = {name: plan.missing(name) for name in plan.graph.order}
    assert status == {"first": [], "second": [], "third": []}
    assert pipeline.work.images_read == 5
    tables = [PartitionImages(pipeline.store, record, lower.images).table for record in plan.partitions]
    names = {Path(uri).name for table in tables for uri in table["uri"].to_pylist()}
    assert names >= {"a-heavy.jpg", "b-large.jpg", "c-other.png"}
