"""The cache folder: where it is, whole files only, and disks that refuse."""

from __future__ import annotations

import errno
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest

from fld_engine.annotators.common.cache import cache_folder, disk_errors, locked, require_space, sha256_of, write_whole
from fld_engine.schemas.errors import ModelError


def test_the_environment_moves_the_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("FLD_CACHE", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    assert cache_folder() == tmp_path / ".cache/fld-engine"
    monkeypatch.setenv("XDG_CACHE_HOME", "/xdg")
    assert cache_folder() == Path("/xdg/fld-engine")
    monkeypatch.setenv("FLD_CACHE", "~/models")
    assert cache_folder() == tmp_path / "models"


def test_a_file_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    """Another worker may look at any moment; what it finds under the name must be complete."""
    path = tmp_path / "new/folder/model.onnx"
    write_whole(path, b"first")
    write_whole(path, b"second")
    assert path.read_bytes() == b"second"
    assert [p.name for p in path.parent.iterdir()] == ["model.onnx"]
    assert sha256_of(path).startswith("16367aacb67a4a01")  # sha256("second")


def test_a_failed_write_leaves_the_old_file_and_no_litter(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    write_whole(path, b"good")
    with pytest.raises(TypeError):
        write_whole(path, "not bytes")  # type: ignore[arg-type]
    assert path.read_bytes() == b"good"
    assert [p.name for p in tmp_path.iterdir()] == ["model.onnx"]


def test_a_full_disk_is_an_error_with_a_cure(tmp_path: Path) -> None:
    """/dev/full refuses every byte with ENOSPC, as a full disk does."""
    with pytest.raises(ModelError, match=r"the disk is full.*set FLD_CACHE"), disk_errors(tmp_path):
        Path("/dev/full").write_bytes(b"x" * 100_000)


def test_a_file_in_place_of_the_folder_is_an_error_with_a_cure(tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file")
    with pytest.raises(ModelError, match=r"cannot be written to.*set FLD_CACHE"):
        write_whole(tmp_path / "cache/model.onnx", b"x")


def test_other_system_errors_are_not_disguised(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="I/O"), disk_errors(tmp_path):
        raise OSError(errno.EIO, "I/O error")


def test_too_little_space_is_said_before_any_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    require_space(tmp_path, 1)
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: SimpleNamespace(free=5_000_000))
    with pytest.raises(ModelError, match="has 5 MB free, 289 MB are needed"):
        require_space(tmp_path, 289_000_000)


def test_a_lock_is_free_again_after_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLD_CACHE", str(tmp_path))
    with pytest.raises(ZeroDivisionError), locked("model"):
        _ = 1 / 0
    with locked("model"):
        pass
