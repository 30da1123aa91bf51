"""Students in a store: the native files of transformers in a folder, complete once `student.json` is there."""

from __future__ import annotations

import tempfile
from pathlib import Path

from fld_engine.engine.data.hashing import sha256_hex
from fld_engine.engine.data.store import Store
from fld_engine.refinement.student.model import Student, load_student
from fld_engine.schemas.annotations import Frozen

RECORD = "student.json"
WEIGHTS = "model.safetensors"
HASHES = "SHA256SUMS"
"""Lets annotators of a model hub open the folder where it stands, on an object store too."""


class KeptStudent(Frozen):
    """`weights` is the sha256 of the weights, `made_of` the fingerprint of everything that the student was made of.

    None does not say of what, as records before version 0.2 did not: then it is believed to be what is looked for.
    """

    weights: str
    made_of: str | None = None

    def is_of(self, made_of: str) -> bool:
        """Whether this is the student that would be made of this."""
        return self.made_of in (made_of, None)


def keep_student(student: Student, store: Store, folder: str, *, made_of: str | None = "") -> KeptStudent:
    """Write a student into a folder of a store, its record last.

    By default it says that it is made of nothing, so that no training takes it for its own.
    """
    with tempfile.TemporaryDirectory(prefix="fld-student-") as local:
        student.save(Path(local))
        sums = {}
        for file in sorted(Path(local).iterdir()):
            data = file.read_bytes()
            sums[file.name] = sha256_hex(data)
            store.write_bytes(f"{folder}/{file.name}", data)
    lines = "".join(f"{sha256}  {name}\n" for name, sha256 in sums.items())
    store.write_bytes(f"{folder}/{HASHES}", lines.encode())
    kept = KeptStudent(weights=sums[WEIGHTS], made_of=made_of)
    store.write_model(f"{folder}/{RECORD}", kept)
    return kept


def read_kept(store: Store, folder: str) -> KeptStudent | None:
    """The record of a student; None where there is none, or not all of it."""
    if not store.exists(f"{folder}/{RECORD}"):
        return None
    kept: KeptStudent = store.read_model(f"{folder}/{RECORD}", KeptStudent)
    return kept


def find_kept(store: Store, folder: str, made_of: str) -> KeptStudent | None:
    """The record of the student in a folder, if it was made of this. One that was made of anything else is deleted."""
    kept = read_kept(store, folder)
    if kept is None or kept.is_of(made_of):
        return kept
    store.delete(f"{folder}/{RECORD}")  # first: without it, what is left is nobody's
    store.delete_folder(folder)
    return None


def open_kept(url: str, *, max_target_tokens: int = 512) -> Student:
    """Open a student by the URL of its folder; one of an object store is copied to this machine first."""
    store = Store(url)
    if store.local:
        return load_student(store.base, max_target_tokens=max_target_tokens)
    with tempfile.TemporaryDirectory(prefix="fld-student-") as local:
        for name in store.list_sizes(""):
            store.fetch(name, f"{local}/{name}")
        return load_student(local, max_target_tokens=max_target_tokens)
