"""One set of tars, every reader: what a trainer decodes is what was exported, whatever he reads it with."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Callable
from itertools import islice
from pathlib import Path

import datasets
import pytest

from tests.engine.stages.export.export_builder import write_export
from tests.engine.stages.export.readers import (
    Record,
    datasets_record,
    energon_loader,
    energon_record,
    open_clip_size,
    read_datasets,
    read_energon,
    read_open_clip,
    read_plainly,
    read_webdataset,
    read_wids,
)
from tests.engine.stages.export.view_builder import photographs, small_jpeg

pytestmark = [
    pytest.mark.filterwarnings("ignore"),  # the readers' own: of pinned memory, of forks, of more workers than cores
    pytest.mark.long,
]
Reader = Callable[..., list[Record]]


@pytest.fixture(scope="module")
def export(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six shards of `train` and two of `val`; some samples without masks, one group of photographs."""
    folder = tmp_path_factory.mktemp("export")
    images = [*photographs().values(), *(small_jpeg(n) for n in range(55))]
    write_export(folder, images, plain=20, max_samples=8, splits=("train", "train", "train", "val"))
    assert len(list((folder / "shards").glob("train-*.tar"))) == 6
    return folder


@pytest.fixture(scope="module")
def expected(export: Path) -> list[Record]:
    """What the standard library finds in the tars of `train`, in their order."""
    return read_plainly(export, "train")


@pytest.fixture
def readers(tmp_path: Path) -> dict[str, Reader]:
    def wids(folder: Path, split: str, **options: int | None) -> list[Record]:
        return read_wids(folder, split, tmp_path / "wids", **options)  # type: ignore[arg-type]

    return {"webdataset": read_webdataset, "energon": read_energon, "datasets": read_datasets, "wids": wids}


NAMES = ("webdataset", "energon", "datasets", "wids")


@pytest.mark.parametrize("seed", [None, 3])
@pytest.mark.parametrize("workers", [0, 2, 9], ids=["no worker", "two workers", "more workers than shards"])
@pytest.mark.parametrize("name", NAMES)
def test_every_reader_decodes_every_sample_once(
    export: Path, expected: list[Record], readers: dict[str, Reader], name: str, workers: int, seed: int | None
) -> None:
    read = readers[name](export, "train", workers=workers, seed=seed)
    assert Counter(read) == Counter(expected)
    if seed is not None:
        assert read != expected


@pytest.mark.parametrize("name", ["webdataset", "datasets", "wids"])  # Energon shuffles the shards it trains on
def test_without_a_shuffle_samples_come_in_shard_order(
    export: Path, expected: list[Record], readers: dict[str, Reader], name: str
) -> None:
    assert readers[name](export, "train") == expected


@pytest.mark.parametrize("workers", [0, 2, 9])
@pytest.mark.parametrize("seed", [None, 3])
def test_open_clip_reads_images_and_captions(
    export: Path, expected: list[Record], workers: int, seed: int | None
) -> None:
    read = read_open_clip(export, "train", workers=workers, seed=seed)
    assert Counter(read) == Counter((r.key, r.pixels, r.txt) for r in expected)
    assert open_clip_size(export, "train") == len(expected)


@pytest.mark.parametrize("name", NAMES)
def test_splits_stay_apart(export: Path, expected: list[Record], readers: dict[str, Reader], name: str) -> None:
    val = readers[name](export, "val")
    assert len(val) == 15
    assert not {r.key for r in val} & {r.key for r in expected}


@pytest.mark.parametrize("name", ["webdataset", "wids"])
def test_readers_without_a_state_go_on_in_the_order_of_their_seed(
    export: Path, readers: dict[str, Reader], name: str
) -> None:
    whole = readers[name](export, "train", seed=3)
    assert readers[name](export, "train", seed=3, skip=17) == whole[17:]


@pytest.mark.parametrize("workers", [0, 2])
def test_energon_resumes_in_mid_epoch(export: Path, expected: list[Record], workers: int) -> None:
    loader = energon_loader(export, "train", workers=workers, seed=3)
    iterator = iter(loader)
    before = [energon_record(sample) for sample in islice(iterator, 17)]
    state = loader.save_state_rank()
    rest = [energon_record(sample) for sample in iterator]
    resumed = energon_loader(export, "train", workers=workers, seed=3)
    resumed.restore_state_rank(state)
    assert [energon_record(sample) for sample in resumed] == rest
    assert Counter(before + rest) == Counter(expected)


def test_datasets_resumes_in_mid_epoch(export: Path, expected: list[Record]) -> None:
    """Without a shuffle buffer, whose content the library does not save."""

    def stream() -> datasets.IterableDataset:
        return datasets.load_dataset(str(export), split="train", streaming=True)

    dataset = stream()
    before = [datasets_record(sample) for sample in islice(dataset, 17)]
    resumed = stream()
    resumed.load_state_dict(dataset.state_dict())
    assert before + [datasets_record(sample) for sample in resumed] == expected


def test_energon_reads_captions_without_code(export: Path, expected: list[Record]) -> None:
    loader = energon_loader(export, "train", workers=0, seed=None, config="captioning.yaml")
    assert Counter(sample.caption for sample in loader) == Counter(r.txt for r in expected)


@pytest.mark.parametrize("workers", [0, 2])
def test_energon_reads_an_export_without_its_database(
    export: Path, expected: list[Record], tmp_path: Path, workers: int
) -> None:
    folder = Path(shutil.copytree(export, tmp_path / "export"))
    (folder / ".nv-meta/index.sqlite").unlink()
    assert Counter(read_energon(folder, "train", workers=workers, seed=3)) == Counter(expected)


def test_no_reader_changes_the_export(export: Path, readers: dict[str, Reader]) -> None:
    """wids opens its shards for a cache, Energon writes beside its own; an export may lie on a read-only disk."""
    before = {path: path.stat().st_mtime_ns for path in export.rglob("*")}
    for reader in readers.values():
        reader(export, "train")
    assert {path: path.stat().st_mtime_ns for path in export.rglob("*")} == before
