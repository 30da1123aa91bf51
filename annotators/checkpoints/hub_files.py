"""The files of the Hugging Face hub: which commit is meant, its snapshot, its card; and refusals that name the cure."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from fld_engine.annotators.common.cache import cache_folder, disk_errors
from fld_engine.schemas.errors import ModelError

CARD = "README.md"
LOOK_UP_LIMIT_S = 10.0


def commit_of(repo: str, revision: str) -> str:
    """The commit a branch or tag of the hub stands for: asked of the hub, else of this machine's cache."""
    from huggingface_hub import HfApi, errors

    api = HfApi()
    try:
        with _hub_errors(repo, revision):
            api.model_info(repo, revision=revision, timeout=LOOK_UP_LIMIT_S)  # the call below has no limit
            # which notes the commit in the cache, for the day without a network
            return str(api.resolve_revision(repo, revision=revision).resolved)
    except ModelError:
        try:
            return str(api.resolve_revision(repo, revision=revision, local_files_only=True).resolved)
        except (errors.RevisionResolutionError, errors.HFValidationError):
            pass
        raise


def snapshot(repo: str, commit: str, patterns: Iterable[str]) -> Path:
    """The files of a commit, from the hub's cache on this machine where they are whole, else from the hub."""
    from huggingface_hub import snapshot_download

    folder = _cached_snapshot(repo, commit, patterns)
    if folder is None or not _is_whole(folder):
        with _hub_errors(repo, commit), disk_errors(cache_folder()):
            folder = Path(snapshot_download(repo, revision=commit, allow_patterns=[*patterns, CARD]))
    if not _is_whole(folder):
        raise ModelError(f"{repo} has no weights as safetensors at {commit}: choose a revision that has, or convert it")
    return folder


def card_of(repo: str, commit: str, *, ask: bool) -> Path | None:
    """From the hub's cache on this machine, else, with `ask`, from the hub; None where that fails, or there is none."""
    from huggingface_hub import errors, hf_hub_download

    for local_files_only in (True, False)[: 1 + ask]:
        try:
            with _hub_errors(repo, commit):
                return Path(hf_hub_download(repo, CARD, revision=commit, local_files_only=local_files_only))
        except (ModelError, errors.EntryNotFoundError):
            continue
    return None


def licence_of(card: Path) -> str:
    """The licence that a checkpoint's card states; empty where it does not, or is not there."""
    from huggingface_hub import ModelCard

    if not card.is_file():
        return ""
    return str(ModelCard.load(card, ignore_metadata_errors=True).data.get("license") or "")


def _cached_snapshot(repo: str, revision: str, patterns: Iterable[str]) -> Path | None:
    """None where a file of the commit that a checkpoint needs is not here; without patterns, all would be needed."""
    from huggingface_hub import errors, snapshot_download

    try:
        return Path(snapshot_download(repo, revision=revision, allow_patterns=[*patterns, CARD], local_files_only=True))
    except (errors.LocalEntryNotFoundError, errors.HFValidationError):
        return None


def _is_whole(folder: Path) -> bool:
    """Whether the config and all weights are there: the shards that an index names, or a single file."""
    indexes = list(folder.glob("*.safetensors.index.json"))
    named = {name for path in indexes for name in json.loads(path.read_text())["weight_map"].values()}
    weights = all((folder / name).is_file() for name in named) if named else any(folder.glob("*.safetensors"))
    return weights and (folder / "config.json").is_file()


@contextmanager
def _hub_errors(repo: str, revision: str) -> Iterator[None]:
    """What the hub's client raises, as a `ModelError` that names the cure."""
    import httpx2
    from huggingface_hub import errors

    try:
        yield
    except errors.GatedRepoError as error:
        raise ModelError(f"{repo} asks for consent: accept its terms on the hub, then set HF_TOKEN") from error
    except errors.RepositoryNotFoundError as error:
        raise ModelError(
            f"checkpoint {repo!r} is neither on the hub nor a folder on this machine; if it is private, set HF_TOKEN"
        ) from error
    except errors.RevisionNotFoundError as error:
        raise ModelError(f"{repo} has no revision {revision!r} on the hub") from error
    except errors.HFValidationError as error:
        raise ModelError(
            f"checkpoint {repo!r} is neither a hub id such as `org/name` nor an existing folder"
        ) from error
    except (
        errors.LocalEntryNotFoundError,
        errors.OfflineModeIsEnabled,
        errors.HfHubHTTPError,
        httpx2.HTTPError,
    ) as error:
        raise ModelError(
            f"{repo} at {revision} is not in this machine's cache, and the hub cannot be reached "
            f"({_first_line(error)}): run `fld models pull` where there is a network, or set models_root"
        ) from error


def _first_line(error: Any) -> str:
    return str(error).strip().partition("\n")[0] or type(error).__name__
