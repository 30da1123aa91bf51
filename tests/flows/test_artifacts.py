"""Keys that Prefect takes and that tell roots apart, and words that bring a reader to the report."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from fld_engine.engine.data.store import Store
from fld_engine.flows.artifacts import key_of, where_to_look


@pytest.mark.parametrize("name", ["demo", "Photos of 2024 (new)", "über_ALLES.v2", "写真", "x" * 200])
def test_a_key_has_the_letters_that_prefect_takes_and_the_roots_name(tmp_path: Path, name: str) -> None:
    key = key_of(Store(str(tmp_path / name)), "progress", "annotate", "OCR_v2")
    assert re.fullmatch(r"fld-progress-annotate-ocr-v2-(?:[a-z0-9-]+-)?[0-9a-f]{8}", key)
    assert len(key) < 100


def test_two_roots_of_one_name_have_two_keys_and_one_root_has_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = (key_of(Store(str(tmp_path / folder / "demo")), "report") for folder in ("a", "b"))
    assert one != other
    monkeypatch.chdir(tmp_path)
    assert key_of(Store("a/demo/"), "report") == one, "however it is written"


def test_a_key_does_not_give_a_password_away() -> None:
    addresses = ("s3://me:hunter2@bucket/demo", "s3://me:hunter3@bucket/demo")
    assert len({key_of(Store(address), "report") for address in addresses}) == 1


def test_a_page_on_a_disk_is_named_and_not_linked(tmp_path: Path) -> None:
    said = where_to_look(Store(str(tmp_path / "my root")), "report/index.html")
    assert (tmp_path / "my root/report/index.html").as_uri() in said
    assert "](" not in said, "no browser follows a link from a page of Prefect to a file"


def test_a_page_on_s3_is_linked_where_amazon_has_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    monkeypatch.delenv("AWS_ENDPOINT_URL_S3", raising=False)
    root = Store("s3://bucket/sets/demo")
    said = where_to_look(root, "report/index.html")
    assert "(https://console.aws.amazon.com/s3/object/bucket?prefix=sets/demo/report/index.html)" in said
    assert "aws s3 cp --recursive s3://bucket/sets/demo/report report" in said
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9000")
    elsewhere = where_to_look(root, "report/index.html")
    assert "](" not in elsewhere
    assert "s3://bucket/sets/demo/report/index.html" in elsewhere
