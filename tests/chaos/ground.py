"""What every case of the chaos table begins with and must end with: roots of 8 images, made once, undisturbed."""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path

from fld_engine.engine.data.store import Store
from tests.chaos.driver import LATER, ROLES, WHOLE_RUN, copy_root
from tests.chaos.starting import Ended, start
from tests.engine.stages.removal.removal_roots import VICTIM, write_coco
from tests.roots import digest, write_photographs

NUM_IMAGES = 8
STAGES = (*WHOLE_RUN, *LATER)
PAGE = 4096
DISK = "disk"
"""A victim that is no process: a disk with so many free pages, which is given more once the run has ended."""
S3 = "s3"
"""A runner that is `local`, on a root in an object store."""
WRITTEN_ANEW = 8
"""Pages that a removal needs for a while, though it leaves fewer than there were."""
UNNAMED = (".tmp", ".pt")
"""What is left of a write that did not end, and checkpoints of a student: nothing names them."""
FOLDERS = ("partitions", "quarantine", "coverage", "contamination", "report", "rounds")


@dataclass(frozen=True, slots=True)
class Ground:
    """Photographs, roots as they stand before each stage, and what becomes of them undisturbed.

    `moments` of (stage, role) counts those of its driver and of its workers, `requests` those on a root in `bucket`,
    where there is one; `pages` is what a stage adds to a disk, in pages of 4 KiB, and `ends` the digest at the end of
    the command that a stage belongs to.
    """

    folder: Path
    image_id: str
    moments: dict[tuple[str, str], int]
    pages: dict[str, int]
    ends: dict[str, dict[str, str]]
    bucket: str = ""
    requests: dict[tuple[str, str], int] = field(default_factory=dict)

    def before(self, stage: str) -> Path:
        return self.folder / "before" / stage

    def most(self, stage: str, victim: str, runner: str = "local") -> int:
        """The last moment that there is; of a disk, the most pages that are too few."""
        if victim == DISK:
            return self.pages[stage] - 1
        counted = self.requests if runner == S3 else self.moments
        return counted[stage, "driver" if victim == "driver" else "worker"]

    def drive(
        self, root: Path | str, folder: Path, stage: str, runner: str, *, victim: str = "", moment: int = 0
    ) -> Ended:
        """Drive a root; `folder` is for counts."""
        photographs, runner = self.folder / "photographs", "local" if runner == S3 else runner
        return start(
            root, folder, photographs, stage, runner, image_id=self.image_id, victim=victim, moment=moment
        )  # fmt: skip


def lay(folder: Path, stages: Collection[str] = STAGES, bucket: str = "") -> Ground:
    """Drive a root undisturbed, and keep what is needed of it; of what follows a run, only the `stages` asked for.

    With the URL of a bucket, once more there.
    """
    photographs = folder / "photographs"
    ids = write_photographs(photographs, NUM_IMAGES)
    write_coco(photographs, sorted(path.name for path in photographs.iterdir()))
    ground, root = Ground(folder, ids[VICTIM], {}, {}, {}, bucket), folder / "root"
    _survey(ground, root, "")
    end = everything(root)
    sizes = [num_pages(place) for place in (*map(ground.before, WHOLE_RUN), root)]
    for i, stage in enumerate(WHOLE_RUN):
        ground.ends[stage], ground.pages[stage] = end, sizes[i + 1] - sizes[i]
    for stage in LATER:
        if stage not in stages:
            continue
        after = folder / stage / "root"
        copy_root(root, ground.before(stage))
        copy_root(root, after)
        _survey(ground, after, stage)
        ground.ends[stage] = everything(after)
        ground.pages[stage] = max(num_pages(after) - sizes[-1], WRITTEN_ANEW)
    if bucket:
        _survey_far(ground, {*LATER} & {*stages})
    return ground


def _survey(ground: Ground, root: Path, stage: str) -> None:
    ended = ground.drive(root, root.parent, stage, "local")
    assert ended.status == 0, ended.said
    ground.moments.update(_counts(root.parent, stage))


def _survey_far(ground: Ground, later: Collection[str]) -> None:
    for stage in ("", *sorted(later)):
        counts, url = ground.folder / "far" / stage, f"{ground.bucket}/ground{stage}"
        counts.mkdir(parents=True)
        if stage:
            copy_root(ground.before(stage), url)
        ended = ground.drive(url, counts, stage, S3)
        assert ended.status == 0, ended.said
        ground.requests.update(_counts(counts, stage))


def _counts(folder: Path, stage: str) -> dict[tuple[str, str], int]:
    names = [stage] if stage else [*WHOLE_RUN]
    return {(name, role): (folder / f"{name}.{role}").stat().st_size for name in names for role in ROLES}


def num_pages(root: Path) -> int:
    return sum(-(-path.stat().st_size // PAGE) for path in root.rglob("*") if path.is_file())


def everything(root: Path | str, url: str = "") -> dict[str, str]:
    """sha256 of all that counts in a root, wherever it stands; `url` is where it stood, of one that was copied."""
    found, store = digest(root), Store(str(root))
    paths = [path for folder in FOLDERS for path in store.list_below(folder)]
    journals = [f"ingest/{name}" for name in store.list_names("ingest") if name.endswith(".json")]
    single = [name for name in ("removed.json", "config.yaml") if store.exists(name)]
    for path in [*paths, *journals, *single]:
        if not path.endswith(UNNAMED):
            data = store.read_bytes(path).replace((url or store.url).encode(), b"ROOT")
            found[path] = hashlib.sha256(data).hexdigest()
    return found
