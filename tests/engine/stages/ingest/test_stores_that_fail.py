"""Sources whose store fails while they are read: over a real S3 protocol, each kind of failure, each kind of source."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fld_engine.engine.data.journal import IngestRecord
from fld_engine.engine.data.unread import read_unread
from fld_engine.engine.stages.ingest.stage import Ingest
from tests.hostile import tar_bytes
from tests.known_faults.in_process import Root, new_root, plain_config
from tests.known_faults.pictures import jpeg
from tests.object_store import Bucket, Kind, Trouble, troubled_bucket

KINDS: list[Kind] = ["500", "503", "ExpiredToken", "truncated", "broken", "slow"]
LEFT = {"503": "unavailable", "ExpiredToken": "credentials", "truncated": "interrupted", "AccessDenied": "forbidden"}
FORMS = {"folder": "bad/3.jpg", "tar": "bad.tar", "parquet": "bad.parquet", "json": "bad.json"}
"""Form of a source -> the object of it that meets trouble."""
FOREVER = 10**6
EIGHT = 8


@pytest.fixture(scope="module")
def shared() -> Iterator[Bucket]:
    """Eight pictures under `good/`, eight others in each form under `bad`."""
    with troubled_bucket() as bucket:
        fs = fsspec.filesystem("s3")
        pictures = {f"{i}.jpg": jpeg(i) for i in range(EIGHT)}
        tree = {
            "images": [{"id": i, "file_name": f"{i}.jpg"} for i in range(EIGHT)],
            "annotations": [{"id": i, "image_id": i, "caption": f"picture {i}"} for i in range(EIGHT)],
        }
        table = pa.BufferOutputStream()
        pq.write_table(pa.table({"image": list(pictures.values())}), table, row_group_size=2)
        fs.pipe({f"{bucket.url}/good/{name}": jpeg(100 + i) for i, name in enumerate(pictures)})
        fs.pipe({f"{bucket.url}/bad/{name}": data for name, data in pictures.items()})
        fs.pipe_file(f"{bucket.url}/bad.tar", tar_bytes(list(pictures.items())))
        fs.pipe_file(f"{bucket.url}/bad.parquet", table.getvalue().to_pybytes())
        fs.pipe_file(f"{bucket.url}/bad.json", json.dumps(tree).encode())
        yield bucket


@pytest.fixture
def bucket(shared: Bucket, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bucket]:
    """Without troubles, and without those tries of s3fs that would hide ours."""
    monkeypatch.setattr(fsspec.get_filesystem_class("s3"), "retries", 1)
    shared.troubles.clear()
    yield shared
    shared.troubles.clear()


def two_sources(bucket: Bucket, form: str, root: Path, **limits: float) -> Root:
    """A root over `good`, and over `bad` in a form."""
    bad = {"url": f"{bucket.url}/bad" + ("" if form == "folder" else f".{form}"), "name": "bad"}
    if form == "json":
        bad["images_url"] = f"{bucket.url}/bad"
    good = {"url": f"{bucket.url}/good", "name": "good"}
    return new_root(root, plain_config(good, bad, limits={"max_unread_share": 0.9, **limits}))


@pytest.fixture(scope="module")
def calm(shared: Bucket, tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[IngestRecord]]:
    """What an ingest without troubles records, its files with their sha256, by form."""
    found = {}
    for form in FORMS:
        root = two_sources(shared, form, tmp_path_factory.mktemp("calm"))
        root.run(Ingest())
        found[form] = root.journal()
    return found


def uris(root: Root) -> list[str]:
    return sorted(row["uri"] for row in root.rows("images"))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("form", FORMS)
def test_a_failure_that_passes_leaves_no_trace(
    bucket: Bucket, calm: dict[str, list[IngestRecord]], tmp_path: Path, form: str, kind: Kind
) -> None:
    """One bad answer in the middle: the same files as from a store that never failed."""
    trouble = Trouble(kind, FORMS[form], times=1)
    bucket.troubles.append(trouble)
    root = two_sources(bucket, form, tmp_path / "root")
    root.run(Ingest())
    assert trouble.seen == 1
    assert len(uris(root)) == 2 * EIGHT
    assert root.quarantine() == []
    assert root.journal() == calm[form]


@pytest.mark.parametrize("kind", LEFT)
@pytest.mark.parametrize("form", ["folder", "tar", "parquet"])
def test_what_cannot_be_read_is_left_for_the_next_run(bucket: Bucket, tmp_path: Path, form: str, kind: Kind) -> None:
    """The other source goes on, nothing is a verdict, and the run after the trouble has everything, once."""
    root = two_sources(bucket, form, tmp_path / "root")
    bucket.troubles.append(Trouble(kind, FORMS[form] if form != "folder" else "/bad/", FOREVER))
    root.run(Ingest())
    assert {uri.split("/")[0] for uri in uris(root)} == {"good"}
    assert root.quarantine() == []
    told = root.journal()
    status = Ingest().status(root.plan(), told)
    assert status.found == EIGHT, "what was not read was not found either"
    ((named, left),) = status.unread.items()
    assert (named, left.chunks, left.files) == (LEFT[kind], 1, EIGHT if form == "folder" else 1)
    assert bucket.url in left.example
    assert not Ingest().is_current(root.plan())
    bucket.troubles.clear()
    root.run(Ingest())
    assert len(uris(root)) == len(set(uris(root))) == 2 * EIGHT
    assert root.quarantine() == []
    assert read_unread(root.store) == ()
    assert Ingest().is_current(root.plan())


@pytest.mark.parametrize("form", ["tar", "parquet"])
def test_a_file_that_is_shorter_than_it_says_is_still_a_verdict(bucket: Bucket, tmp_path: Path, form: str) -> None:
    """Cut off where it lies, every byte of it is had: asking again would never end."""
    fs = fsspec.filesystem("s3")
    whole = fs.cat_file(f"{bucket.url}/bad.{form}")
    fs.pipe_file(f"{bucket.url}/cut.{form}", whole[: len(whole) // 2])
    root = new_root(
        tmp_path / "root",
        plain_config({"url": f"{bucket.url}/good", "name": "good"}, {"url": f"{bucket.url}/cut.{form}", "name": "cut"}),
    )
    root.run(Ingest())
    assert [row["reason"] for row in root.quarantine()] == [{"tar": "truncated", "parquet": "corrupt"}[form]]
    assert read_unread(root.store) == ()
