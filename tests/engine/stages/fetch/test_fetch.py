"""A list of addresses becomes tars whatever the servers do: every address has a row, is asked once, and bytes agree."""

from __future__ import annotations

import json
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fld_engine.engine.data.hashing import sha256_hex
from fld_engine.engine.data.store import Store
from fld_engine.engine.plan.keeps import Holding
from fld_engine.engine.sources.fetched import read_records
from fld_engine.engine.stages.fetch.again import mark_unfetched
from fld_engine.engine.stages.fetch.stage import Fetch
from fld_engine.engine.stages.ingest.stage import Ingest
from fld_engine.engine.stages.removal.request import begin, resume
from fld_engine.schemas.errors import ConfigError, SourceError
from tests.fetching import (
    FRIENDLY,
    HOSTILE,
    REPOSITORY,
    TRIED_AGAIN,
    TRIES,
    addresses,
    asked,
    config_of,
    digests,
    hostile_web,
)
from tests.hostile_web import image_of
from tests.known_faults.in_process import Root, new_root, plain_config
from tests.waiting import wait_until


@pytest.fixture(scope="module")
def web(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    with hostile_web(tmp_path_factory.mktemp("served") / "web") as served:
        yield served


def write_list(path: Path, urls: list[str]) -> Path:
    path.write_text("".join(f"{url}\tcaption {number}\n" for number, url in enumerate(urls)))
    return path


def table(root: Path, shard: str = "00000") -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = pq.read_table(root / f"fetched/web/{shard}.parquet").to_pylist()
    return rows


def fetched_root(tmp_path: Path, urls: list[str], **fetch: Any) -> Root:
    root = new_root(tmp_path / "root", config_of(write_list(tmp_path / "list.tsv", urls), **fetch))
    root.run(Fetch())
    return root


def test_every_address_has_a_row_with_what_its_server_did(tmp_path: Path, web: tuple[str, Path]) -> None:
    url, log = web
    kinds = [*HOSTILE, *FRIENDLY]
    mine = [f"{url}/{kind}{'-' if kind.startswith('status') else '/'}rows.jpg" for kind in kinds]
    others = {
        "http://10.0.0.1/a.jpg": "private_address",
        "http://[::ffff:169.254.169.254]/a.jpg": "private_address",
        "http://0xa.1/a.jpg": "private_address",  # 10.0.0.1, as a resolver reads it
        "http://167772161/a.jpg": "private_address",
        "http://10.0.0.1./a.jpg": "private_address",
        "http://nobody.invalid/a.jpg": "dns",
        "ftp://example.org/a.jpg": "bad_address",
        "no address": "bad_address",
        "": "bad_address",
    }
    fetched_root(tmp_path, [*mine, *others])
    rows = table(tmp_path / "root")
    expected = [*HOSTILE.values(), *[""] * len(FRIENDLY), *others.values()]
    assert [row["reason"] for row in rows] == expected
    assert [row["status"] for row in rows] == ["failed_to_download" if why else "success" for why in expected]
    told = {kind: row["http_status"] for kind, row in zip(kinds, rows, strict=False)}
    assert (told["status/404"], told["loop"], told["private"], told["noise"], told["ok"]) == (404, 302, 302, 0, 200)
    for kind, address in zip(kinds, mine, strict=True):
        if kind not in ("loop", "chain", "ok"):  # a redirect leads to the last one, too
            times = TRIES if kind in TRIED_AGAIN else 1
            assert asked(log)[address.removeprefix(url)] == times, f"{kind} was not asked {times} times"
    with tarfile.open(tmp_path / "root/fetched/web/00000.tar") as tar:
        held = {member.name: tar.extractfile(member).read() for member in tar if member.isfile()}  # type: ignore[union-attr]
    for index, address in list(enumerate(mine))[len(HOSTILE) :]:
        key = f"00000{index:04d}"
        assert held[f"{key}.jpg"] == image_of(address), f"{address} has other bytes than the server's"
        assert held[f"{key}.txt"] == f"caption {index}".encode()
        assert json.loads(held[f"{key}.json"])["url"] == address
        assert rows[index]["sha256"] == sha256_hex(image_of(address))
    assert len(held) == 3 * len(FRIENDLY)
    stats = json.loads((tmp_path / "root/fetched/web/00000_stats.json").read_text())
    assert (stats["count"], stats["successes"]) == (len(expected), len(FRIENDLY))


@pytest.mark.parametrize("kind", ["silent", "drip"])
def test_a_server_that_takes_its_time_is_given_up(tmp_path: Path, web: tuple[str, Path], kind: str) -> None:
    fetched_root(tmp_path, [f"{web[0]}/{kind}/late.jpg", f"{web[0]}/ok/late.jpg"], total_s=1.0, retries=0)
    assert [row["reason"] for row in table(tmp_path / "root")] == ["timeout", ""]


def test_a_host_is_asked_for_no_more_at_once_than_it_is_to_be(tmp_path: Path, web: tuple[str, Path]) -> None:
    fetched_root(tmp_path, [f"{web[0]}/held/{number}.jpg" for number in range(12)], per_host=3)
    with tarfile.open(tmp_path / "root/fetched/web/00000.tar") as tar:
        told = [int(tar.extractfile(m).read().split()[-2]) for m in tar if m.name.endswith(".jpg")]  # type: ignore[union-attr]
    assert len(told) == 12
    assert max(told) == 2, "of three at once, two are others"


def test_who_asks_for_more_time_than_is_given_is_left_for_another_day(tmp_path: Path, web: tuple[str, Path]) -> None:
    url, log = web
    root = fetched_root(tmp_path, [f"{url}/later/x.jpg"], max_wait_s=0.1)
    assert [row["reason"] for row in table(tmp_path / "root")] == ["status_503"]
    assert asked(log)["/later/x.jpg"] == 1
    assert mark_unfetched(root.store, root.config) == 1


def test_a_host_that_does_nothing_but_ask_for_time_holds_up_nobody(tmp_path: Path, web: tuple[str, Path]) -> None:
    """Each address is asked, but once a host was waited for in vain for long enough, none of them again."""
    url, log = web
    fetched_root(tmp_path, [f"{url}/busy/{number}.jpg" for number in range(40)], max_wait_s=0.1, per_host=1)
    assert {row["reason"] for row in table(tmp_path / "root")} == {"status_429"}
    times = [asked(log)[f"/busy/{number}.jpg"] for number in range(40)]
    assert min(times) == 1
    assert sum(times) < 50


@pytest.mark.long(1)
def test_a_fetch_that_is_killed_again_and_again_asks_for_each_once_and_ends_with_the_same_bytes(
    tmp_path: Path, web: tuple[str, Path]
) -> None:
    url, log = web
    urls = [*addresses(url, 1000), f"{url}/ok/0.jpg"]
    list_ = write_list(tmp_path / "list.tsv", urls)
    in_flight = 64
    before = asked(log).total()
    kills = 3
    for kill in range(kills):
        command = [sys.executable, "-m", "tests.fetching", str(list_), str(tmp_path / "killed"), "0"]
        driver = subprocess.Popen(command, cwd=REPOSITORY, stderr=subprocess.DEVNULL)
        enough = before + (kill + 1) * 250
        wait_until(lambda enough=enough: asked(log).total() > enough, driver=driver)
        driver.kill()
        driver.wait()
    root = new_root(tmp_path / "killed", config_of(list_))
    root.run(Fetch())
    paths = {one.removeprefix(url) for one in urls}
    once = {p for p in paths if p.split("/")[1] in ("ok", "redirect", "html", "noai", "packed", "longer", "bomb")}
    more = sum(number - 1 for path, number in asked(log).items() if path in once)
    assert more <= kills * in_flight, "addresses that had answers were asked again"
    new_root(tmp_path / "whole", config_of(list_)).run(Fetch())
    assert digests(tmp_path / "killed") == digests(tmp_path / "whole")
    assert sum(r.count for r in read_records(root.store, "web").values()) == len(urls)


def test_equal_addresses_are_asked_once_and_each_row_has_the_image_and_its_own_caption(
    tmp_path: Path, web: tuple[str, Path]
) -> None:
    url, log = web
    twice = f"{url}/ok/twice.jpg"
    other = twice.replace("http", "HTTP") + "#at"  # no server hears of either
    absent = f"{url}/status/404-x"
    root = fetched_root(tmp_path, [twice, f"{url}/ok/other.jpg", twice, absent, absent, other])
    assert asked(log)["/ok/twice.jpg"] == asked(log)["/status/404-x"] == 1
    assert [row["same_as"] for row in table(tmp_path / "root")] == ["", "", "000000000", "", "000000003", "000000000"]
    root.run(Ingest())
    assert sorted(row["text"] for row in root.rows("texts")) == ["caption 0", "caption 1", "caption 2", "caption 5"]
    assert next(row["uris"] for row in root.rows("images")) == [
        "web/00000.tar!000000000.jpg",
        "web/00000.tar!000000002.jpg",
        "web/00000.tar!000000005.jpg",
    ]


def test_a_list_that_grows_has_its_new_addresses_asked_and_no_other(tmp_path: Path, web: tuple[str, Path]) -> None:
    url, log = web
    folder = tmp_path / "lists"
    folder.mkdir()
    write_list(folder / "b.tsv", [f"{url}/ok/grown1.jpg", f"{url}/html/grown2.jpg"])
    root = new_root(tmp_path / "root", config_of(folder))
    root.run(Fetch())
    root.run(Ingest())
    first = digests(tmp_path / "root")
    write_list(folder / "a.tsv", [f"{url}/ok/grown3.jpg", f"{url}/ok/grown1.jpg", f"{url}/html/grown2.jpg"])
    assert not Fetch().is_current(root.plan())
    root.run(Fetch())
    root.run(Ingest())
    assert {path: asked(log)[f"/{path}.jpg"] for path in ("ok/grown1", "html/grown2", "ok/grown3")} == {
        "ok/grown1": 1, "html/grown2": 1, "ok/grown3": 1,
    }  # fmt: skip
    assert digests(tmp_path / "root")["fetched/web/00000.tar"] == first["fetched/web/00000.tar"]
    rows = table(tmp_path / "root", "00001")
    assert [(row["reason"], row["same_as"]) for row in rows] == [
        ("", ""), ("", "000000000"), ("not_an_image", "000000001"),
    ]  # fmt: skip
    assert len(root.rows("images")) == 3, "two images, and what is said of one of them at its new place"


def test_hashes_of_the_list_are_checked_and_columns_of_ours_do_not_hide_those_of_the_list(
    tmp_path: Path, web: tuple[str, Path]
) -> None:
    urls = [f"{web[0]}/ok/hash{number}.jpg" for number in range(4)]
    right = [sha256_hex(image_of(one)) for one in urls]
    columns = {
        "LICENSE": ["?", "", None, "CC BY 2.0"],
        "url": urls, "text": ["a", "b", "c", "d"], "uid": [1, 2, 3, 4],
        "sha256": [right[0].upper(), right[0], None, right[3]], "face_bboxes": [[[0.1, 0.2]], [], None, [[1.0]]],
    }  # fmt: skip
    pq.write_table(pa.table(columns), tmp_path / "part-0.parquet")
    spec = {"url": str(tmp_path / "part-0.parquet"), "name": "web", "kind": "datacomp", "licence": "web's"}
    root = new_root(tmp_path / "root", plain_config({**spec, "fetch": {"allow_networks": ["127.0.0.1"]}}))
    root.run(Fetch())
    rows = table(tmp_path / "root")
    assert [row["reason"] for row in rows] == ["", "hash_differs", "", ""]
    assert [row["listed_sha256"] for row in rows] == columns["sha256"]
    assert [row["face_bboxes"] for row in rows] == columns["face_bboxes"]
    root.run(Ingest())
    assert sorted(row["text"] for row in root.rows("texts")) == ["a", "c", "d"]
    assert sorted(row["licence"] for row in root.rows("images")) == ["CC BY 2.0", "web's", "web's"]


def test_hosts_that_opted_out_are_never_asked(tmp_path: Path, web: tuple[str, Path]) -> None:
    url, log = web
    (tmp_path / "hosts").write_text("# ours\nexample.org\n127.0.0.1\n")
    fetched_root(
        tmp_path, [f"{url}/ok/optout.jpg", "http://www.example.org/a.jpg"], opted_out_list=str(tmp_path / "hosts")
    )
    assert {row["reason"] for row in table(tmp_path / "root")} == {"opted_out"}
    assert asked(log)["/ok/optout.jpg"] == 0


def test_asking_again_asks_for_what_may_pass_and_leaves_the_rest_as_it_was(
    tmp_path: Path, web: tuple[str, Path]
) -> None:
    url, log = web
    urls = [f"{url}/once/later.jpg", f"{url}/status/404-again", f"{url}/ok/again.jpg", f"{url}/status/502-again"]
    root = fetched_root(tmp_path, urls, retries=0)
    root.run(Ingest())
    assert [row["reason"] for row in table(tmp_path / "root")] == ["status_503", "status_404", "", "status_502"]
    assert mark_unfetched(root.store, root.config) == 2
    assert not Fetch().is_current(root.plan())
    root.run(Fetch())
    assert [row["reason"] for row in table(tmp_path / "root")] == ["", "status_404", "", "status_502"]
    asked_for = {path: asked(log)[path] for path in ("/status/404-again", "/ok/again.jpg", "/status/502-again")}
    assert asked_for == {"/status/404-again": 1, "/ok/again.jpg": 1, "/status/502-again": 2}
    root.run(Ingest())
    assert sorted(uri for row in root.rows("images") for uri in row["uris"]) == [
        "web/00000-2.tar!000000000.jpg",
        "web/00000.tar!000000002.jpg",
    ]
    assert Fetch().is_current(root.plan())
    assert Ingest().is_current(root.plan())


def test_tars_that_are_not_kept_go_once_they_are_ingested_and_nothing_is_asked_or_read_again(
    tmp_path: Path, web: tuple[str, Path]
) -> None:
    url, log = web
    urls = [f"{url}/ok/gone1.jpg", f"{url}/status/500-gone"]
    root = fetched_root(tmp_path, urls, keep=False)
    root.run(Ingest())
    assert not list((tmp_path / "root/fetched").rglob("*.tar"))
    assert Fetch().is_current(root.plan())
    assert Ingest().is_current(root.plan())
    moved = tmp_path / "elsewhere"
    (tmp_path / "root").rename(moved)
    there = Root(Store(str(moved)), root.config)
    assert Ingest().is_current(there.plan()), "a root that was moved must not look for its tars again"
    assert mark_unfetched(there.store, there.config) == 1
    there.run(Fetch())
    there.run(Ingest())
    assert asked(log)["/ok/gone1.jpg"] == 1
    assert len(there.rows("images")) == 1


def test_a_removed_image_goes_out_of_what_was_fetched_and_is_not_asked_for_again(
    tmp_path: Path, web: tuple[str, Path]
) -> None:
    url, log = web
    root = fetched_root(tmp_path, [f"{url}/ok/stays.jpg", f"{url}/ok/removed.jpg", f"{url}/ok/last.jpg"])
    root.run(Ingest())
    bytes_of = image_of("/ok/removed.jpg")
    begin(root.store, [sha256_hex(bytes_of)[:32]])
    resume(root.store, lambda: None)
    held = b"".join(path.read_bytes() for path in (tmp_path / "root").rglob("*") if path.suffix in (".tar", ".json"))
    assert b"removed.jpg" not in held
    rows = table(tmp_path / "root")
    assert [(row["reason"], row["url"]) for row in rows][1] == ("removed", None)
    assert Fetch().is_current(root.plan())
    assert Ingest().is_current(root.plan()), "the tar is another one, and nothing of it is to be read again"
    assert asked(log)["/ok/removed.jpg"] == 1
    with tarfile.open(tmp_path / "root/fetched/web/00000.tar") as tar:
        for row in (rows[0], rows[2]):
            assert tar.getmember(row["member"]).offset_data == row["offset"]


def test_a_list_is_never_fetched_without_being_asked_for(tmp_path: Path) -> None:
    list_ = write_list(tmp_path / "list.tsv", ["http://127.0.0.1:9/a.jpg"])
    root = new_root(tmp_path / "root", plain_config({"url": str(list_), "name": "web"}))
    assert Fetch().is_current(root.plan()) or root.run(Fetch()).addresses == 0
    with pytest.raises(SourceError, match="fetch"):
        root.run(Ingest())


def test_a_source_of_images_cannot_be_fetched(tmp_path: Path) -> None:
    from fld_engine.engine.sources.item import SourceSpec
    from fld_engine.engine.sources.open import check_spec

    with pytest.raises(ConfigError, match="fetch"):
        check_spec(SourceSpec.model_validate({"url": str(tmp_path), "kind": "folder", "fetch": True}), where="x")
    assert Holding(glob="fetched", how="own") in Fetch.holdings
