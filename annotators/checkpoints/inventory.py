"""Which checkpoints are on this machine, and fetching those of a config ahead of a run."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

from fld_engine.annotators.checkpoints.checkpoint import HASHES
from fld_engine.annotators.checkpoints.hub_files import CARD, licence_of
from fld_engine.annotators.checkpoints.params import HubParams
from fld_engine.annotators.common.cache import cache_folder


class CachedCheckpoint(NamedTuple):
    """A checkpoint on this machine; `licence` is what its card says, or empty."""

    id: str
    revision: str
    num_bytes: int
    licence: str


def fetch(params: HubParams, progress: Callable[[str], None]) -> HubParams:
    """Pin a checkpoint, fetch it, and publish it under its models root, if it has one; returns the pinned parameters.

    Raises `ModelError` where any of that is not possible.
    """
    pinned = params.pinned(models_root="", strict=True)
    source = pinned.source
    if source.models_root:
        new = source.publish(source.models_root)
        progress(f"{source.id}: {'published' if new else 'already'} under {source.models_root}/{source.key}")
    else:
        progress(f"{source.id}: ready in {source.folder()}")
    if not source.is_local and params.revision != pinned.revision:
        progress(f"{source.id}: to pin it, put `revision: {pinned.revision}` into its params")
    return pinned


def cached() -> list[CachedCheckpoint]:
    """Checkpoints in the hub's cache and in our own, where copies from a models root stand.

    None where the hub's library is not installed: no checkpoint can be used there.
    """
    if find_spec("huggingface_hub") is None:
        return []
    return sorted([*_of_the_hub(), *_of_models_roots()])


def _of_the_hub() -> list[CachedCheckpoint]:
    from huggingface_hub import scan_cache_dir
    from huggingface_hub.errors import CacheNotFound

    try:
        repos = scan_cache_dir().repos
    except CacheNotFound:
        return []
    return [
        CachedCheckpoint(
            repo.repo_id, revision.commit_hash, revision.size_on_disk, licence_of(revision.snapshot_path / CARD)
        )
        for repo in repos
        if repo.repo_type == "model"
        for revision in repo.revisions
    ]


def _of_models_roots() -> list[CachedCheckpoint]:
    folders = sorted(path for path in (cache_folder() / "checkpoints").glob("*/*") if not path.name.startswith("."))
    return [
        CachedCheckpoint(
            folder.parent.name.replace("--", "/"), folder.name, _num_bytes(folder), licence_of(folder / CARD)
        )
        for folder in folders
    ]


def _num_bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file() and path.name != HASHES)
