"""Records of what is committed in a root. All of them cross processes and lie on disk."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from fld_engine.engine.data.identity import Fields
from fld_engine.engine.data.images import ImageLimits
from fld_engine.schemas.annotations import Frozen


class ModelIdentity(Frozen):
    """Exactly which weights spoke. `sha256` covers the weights; rule-based annotators leave it empty.

    `remote_code` says that Python code of the checkpoint ran, too.
    """

    in_fingerprints: ClassVar[Fields] = Fields(always=("id", "revision", "sha256", "remote_code"), never=("licence",))

    id: str
    revision: str
    sha256: str = ""
    licence: str = ""
    remote_code: bool = False


class FileRecord(Frozen):
    """A committed file: `path` relative to the root, `rows` of a table or members of a tar."""

    in_fingerprints: ClassVar[Fields] = Fields(always=("path", "rows", "num_bytes", "sha256"))

    path: str
    rows: int
    num_bytes: int
    sha256: str


class OutputRecord(Frozen):
    """A committed output of one step for one partition: its files by table name, and what became of the images.

    `made_with` are the versions of the libraries that decided it (`engine.data.libraries`): several where a replay took
    over what an earlier run had made; none where they are not known, as in roots of 0.1.0, or none decides.
    """

    step: str
    partition: str
    fingerprint: str
    files: Mapping[str, FileRecord]
    done: int = 0
    failed: int = 0
    not_run: int = 0
    made_with: tuple[Mapping[str, str], ...] = ()


class PartitionRecord(Frozen):
    """A committed partition: files `tar`, `images`, and the source's own annotation tables by name.

    `fingerprint` covers the images; `annotations_fingerprint` all that sources say of them, later additions included,
    and `labels_fingerprint` of that the annotations and gold marks alone; empty where it is the same. `limits` are what
    the images were accepted under, where the journal knows, and `made_with` the versions of what read them.
    """

    in_fingerprints: ClassVar[Fields] = Fields(
        always=(
            "id", "ingest", "fingerprint", "annotations_fingerprint", "num_images", "num_bytes", "files", "additions",
        ),
        never=("limits", "made_with"),
    )  # fmt: skip

    id: str
    ingest: int
    fingerprint: str
    annotations_fingerprint: str
    num_images: int
    num_bytes: int
    files: Mapping[str, FileRecord]
    additions: tuple[Mapping[str, FileRecord], ...] = ()
    made_with: tuple[Mapping[str, str], ...] = ()
    labels_fingerprint: str = ""
    limits: ImageLimits | None = None


class PartitionOutputs(Frozen):
    """Where everything committed about a partition is.

    `verdicts` and `fingerprint` (of its coverage) are fingerprints, `outputs` maps annotator → fingerprint in graph
    order, `producers` annotation family → the annotators that write it. `specialists` are the annotators whose rows may
    stand among those of sources, as they do after a round of refinement.
    """

    in_fingerprints: ClassVar[Fields] = Fields(
        always=("verdicts", "outputs", "producers", "fingerprint"), never=("specialists",)
    )

    verdicts: str  # fingerprint
    outputs: Mapping[str, str]
    producers: Mapping[str, tuple[str, ...]]
    fingerprint: str
    specialists: tuple[str, ...] = ()


def record_path(step: str, partition: str, fingerprint: str) -> str:
    return f"stages/{step}/{partition}-{fingerprint}.json"
