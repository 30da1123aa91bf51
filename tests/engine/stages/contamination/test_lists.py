"""Block lists of every form keep what they show out of an export, say so, and can come and go."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image, ImageOps

from fld_engine.engine.data.images import phash64
from fld_engine.engine.inspect.explain import explain
from fld_engine.engine.inspect.status import read_status
from fld_engine.engine.plan.config import RunConfig
from fld_engine.engine.stages.contamination.stage import Contamination
from fld_engine.engine.stages.removal.stage import Remove
from fld_engine.schemas.errors import ConfigError, SourceError
from tests.hostile import pixels
from tests.known_faults.in_process import Root, new_root, plain_config
from tests.roots import opened

PHOTOGRAPHS = ("coffee.png", "chelsea.png", "rocket.jpg", "flower.jpg")
LISTED = "coffee.jpg"


def photograph(name: str) -> Image.Image:
    image = Image.fromarray(pixels(name))
    image.thumbnail((200, 200))
    return image


def saved(image: Image.Image, quality: int = 80) -> bytes:
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=quality)
    return stream.getvalue()


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    (tmp_path / "photos").mkdir()
    for name in PHOTOGRAPHS:
        (tmp_path / "photos" / name).with_suffix(".jpg").write_bytes(saved(photograph(name)))
    return tmp_path / "photos"


def copy_of_listed() -> bytes:
    """What a benchmark has of it: mirrored, and in another size."""
    return saved(ImageOps.mirror(photograph("coffee.png")).resize((150, 100)), 60)


def folder(at: Path, _: Path) -> dict[str, Any]:
    (at / "val").mkdir()
    (at / "val/benchmark.jpg").write_bytes(copy_of_listed())
    return {"url": str(at / "val")}


def coco(at: Path, _: Path) -> dict[str, Any]:
    folder(at, _)
    images = [{"id": 1, "file_name": "benchmark.jpg", "width": 150, "height": 100}]
    (at / "val.json").write_text(json.dumps({"images": images, "annotations": [], "categories": []}))
    return {"url": str(at / "val.json"), "images_url": str(at / "val")}


def parquet(at: Path, _: Path) -> dict[str, Any]:
    pq.write_table(pa.table({"image": [copy_of_listed()]}), at / "val.parquet")
    return {"url": str(at / "val.parquet")}


def sums(at: Path, photos: Path) -> dict[str, Any]:
    """As `sha256sum` writes them."""
    digest = hashlib.sha256((photos / LISTED).read_bytes()).hexdigest()
    (at / "val.txt").write_text(f"# of the benchmark\n{digest}  coffee.jpg\n\n")
    return {"url": str(at / "val.txt")}


def phashes(at: Path, _: Path) -> dict[str, Any]:
    """Of the picture in another encoding."""
    encoded = Image.open(io.BytesIO(saved(photograph("coffee.png"), 50)))
    pq.write_table(pa.table({"phash": [phash64(pixels_of(encoded))]}), at / "val.parquet")
    return {"url": str(at / "val.parquet")}


def pixels_of(image: Image.Image) -> Any:
    import numpy as np

    return np.asarray(image.convert("RGB"))


def config(photos: Path, *lists: dict[str, Any]) -> RunConfig:
    source = {"url": str(photos), "name": "photos", "class_folders": False}
    return plain_config(source, exclude=[{"name": "val", **one} for one in lists], partitions={"max_images": 2})


def exported(root: Root) -> set[str]:
    return {sample["image"]["uri"].rpartition("/")[2] for sample in root.samples()}


@pytest.mark.parametrize("form", [folder, coco, parquet, sums, phashes])
def test_what_a_list_shows_is_left_out_whatever_form_it_has(
    tmp_path: Path, photos: Path, form: Callable[[Path, Path], dict[str, Any]]
) -> None:
    """Right: the one photograph that the list has, and no other; `explain`, status and card name the list."""
    root = new_root(tmp_path / "root", config(photos, form(tmp_path, photos)))
    root.run_all()
    assert exported(root) == {Path(name).with_suffix(".jpg").name for name in PHOTOGRAPHS} - {LISTED}
    plan = root.plan()
    (listed,) = (row["id"] for row in root.rows("images") if row["uri"].endswith(LISTED))
    (shown,) = explain(plan, listed).shows
    assert shown.list == "val"
    assert {a.reason for a in explain(plan, listed).annotations if a.target == "images"} == {"contamination:val"}
    status = read_status(plan, root.journal())
    assert (status.left_out, status.dropped["images"]) == ({"val": 1}, {"contamination:val": 1})
    card = Path(root.store.base, "export/README.md").read_text()
    assert "| val | 1 | none | 1 |" in card
    assert str(tmp_path) not in Path(root.store.base, "export/manifest.json").read_text()


def shards(root: Root) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in Path(root.store.base, "export/shards").glob("*.tar")}


def test_a_list_that_comes_later_withdraws_samples_and_touches_no_other_shard(tmp_path: Path, photos: Path) -> None:
    """The shard that held the photograph is written again; and without the list, the export is what it was."""
    plain = config(photos).model_copy(
        update={"export": config(photos).export.model_copy(update={"group_partitions": 1})}
    )
    with_list = plain.model_copy(update={"exclude": config(photos, folder(tmp_path, photos)).exclude})
    root = new_root(tmp_path / "root", plain)
    root.run_all()
    before = shards(root)
    assert not root.plan().missing("verdicts")
    later = Root(root.store, with_list)
    later.run_all()
    changed = {name for name, data in before.items() if shards(later).get(name) != data}
    assert len(before) == 2
    assert len(changed) == 1
    assert LISTED not in exported(later)
    assert Contamination().is_current(later.plan())
    root.run_all()
    assert shards(root) == before


def test_another_list_reads_no_image_again(tmp_path: Path, photos: Path) -> None:
    """Views of all images are kept: what comes later is compared with these."""
    first, second = folder(tmp_path, photos), {"url": str(tmp_path / "other"), "name": "other"}
    (tmp_path / "other").mkdir()
    (tmp_path / "other/cat.jpg").write_bytes(saved(ImageOps.mirror(photograph("chelsea.png"))))
    root = new_root(tmp_path / "root", config(photos, first))
    root.run_all()
    views = {path: path.stat().st_mtime_ns for path in Path(root.store.base, "stages/appearance").iterdir()}
    both = Root(root.store, config(photos, first, second))
    both.run_all()
    assert exported(both) == {"rocket.jpg", "flower.jpg"}
    assert {path: path.stat().st_mtime_ns for path in Path(root.store.base, "stages/appearance").iterdir()} == views
    assert read_status(both.plan(), both.journal()).left_out == {"val": 1, "other": 1}


def test_a_list_that_cannot_be_reached_stands_as_it_was_read(tmp_path: Path, photos: Path) -> None:
    """A root outlives the folder of a benchmark; what was kept out does not come back for that."""
    given = folder(tmp_path, photos)
    root = new_root(tmp_path / "root", config(photos, given))
    root.run_all()
    (tmp_path / "val").rename(tmp_path / "gone")
    (photos / "new.jpg").write_bytes(copy_of_listed())
    root.run_all()
    assert exported(root) == {"chelsea.jpg", "rocket.jpg", "flower.jpg"}
    with pytest.raises(SourceError, match="does not exist"):
        new_root(tmp_path / "fresh", config(photos, given)).run_all()


def test_without_gold_and_lists_nothing_is_done(tmp_path: Path, photos: Path) -> None:
    root = new_root(tmp_path / "root", config(photos))
    root.run_all()
    assert not {"appearance", "contamination"} & {*root.plan().steps}
    assert not list(Path(root.store.base).glob("**/contamination*"))


@pytest.mark.parametrize(
    ("text", "what"),
    [("", "has no entry that can be used"), ("not-a-hash\n", "line 1 .* is 'not-a-hash'")],
)
def test_a_list_of_nothing_is_refused(tmp_path: Path, photos: Path, text: str, what: str) -> None:
    """A list that keeps nothing out, and seems to, is worse than none."""
    (tmp_path / "val.txt").write_text(text)
    root = new_root(tmp_path / "root", config(photos, {"url": str(tmp_path / "val.txt")}))
    with pytest.raises(Exception, match=what):
        root.run_all()


def test_two_lists_of_one_name_are_refused(tmp_path: Path, photos: Path) -> None:
    with pytest.raises(ConfigError, match="two lists of `exclude` are named 'val'"):
        config(photos, {"url": "a"}, {"url": "b"})


def test_a_gold_image_that_is_removed_leaves_no_trace_in_what_was_compared(tmp_path: Path, photos: Path) -> None:
    """And its copy, which nothing speaks against any more, is exported."""
    (tmp_path / "gold").mkdir()
    (tmp_path / "gold/secret.jpg").write_bytes(copy_of_listed())
    sources = [
        {"url": str(tmp_path / name), "name": name, "class_folders": False, "gold": name == "gold"}
        for name in ("photos", "gold")
    ]
    with opened(tmp_path / "root", plain_config(*sources)) as pipeline:
        root = Root(pipeline.store, pipeline.config)
        root.run_all()
        assert LISTED not in exported(root)
        (gold,) = (row["id"] for row in root.rows("images") if row["gold"])
        pipeline.run(Remove([gold]))
    assert LISTED in exported(root)
    files = [path for path in Path(root.store.base).rglob("*") if path.is_file()]
    assert not [path for path in files if "contamination" in str(path) and b"secret.jpg" in path.read_bytes()]
