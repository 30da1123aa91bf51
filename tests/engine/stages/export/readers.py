"""An export through the readers that trainers use, each by its own door, as records that can be compared.

`workers` is the number of loader processes, 0 for none; `seed` shuffles shards and samples where it is not None.
"""

from __future__ import annotations

import hashlib
import io
import json
import random
import sys
import warnings
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import webdataset
from PIL import Image
from torch.utils.data import DataLoader

from fld_engine.engine.data.hashing import canonical_json

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # the libraries' own, at import
    import datasets
    import wids
    from megatron.energon import (
        Cooker,
        DefaultTaskEncoder,
        Sample,
        SampleDecoder,
        WorkerConfig,
        basic_sample_keys,
        edataclass,
        get_savable_loader,
        get_train_dataset,
        stateless,
    )
    from wids.wids import ShardListSampler

datasets.disable_progress_bars()


class Record(NamedTuple):
    """A sample as a reader decoded it: sha256 of its RGB pixels, and its json with sorted keys."""

    key: str
    pixels: str
    json: str
    txt: str


def record(key: str, image: Image.Image, json_: Any, txt: str) -> Record:
    assert image.mode == "RGB"
    pixels = hashlib.sha256(repr(image.size).encode() + image.tobytes()).hexdigest()
    return Record(key, pixels, canonical_json(json_), txt)


def same(sample: Any) -> Any:
    """For loaders whose samples stand alone."""
    return sample


def shard_urls(folder: Path, split: str) -> list[str]:
    return [str(path) for path in sorted((folder / "shards").glob(f"{split}-*.tar"))]


def in_workers(dataset: Any, workers: int, **options: Any) -> Iterator[Any]:
    return iter(DataLoader(dataset, batch_size=None, num_workers=workers, collate_fn=same, **options))


# --------------------------------------------------------------------------------------------------- webdataset


def _webdataset_record(sample: dict[str, Any]) -> Record:
    return record(sample["__key__"], sample["jpg"], sample["json"], sample["txt"])


def read_webdataset(
    folder: Path, split: str, *, workers: int = 0, seed: int | None = None, skip: int = 0
) -> list[Record]:
    """`skip` samples are passed over, in the order of the seed, before any is decoded: how this reader is resumed."""
    dataset = webdataset.WebDataset(
        shard_urls(folder, split), shardshuffle=False if seed is None else 100, seed=seed, empty_check=False
    )
    if seed is not None:
        dataset = dataset.shuffle(20, rng=random.Random(seed))
    dataset = dataset.slice(skip, sys.maxsize).decode("pil").map(_webdataset_record)
    return list(in_workers(dataset, workers))


# -------------------------------------------------------------------------------------------------------- wids


def _wids_record(sample: dict[str, Any]) -> Record:
    image = Image.open(sample[".jpg"])
    return record(sample["__key__"], image, json.load(sample[".json"]), sample[".txt"].read().decode())


def read_wids(
    folder: Path, split: str, cache: Path, *, workers: int = 0, seed: int | None = None, skip: int = 0
) -> list[Record]:
    """wids gives samples by number: to resume is to go on in the sampler's order."""
    dataset = wids.ShardListDataset(
        str(folder / f"wids-{split}.json"), cache_dir=str(cache), keep=True, transformations=[_wids_record]
    )
    numbers: Iterable[int] = range(len(dataset))
    if seed is not None:
        numbers = ShardListSampler(dataset, seed=seed, shufflefirst=True)
    return list(in_workers(dataset, workers, sampler=list(islice(numbers, skip, None))))


# -------------------------------------------------------------------------------------------- Megatron-Energon


@edataclass
class EnergonSample(Sample):
    jpg: Any
    json: dict[str, Any]
    txt: str


@stateless
def _cook(sample: dict[str, Any]) -> EnergonSample:
    return EnergonSample(**basic_sample_keys(sample), jpg=sample["jpg"], json=sample["json"], txt=sample["txt"])


class EnergonTask(DefaultTaskEncoder[Any, Any, Any, Any]):
    """Crude samples with PIL images."""

    decoder = SampleDecoder(image_decode="pilrgb")
    cookers = (Cooker(_cook),)


def energon_loader(folder: Path, split: str, *, workers: int, seed: int | None, config: str = "dataset.yaml") -> Any:
    dataset = get_train_dataset(
        folder,
        split_part=split,
        worker_config=WorkerConfig(rank=0, world_size=1, num_workers=workers, seed_offset=seed or 0),
        batch_size=None,
        shuffle_buffer_size=None if seed is None else 20,
        max_samples_per_sequence=None,
        repeat=False,
        task_encoder=EnergonTask() if config == "dataset.yaml" else DefaultTaskEncoder(),
        dataset_config=config,
    )
    return get_savable_loader(dataset)


def energon_record(sample: Any) -> Record:
    return record(sample.json["id"], sample.jpg, sample.json, sample.txt)


def read_energon(folder: Path, split: str, *, workers: int = 0, seed: int | None = None) -> list[Record]:
    return [energon_record(sample) for sample in energon_loader(folder, split, workers=workers, seed=seed)]


# ------------------------------------------------------------------------------------------------ Hugging Face


def datasets_record(sample: dict[str, Any]) -> Record:
    return record(sample["__key__"], sample["jpg"], sample["json"], sample["txt"])


def read_datasets(folder: Path, split: str, *, workers: int = 0, seed: int | None = None) -> list[Record]:
    dataset = datasets.load_dataset(str(folder), split=split, streaming=True)
    if seed is not None:
        dataset = dataset.shuffle(seed=seed, buffer_size=20)
    return [datasets_record(sample) for sample in in_workers(dataset, workers)]


# ----------------------------------------------------------------------------------------------------- OpenCLIP


def _has_caption_and_image(sample: dict[str, Any]) -> bool:
    return "txt" in sample and any(name in sample for name in ("png", "jpg", "jpeg", "webp"))


def read_open_clip(
    folder: Path, split: str, *, workers: int = 0, seed: int | None = None, batch_size: int = 4
) -> list[tuple[str, str, str]]:
    """(key, pixels, text): the stages of `get_wds_dataset` in open_clip_train/data.py, built from webdataset."""
    stages: list[Any] = [webdataset.SimpleShardList(shard_urls(folder, split), seed=seed)]
    stages += [webdataset.split_by_node, webdataset.split_by_worker, webdataset.tarfile_to_samples()]
    if seed is not None:
        stages.append(webdataset.shuffle(bufsize=20, initial=10, rng=random.Random(seed)))
    stages += [
        webdataset.select(_has_caption_and_image),
        webdataset.decode("pilrgb"),
        webdataset.rename(image="jpg;png;jpeg;webp", text="txt", key="__key__"),
        webdataset.to_tuple("key", "image", "text"),
        webdataset.batched(batch_size, partial=True, collation_fn=_columns),
    ]
    batches = in_workers(webdataset.DataPipeline(*stages), workers)
    return [
        (key, record(key, image, None, text).pixels, text)
        for batch in batches
        for key, image, text in zip(*batch, strict=True)
    ]


def _columns(samples: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    return list(zip(*samples, strict=True))


def open_clip_size(folder: Path, split: str) -> int:
    """`get_dataset_size` in open_clip_train/data.py: `sizes.json` of the first shard's folder, by base names."""
    urls = shard_urls(folder, split)
    sizes = json.loads((Path(urls[0]).parent / "sizes.json").read_text())
    return sum(int(sizes[Path(url).name]) for url in urls)


def read_plainly(folder: Path, split: str) -> list[Record]:
    """What the shards hold, by the standard library alone."""
    import tarfile

    found: dict[str, dict[str, bytes]] = {}
    for url in shard_urls(folder, split):
        with tarfile.open(url) as tar:
            for info in tar:
                key, _, extension = info.name.partition(".")
                found.setdefault(key, {})[extension] = tar.extractfile(info).read()  # type: ignore[union-attr]
    return [
        record(key, Image.open(io.BytesIO(m["jpg"])), json.loads(m["json"]), m["txt"].decode())
        for key, m in found.items()
    ]
