"""What an address opens its door with is in no file of a root."""

from __future__ import annotations

from pathlib import Path

import fsspec
import pytest

from fld_engine.engine.data.secrets import referring, resolved
from fld_engine.engine.data.store import Store
from fld_engine.engine.plan.config import dump_config
from fld_engine.engine.sources.listing import list_files
from fld_engine.flows.root import keep_config
from fld_engine.schemas.errors import ConfigError
from tests.object_store import served_bucket
from tests.roots import fake_config, run_pipeline, write_photographs


@pytest.mark.parametrize("pattern", ["", "/*.jpg"])
def test_a_root_holds_the_reference_and_no_file_the_value(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pattern: str
) -> None:
    """Tasks, scan tables, partitions, journal, config and manifest: whoever gets the root does not get the key."""
    write_photographs(tmp_path / "photos", 2)
    with served_bucket() as bucket:
        secret = "s3cret-folder"
        monkeypatch.setenv("PHOTOS", f"{bucket.removeprefix('s3://')}/{secret}")
        fs = fsspec.filesystem("s3")
        for path in (tmp_path / "photos").iterdir():
            fs.put_file(str(path), f"{bucket}/{secret}/{path.name}")
        config = fake_config("s3://${PHOTOS}" + pattern)
        pipeline = run_pipeline(tmp_path / "root", config)
        keep_config(pipeline.store, config)
    assert len(pipeline.plan().partitions) == 1
    files = [path for path in (tmp_path / "root").rglob("*") if path.is_file()]
    assert [str(path) for path in files if secret.encode() in path.read_bytes()] == []
    assert "${PHOTOS}" in dump_config(config)


def test_a_variable_that_is_not_set_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NOWHERE", raising=False)
    for opens in (lambda: list_files("s3://${NOWHERE}/a", "a"), lambda: Store("s3://${NOWHERE}/root")):
        with pytest.raises(ConfigError, match="environment variable NOWHERE, which is not set"):
            opens()


def test_references_are_put_back_where_their_values_stand(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("USER_NAME", "alice")
    monkeypatch.setenv("PASSWORD", "p/w")
    given = "ftp://${USER_NAME}:${PASSWORD}@host/photos"
    assert resolved(given) == "ftp://alice:p/w@host/photos"
    assert referring(resolved(given) + "/a.jpg", given) == given + "/a.jpg"
    assert resolved("no reference, $HOME and {braces}") == "no reference, $HOME and {braces}"
