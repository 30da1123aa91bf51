"""A checkpoint: which exact files it is made of, and how they get onto this machine.

It is a folder as `save_pretrained` writes it: on the Hugging Face hub, known by its commit, or on a disk, known by the
hash of its files; or such a folder at an fsspec URL, with `SHA256SUMS` in it. With a models root, `publish` puts it
there once, and every node copies it from there.
"""

from __future__ import annotations

import fnmatch
import hashlib
import json
import logging
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import fsspec

from annotators.hub.published import HASHES, copied, published
from annotators.packaged.cache import cache_folder, disk_errors, sha256_of
from engine.protocols import ModelIdentity
from schemas.errors import ModelError

log = logging.getLogger(__name__)

COMMIT = re.compile(r"[0-9a-f]{40}")
FILES = ("*.safetensors", "*.json", "*.txt", "*.model", "*.jinja")
"""What a checkpoint needs: weights as safetensors alone, configs, tokenizers, chat templates."""
CARD = "README.md"
CODE = "*.py"
LOOK_UP_LIMIT_S = 10.0


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """`id` is a hub id, a local folder or the URL of one; `revision` a commit of the hub; `sha256` that of a folder."""

    id: str
    revision: str = ""
    sha256: str = ""
    models_root: str = ""
    trust_remote_code: bool = False

    @property
    def is_local(self) -> bool:
        """Also on a node that has no such folder: a hash is that of a local folder."""
        return bool(self.sha256) or self.is_url or self.id.startswith(("/", ".", "~")) or self.path.is_dir()

    @property
    def is_url(self) -> bool:
        return "://" in self.id

    @property
    def path(self) -> Path:
        return Path(self.id).expanduser()

    @property
    def patterns(self) -> tuple[str, ...]:
        return (*FILES, CODE) if self.trust_remote_code else FILES

    @property
    def identity(self) -> ModelIdentity:
        """A local folder is known by its name and hash: moving it changes nothing."""
        return ModelIdentity(
            id=self.path.name if self.is_local else self.id,
            revision=self.sha256[:12] if self.is_local else self.revision,
            sha256=self.sha256,
            remote_code=self.trust_remote_code,
        )

    def licence(self) -> str:
        """What the card of the checkpoint says, where its files are on this machine; else empty."""
        folder = self.path if self.is_local else _cached_snapshot(self.id, self.revision, self.patterns)
        return "" if folder is None else licence_of(folder)

    @property
    def key(self) -> str:
        """Where the files stand under a models root or the cache."""
        identity = self.identity
        return f"{identity.id.replace('/', '--')}/{self.sha256 or self.revision}"

    def pinned(self, *, models_root: str, strict: bool) -> Checkpoint:
        """With the hash or commit filled in. Raises `ModelError` where `strict` and neither can be known."""
        known = replace(self, models_root=self.models_root or models_root)
        try:
            if self.is_local:
                return known if self.sha256 else replace(known, sha256=self._sha256())
            if COMMIT.fullmatch(self.revision):
                return known
            commit = _commit_of(self.id, self.revision or "main")
        except ModelError:
            if strict:
                raise
            return known
        log.warning("%s is not pinned: using commit %s; put `revision: %s` into its params", self.id, commit, commit)
        return replace(known, revision=commit)

    def folder(self) -> Path:
        """The files on this machine, fetched where they are not here yet, with their hashes checked.

        Raises `ModelError`: not pinned, not found, no network, no room, other files than those that were pinned.
        """
        if not (self.sha256 if self.is_local else COMMIT.fullmatch(self.revision)):
            raise ModelError(f"checkpoint {self.id} is not pinned: expected a commit of 40 hex digits as `revision`")
        if self.is_url or (self.is_local and self.path.is_dir()):
            found = self._sha256()
            if found != self.sha256:
                raise ModelError(
                    f"{self.id} holds other files than when it was pinned (sha256 {found}, expected {self.sha256}): "
                    "put the old ones back, or take `sha256` out of its params to accept the new ones"
                )
            return copied(self.id, cache_folder() / "checkpoints" / self.key) if self.is_url else self.path
        if self.models_root:
            return copied(f"{self.models_root.rstrip('/')}/{self.key}", cache_folder() / "checkpoints" / self.key)
        if self.is_local:
            raise ModelError(f"checkpoint folder {self.path} is not on this machine; set models_root for a cluster")
        return _snapshot(self.id, self.revision, self.patterns)

    def _sha256(self) -> str:
        if not self.is_url:
            return folder_sha256(self.path, self.patterns)
        hashes = published(self.id)
        return _combined((hashes[name], name) for name in sorted(hashes, key=Path) if _is_one_of(name, self.patterns))

    def publish(self, models_root: str) -> bool:
        """Put the files and their hashes under a models root, hashes last; False where they are already there."""
        target = f"{models_root.rstrip('/')}/{self.key}"
        fs, where = fsspec.core.url_to_fs(target)
        if fs.exists(f"{where}/{HASHES}"):
            return False
        folder = replace(self, models_root="").folder()
        fs.makedirs(where, exist_ok=True)
        hashes = {
            path.relative_to(folder).as_posix(): sha256_of(path) for path in _files(folder, (*self.patterns, CARD))
        }
        for name in hashes:
            fs.makedirs(f"{where}/{name}".rpartition("/")[0], exist_ok=True)
            fs.put_file(str(folder / name), f"{where}/{name}")
        fs.pipe_file(f"{where}/{HASHES}", "".join(f"{sha}  {name}\n" for name, sha in hashes.items()).encode())
        return True


def folder_sha256(folder: Path, patterns: Iterable[str] = FILES) -> str:
    """Hex sha256 over the names and hashes of a checkpoint's files. Raises `ModelError` where there are no weights."""
    files = _files(folder, patterns)
    if not any(path.suffix == ".safetensors" for path in files):
        state = "holds no *.safetensors" if folder.is_dir() else "does not exist"
        raise ModelError(
            f"checkpoint folder {folder} {state}: expected one that save_pretrained wrote; "
            "convert pickled weights, which are never opened"
        )
    return _combined((sha256_of(path), path.relative_to(folder).as_posix()) for path in files)


def _combined(files: Iterable[tuple[str, str]]) -> str:
    """Hex sha256 over the (sha256, name) of files."""
    return hashlib.sha256("".join(f"{sha}  {name}\n" for sha, name in files).encode()).hexdigest()


def licence_of(folder: Path) -> str:
    """The licence that the card in a checkpoint's folder states, or empty."""
    from huggingface_hub import ModelCard

    if not (folder / CARD).is_file():
        return ""
    return str(ModelCard.load(folder / CARD, ignore_metadata_errors=True).data.get("license") or "")


def _files(folder: Path, patterns: Iterable[str]) -> list[Path]:
    wanted = tuple(patterns)
    return sorted(p for p in folder.rglob("*") if p.is_file() and _is_one_of(p.name, wanted))


def _is_one_of(name: str, patterns: Iterable[str]) -> bool:
    return any(fnmatch.fnmatch(name.rpartition("/")[2], pattern) for pattern in patterns)


def _commit_of(repo: str, revision: str) -> str:
    """The commit a branch or tag of the hub stands for: asked of the hub, else of this machine's cache."""
    from huggingface_hub import HfApi, errors

    api = HfApi()
    try:
        with _hub_errors(repo, revision):
            api.model_info(repo, revision=revision, timeout=LOOK_UP_LIMIT_S)  # the call below has no limit
            return str(
                api.resolve_revision(repo, revision=revision).resolved
            )  # noted in the cache, for the day without
    except ModelError:
        try:
            return str(api.resolve_revision(repo, revision=revision, local_files_only=True).resolved)
        except (errors.RevisionResolutionError, errors.HFValidationError):
            pass
        raise


def _snapshot(repo: str, commit: str, patterns: Iterable[str]) -> Path:
    """The files of a commit, from the hub's cache on this machine where they are whole, else from the hub."""
    from huggingface_hub import snapshot_download

    folder = _cached_snapshot(repo, commit, patterns)
    if folder is None or not _is_whole(folder):
        with _hub_errors(repo, commit), disk_errors(cache_folder()):
            folder = Path(snapshot_download(repo, revision=commit, allow_patterns=[*patterns, CARD]))
    if not _is_whole(folder):
        raise ModelError(f"{repo} has no weights as safetensors at {commit}: choose a revision that has, or convert it")
    return folder


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
