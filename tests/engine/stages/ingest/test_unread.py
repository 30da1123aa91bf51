"""What is left for the next run, when a run stops, and whom a store that fails must not accuse."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fld_engine.engine.data.images import ImageLimits
from fld_engine.engine.data.unread import read_unread
from fld_engine.engine.plan.tasks import Isolation, Span
from fld_engine.engine.run.messages import Failed
from fld_engine.engine.run.worker import WorkerLoop
from fld_engine.engine.sources.open import open_source
from fld_engine.engine.stages.annotate.stage import Annotate
from fld_engine.engine.stages.coverage.stage import Coverage
from fld_engine.engine.stages.export.stage import Export
from fld_engine.engine.stages.export.verify import verify
from fld_engine.engine.stages.filter.stage import Filter
from fld_engine.engine.stages.ingest.scan import scan
from fld_engine.engine.stages.ingest.stage import Ingest
from fld_engine.engine.stages.ingest.tasks import ScanChunk
from fld_engine.schemas.errors import RunnerError, SourceError, TransportError
from tests.known_faults.far import far_traffic
from tests.known_faults.in_process import Root, new_root, plain_config
from tests.known_faults.pictures import jpeg
from tests.known_faults.test_sources import failing, failing_once, refusal
from tests.roots import digest, write_photographs


def uris(root: Root) -> list[str]:
    return sorted(row["uri"] for row in root.rows("images"))


def far_root(tmp_path: Path, *folders: str, **limits: float) -> Root:
    sources = [{"url": f"far://{tmp_path}/{name}", "name": name} for name in folders]
    return new_root(tmp_path / "root", plain_config(*sources, limits=limits))


def test_past_the_limit_the_run_stops_and_the_next_one_is_as_if_nothing_had_happened(tmp_path: Path) -> None:
    """Half of the bytes cannot be had: a dataset of the other half is not what was asked for."""
    for number, name in enumerate(("a", "b")):
        write_photographs(tmp_path / name, 4, seed=number)
    far_traffic()
    calm = new_root(tmp_path / "calm", far_root(tmp_path, "a", "b").config)
    calm.run(Ingest())
    root = far_root(tmp_path, "a", "b")
    far_traffic().trouble = failing("-1-002.jpg", refusal("SlowDown"))
    with pytest.raises(TransportError, match=r"max_unread_share .10%.: 1 chunks, the first: far://.*1-002.jpg"):
        root.run(Ingest())
    assert root.journal() == []
    assert [one.source for one in read_unread(root.store)] == ["b"]
    far_traffic()
    root.run(Ingest())
    assert root.journal() == calm.journal()
    assert read_unread(root.store) == ()


def test_a_chunk_that_left_the_source_is_not_waited_for(tmp_path: Path) -> None:
    """Unread yesterday, deleted today: the root is whole again, and says so."""
    for number, name in enumerate(("a", "b")):
        write_photographs(tmp_path / "all" / name, 4, seed=number)
    root = far_root(tmp_path, "all/a", "all/b", max_unread_share=1)
    far_traffic().trouble = failing("-1-002.jpg", refusal("SlowDown"))
    root.run(Ingest())
    assert read_unread(root.store)
    only_a = Root(root.store, plain_config({"url": f"far://{tmp_path}/all/a", "name": "all/a"}))
    assert not Ingest().is_current(only_a.plan())
    only_a.run(Ingest())
    assert Ingest().is_current(only_a.plan())
    assert read_unread(root.store) == ()


@pytest.mark.parametrize("code", ["NoSuchKey", "AccessDenied"])
def test_where_nothing_of_a_chunk_can_be_had_no_image_is_at_fault(tmp_path: Path, code: str) -> None:
    """A mount that went away says of every file that it is gone, an account that was closed that it is forbidden."""
    write_photographs(tmp_path / "a", 4)
    root = far_root(tmp_path, "a")
    traffic = far_traffic()
    refused: list[str] = []

    def from_the_second_on(path: str, start: int, stop: int) -> None:
        if refused or path.endswith("001.jpg"):
            refused.append(path)
            raise refusal(code)

    traffic.trouble = from_the_second_on
    with pytest.raises(TransportError):
        root.run(Ingest())
    far_traffic()
    root.run(Ingest())
    assert len(uris(root)) == 4
    assert root.quarantine() == []


def test_reading_that_hangs_accuses_no_image(tmp_path: Path) -> None:
    """Whoever watches must see that a worker waits for bytes; twice lost there, the chunk is left, not an image."""
    write_photographs(tmp_path / "a", 3)
    root = far_root(tmp_path, "a")
    far_traffic()
    (chunk,) = open_source(root.config.sources[0]).chunks()
    task = ScanChunk(chunk=chunk, index=0, out="ingest/000001/x", images=ImageLimits())
    spans: list[tuple[str, int]] = []

    def worker(isolation: Isolation) -> Any:
        def report(span: Span, finished: int) -> None:
            spans.append((span.step, span.start))

        return cast(Any, SimpleNamespace(store=root.store, isolation=isolation, report=report))

    scan(task, worker(Isolation(careful=True)))
    assert list(dict.fromkeys(spans))[:4] == [("read", 0), ("scan", 0), ("read", 1), ("scan", 1)]
    condemned = ((Span(step="read", start=1, stop=2), "hung_worker"),)
    result = scan(task, worker(Isolation(careful=True, condemned=condemned)))
    assert result.unread is not None
    assert result.unread.kind == "interrupted"
    assert result.files == {}


def test_a_scan_of_an_older_version_is_taken_up(tmp_path: Path) -> None:
    """Half an ingest of 0.1.0 stands with tables under names without an attempt: they are not read again."""
    write_photographs(tmp_path / "a", 3)
    root = far_root(tmp_path, "a")
    traffic = far_traffic()
    root.run(Ingest())
    root.store.delete("ingest/000001.json")
    folder = tmp_path / "root/ingest/000001"
    (told,) = (path for path in folder.glob("*.json"))
    text = told.read_text()
    for table in folder.glob(f"{told.stem}.*.parquet"):
        _, attempt, *_ = table.name.split(".")
        table.rename(folder / table.name.replace(f".{attempt}.", "."))
        text = text.replace(f".{attempt}.", ".")
    told.write_text(text.replace(',"unread":null', ""))
    traffic.num_bytes.clear()
    root.run(Ingest())
    assert len(uris(root)) == 3
    assert sum(traffic.num_bytes.values()) == sum(path.stat().st_size for path in (tmp_path / "a").iterdir()), (
        "read once, to be packed"
    )


# ------------------------------------------------------------------------------------------------ the root's own store


def test_a_root_whose_store_fails_makes_no_image_fail(tmp_path: Path) -> None:
    """While a partition's tar is fetched to be annotated or exported: the task is tried again, and nobody is blamed."""
    write_photographs(tmp_path / "a", 4)
    far_traffic()
    config = plain_config(
        {"url": f"far://{tmp_path}/a", "name": "a"}, annotators={"first": {"use": "fake", "params": {"regions": 2}}}
    )
    new_root(f"far://{tmp_path}/calm", config).run_all()
    root = new_root(f"far://{tmp_path}/root", config)
    root.run(Ingest())
    (lane,) = root.plan().lanes(Annotate())
    far_traffic().trouble = failing(".tar", refusal("SlowDown"))
    events: list[Any] = []
    WorkerLoop(events.append, lambda: None).run(lane.tasks[0])
    assert isinstance(events[-1], Failed)
    assert (events[-1].error, events[-1].fatal) == ("TransportError", False)
    for stage in (Annotate(), Filter(), Coverage(), Export()):
        far_traffic().trouble = failing_once(".tar", 0, refusal("SlowDown"))
        root.run(cast(Any, stage))
    far_traffic()
    (told,) = Annotate().status(root.plan(), root.journal()).annotated.values()
    assert (told.done, told.failed) == (4, 0)
    assert digest(root.store.url) == digest(f"far://{tmp_path}/calm")


def test_a_table_of_web_addresses_is_a_list_to_fetch_and_no_address_is_asked(tmp_path: Path) -> None:
    """One dead host of 400 million would end an ingest, and each try of it would ask the others again."""
    links = [f"http://127.0.0.1:9/{i}.jpg" for i in range(2)]
    pq.write_table(pa.table({"url": links, "caption": ["a", "b"]}), tmp_path / "t.parquet")
    root = new_root(tmp_path / "root", plain_config({"url": str(tmp_path / "t.parquet"), "name": "t"}))
    with pytest.raises(SourceError, match=r"web addresses in column url, 'http://127.*fetch"):
        root.run(Ingest())


def test_a_web_address_among_names_of_files_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(jpeg(1))
    pq.write_table(pa.table({"url": ["a.jpg", "http://127.0.0.1:9/b.jpg"]}), tmp_path / "t.parquet")
    root = new_root(tmp_path / "root", plain_config({"url": str(tmp_path / "t.parquet"), "name": "t"}))
    root.run(Ingest())
    assert uris(root) == ["t#0"]
    assert [(row["uri"], row["reason"]) for row in root.quarantine()] == [("t#1", "web_address")]


def test_verifying_over_a_store_that_fails_calls_no_shard_damaged(tmp_path: Path) -> None:
    """The cure for a damaged shard is to remove it: nobody must be told so of a good one."""
    write_photographs(tmp_path / "a", 4)
    far_traffic()
    root = far_root(tmp_path, "a")
    root.run_all()
    url = f"far://{tmp_path}/root/export"
    assert verify(url).ok
    far_traffic().trouble = failing(".tar", refusal("SlowDown"))
    with pytest.raises(TransportError):
        verify(url)


def test_packing_from_a_store_that_fails_is_taken_up(tmp_path: Path) -> None:
    """Everything is scanned, then the store goes: nothing is recorded, and the next run needs no second scan."""
    write_photographs(tmp_path / "a", 4)
    root = far_root(tmp_path, "a")
    traffic = far_traffic()

    def once_scanned(path: str, start: int, stop: int) -> None:
        if path.endswith("001.jpg") and list((tmp_path / "root/ingest/000001").glob("matches-*")):
            raise refusal("SlowDown")

    traffic.trouble = once_scanned
    with pytest.raises(RunnerError, match="TransportError"):
        root.run(Ingest())
    assert root.journal() == []
    far_traffic()
    root.run(Ingest())
    assert len(uris(root)) == 4
    assert root.quarantine() == []
