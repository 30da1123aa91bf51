"""`fld inspect` as it is typed: words for people, JSON for programs, settings of the source by their names."""

from __future__ import annotations

import json
from pathlib import Path

from typer.testing import CliRunner

from fld_engine.flows.cli import app
from tests.hostile import jpeg


def test_a_source_is_looked_into_and_nothing_is_written(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.jpg").write_bytes(jpeg())
    (tmp_path / "labels.json").write_text(json.dumps({"images": [{"id": 1, "file_name": "a.jpg"}], "annotations": []}))
    before = sorted(tmp_path.rglob("*"))
    asked = ["inspect", str(tmp_path / "labels.json"), "--set", f"images_url={tmp_path / 'photos'}"]
    told = CliRunner().invoke(app, asked)
    assert told.exit_code == 0, told.output
    assert "coco, 1 images" in told.output
    assert "licence: none stated" in told.output
    found = json.loads(CliRunner().invoke(app, [*asked, "--json"]).output)
    assert (found["kind"], found["images"], found["is_exact"]) == ("coco", 1, True)
    assert sorted(tmp_path.rglob("*")) == before


def test_a_setting_that_no_source_has_is_refused_by_its_name(tmp_path: Path) -> None:
    told = CliRunner().invoke(app, ["inspect", str(tmp_path), "--set", "images_ulr=x"])
    assert told.exit_code != 0
    assert "images_ulr" in str(told.exception)


def test_a_list_of_addresses_is_told_in_its_own_words(tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_text("http://a.org/1.jpg\nhttp://u:secret@b.org/2.jpg\nhttp://127.0.0.1/3.jpg\n")
    told = CliRunner().invoke(app, ["inspect", str(tmp_path / "list.txt"), "--set", "fetch=true"])
    assert told.exit_code == 0, told.output
    assert "addresses, 3 addresses in 1 files" in told.output
    assert "columns: address: url" in told.output
    assert "private_address 1" in told.output
    assert "secret" not in told.output
