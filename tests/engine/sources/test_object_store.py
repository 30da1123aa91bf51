"""Every kind of source from an object store, over a real S3 protocol."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import fsspec
import pytest

from fld_engine.engine.sources.item import Rejected, SourceSpec
from fld_engine.engine.sources.open import open_source, read_chunk, read_items
from fld_engine.schemas.errors import SourceError
from tests.hostile import jpeg, write_hostile_coco, write_hostile_parquet, write_hostile_tar
from tests.object_store import served_bucket


@pytest.fixture
def bucket() -> Iterator[str]:
    with served_bucket() as url:
        yield url


def test_sources_on_s3_hold_what_they_hold_on_disk(bucket: str, tmp_path: Path) -> None:
    (tmp_path / "photos" / "cats").mkdir(parents=True)
    for number in range(40):  # more than one round of requests
        (tmp_path / "photos" / "cats" / f"{number:02d}.jpg").write_bytes(jpeg(quality=20 + number))
    (tmp_path / "photos" / "zero.jpg").write_bytes(b"")
    write_hostile_tar(tmp_path / "x.tar")
    write_hostile_parquet(tmp_path / "x.parquet")
    write_hostile_coco(tmp_path / "coco")
    fsspec.filesystem("s3").put(f"{tmp_path}/", bucket, recursive=True)
    for path in ("photos", "x.tar", "x.parquet", "coco/labels.json"):
        both = []
        for root in (bucket, str(tmp_path)):
            chunks = open_source(SourceSpec(url=f"{root}/{path}")).chunks()
            found = [one for chunk in chunks for one in read_chunk(chunk)]
            items = [one for one in found if not isinstance(one, Rejected)]
            assert list(read_items([item.read for item, _ in items])) == [data for _, data in items]
            both.append(
                [one if isinstance(one, Rejected) else (one[0].uri, one[0].annotations, one[1]) for one in found]
            )
        assert both[0] == both[1]
        assert both[0]
    with pytest.raises(SourceError, match="does not exist"):
        open_source(SourceSpec(url=f"{bucket}/nowhere")).chunks()
    with pytest.raises(SourceError, match="does not exist"):
        open_source(SourceSpec(url="s3://no-such-bucket/photos")).chunks()
