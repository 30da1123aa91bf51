"""Checkpoints at fsspec URLs: their files with `SHA256SUMS` beside them, and a node's own copy, every file checked."""

from __future__ import annotations

import shutil
from pathlib import Path

import fsspec

from annotators.packaged.cache import disk_errors, locked, require_space, sha256_of
from schemas.errors import ModelError

HASHES = "SHA256SUMS"


def copied(url: str, folder: Path) -> Path:
    """A node's own copy of a published checkpoint: made once, under a lock, every file checked."""
    if folder.is_dir():
        return folder
    with locked(f"checkpoint-{folder.parent.name}-{folder.name}"), disk_errors(folder.parent):
        if folder.is_dir():
            return folder
        partial = folder.with_name(f".{folder.name}.partial")
        shutil.rmtree(partial, ignore_errors=True)  # of a process that was killed
        try:
            _fetch(url, partial)
            partial.rename(folder)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
    return folder


def _fetch(url: str, folder: Path) -> None:
    """Raises `ModelError` where the files are not there, or not those that were published."""
    fs, where = fsspec.core.url_to_fs(url)
    hashes = published(url)
    again = f"delete {url} and run `fld models pull` with the same config"
    try:
        require_space(folder.parent, sum(fs.size(f"{where}/{name}") or 0 for name in hashes))
        for name, sha in hashes.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            fs.get_file(f"{where}/{name}", str(folder / name))
            if (found := sha256_of(folder / name)) != sha:
                raise ModelError(f"{url}/{name} is not what was published (sha256 {found}, expected {sha}): {again}")
    except FileNotFoundError as error:
        raise ModelError(f"{url} lacks a file that was published ({error}): {again}") from error


def published(url: str) -> dict[str, str]:
    """Name → sha256 of the files at a URL. Raises `ModelError` where no checkpoint was published there."""
    fs, where = fsspec.core.url_to_fs(url)
    try:
        lines = fs.cat_file(f"{where}/{HASHES}").decode().splitlines()
    except FileNotFoundError:
        raise ModelError(
            f"{url} holds no {HASHES}: if it is under a models root, run `fld models pull` with the same config; "
            "a checkpoint at a URL is one that was published there, or a student that `fld refine` kept"
        ) from None
    return {name: sha for sha, name in (line.split("  ", 1) for line in lines)}
