"""A checkpoint: which exact files it is made of, and how they get onto this machine.

It is a folder as `save_pretrained` writes it: on the Hugging Face hub, known by its commit, or on a disk, known by the
hash of its files; or such a folder at an fsspec URL, with `SHA256SUMS` in it. With a models root, `publish` puts it
there once, and every node copies it from there.
"""

from __future__ import annotations

import fnmatch
import hashlib
import logging
import re
import shutil
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from fld_engine.annotators.checkpoints.hub_files import CARD, card_of, commit_of, licence_of, snapshot
from fld_engine.annotators.common.cache import cache_folder, disk_errors, locked, require_space, sha256_of
from fld_engine.engine.data.records import ModelIdentity
from fld_engine.engine.data.secrets import url_to_fs
from fld_engine.schemas.errors import ModelError

log = logging.getLogger(__name__)

COMMIT = re.compile(r"[0-9a-f]{40}")
FILES = ("*.safetensors", "*.json", "*.txt", "*.model", "*.jinja")
"""What a checkpoint needs: weights as safetensors alone, configs, tokenizers, chat templates."""
CODE = "*.py"
HASHES = "SHA256SUMS"


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

    def licence(self, *, ask: bool = False) -> str:
        """What the card says, here or under the models root; with `ask`, on the hub as well. Empty where there is none.

        The card is small: a run knows the licence before any worker has fetched the weights.
        """
        if self.is_local and self.path.is_dir():
            return licence_of(self.path / CARD)
        if self.is_url:
            return _published_licence(f"{self.id}/{CARD}")
        if self.models_root:
            return _published_licence(f"{self.models_root.rstrip('/')}/{self.key}/{CARD}")
        card = None if self.is_local else card_of(self.id, self.revision, ask=ask)
        return "" if card is None else licence_of(card)

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
            commit = commit_of(self.id, self.revision or "main")
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
            return _copied(self.id, cache_folder() / "checkpoints" / self.key) if self.is_url else self.path
        if self.models_root:
            return _copied(f"{self.models_root.rstrip('/')}/{self.key}", cache_folder() / "checkpoints" / self.key)
        if self.is_local:
            raise ModelError(f"checkpoint folder {self.path} is not on this machine; set models_root for a cluster")
        return snapshot(self.id, self.revision, self.patterns)

    def _sha256(self) -> str:
        if not self.is_url:
            return folder_sha256(self.path, self.patterns)
        hashes = _published(self.id)
        return _combined((hashes[name], name) for name in sorted(hashes, key=Path) if _is_one_of(name, self.patterns))

    def publish(self, models_root: str) -> bool:
        """Put the files and their hashes under a models root, hashes last; False where they are already there."""
        target = f"{models_root.rstrip('/')}/{self.key}"
        fs, where = url_to_fs(target)
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


def _published_licence(url: str) -> str:
    from huggingface_hub import ModelCard

    fs, where = url_to_fs(url)
    try:
        text = fs.cat_file(where).decode(errors="replace")
    except FileNotFoundError:
        return ""
    return str(ModelCard(text, ignore_metadata_errors=True).data.get("license") or "")


def _files(folder: Path, patterns: Iterable[str]) -> list[Path]:
    wanted = tuple(patterns)
    return sorted(p for p in folder.rglob("*") if p.is_file() and _is_one_of(p.name, wanted))


def _is_one_of(name: str, patterns: Iterable[str]) -> bool:
    return any(fnmatch.fnmatch(name.rpartition("/")[2], pattern) for pattern in patterns)


def _copied(url: str, folder: Path) -> Path:
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
    fs, where = url_to_fs(url)
    hashes = _published(url)
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


def _published(url: str) -> dict[str, str]:
    """Name → sha256 of the files at a URL. Raises `ModelError` where no checkpoint was published there."""
    fs, where = url_to_fs(url)
    try:
        lines = fs.cat_file(f"{where}/{HASHES}").decode().splitlines()
    except FileNotFoundError:
        raise ModelError(
            f"{url} holds no {HASHES}: if it is under a models root, run `fld models pull` with the same config; "
            "a checkpoint at a URL is one that was published there, or a student that `fld refine` kept"
        ) from None
    return {name: sha for sha, name in (line.split("  ", 1) for line in lines)}
