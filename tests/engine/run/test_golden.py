"""Outputs and versions go together: rows that change under the same version would let old files pass for new ones.

When one of these fails because the change was meant, bump the version that stands beside the digest, and enter the
digest that the message shows.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest

from fld_engine.annotators.composed.captioner import ComposedCaptioner
from fld_engine.annotators.composed.fake import FakeAnnotator, fake_regions
from fld_engine.engine.data.hashing import canonical_json
from fld_engine.engine.data.partition import load_view
from fld_engine.engine.plan.protocols import Sample
from fld_engine.engine.stages.coverage import aggregates
from fld_engine.engine.stages.coverage.stage import committed, read_coverage
from fld_engine.engine.stages.export import stage
from fld_engine.engine.stages.filter import stage as filter_stage
from fld_engine.filters.region import RegionConfidence, RegionNms
from fld_engine.schemas.annotations import Annotations, Label
from tests.roots import fake_config, run_pipeline, write_photographs

GOLDEN = {
    "FakeAnnotator": (1, "4f2e959638ccf64e"),
    "filters and verdicts": ((2, 2, 2), "c6e56401acfb0dfb"),
    "coverage": (1, "90d18c11f275b280"),
    "export": (5, "24fb66767fd1bcae"),
    "ComposedCaptioner": (1, "91286469399aaade"),
}
"""What → (its version, digest of what it made)."""

VERSIONS = {
    "FakeAnnotator": FakeAnnotator.version,
    "filters and verdicts": (filter_stage.VERSION, RegionConfidence.version, RegionNms.version),
    "coverage": aggregates.VERSION,
    "export": stage.VERSION,
    "ComposedCaptioner": ComposedCaptioner.version,
}


def short(value: Any) -> str:
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()[:16]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Digests of what one small run makes: of rows, so that a new version of a file format changes nothing."""
    folder = tmp_path_factory.mktemp("golden")
    write_photographs(folder / "photos", 5)
    pipeline = run_pipeline(folder / "root", fake_config(folder / "photos"))
    plan = pipeline.plan()
    views = [load_view(plan.store, record, committed(plan, record)) for record in plan.partitions]
    return {
        "FakeAnnotator": short([view.annotations["regions"].to_pylist() for view in views]),
        "filters and verdicts": short([{t: v.to_pylist() for t, v in view.verdicts.items()} for view in views]),
        "coverage": short(read_coverage(plan).model_dump(mode="json")),
        "export": short((folder / "root/export/shards/sizes.json").read_text() + exported(folder / "root")),
        "ComposedCaptioner": short([text.model_dump(exclude={"phrases"}) for text in composed().texts]),
    }


def exported(root: Path) -> str:
    return "".join(hashlib.sha256(p.read_bytes()).hexdigest() for p in sorted((root / "export/shards").glob("*.tar")))


def composed() -> Annotations:
    captioner = ComposedCaptioner()
    captioner.load()
    known = Annotations(regions=fake_regions("golden", (640, 480), 6), labels=(Label(label="tabby", score=0.8),))
    return captioner.annotate([Sample(id="golden", width=640, height=480, known=known)])[0]


@pytest.mark.parametrize("what", sorted(GOLDEN))
def test_what_is_made_under_a_version_stays_as_it_was(what: str, made: dict[str, str]) -> None:
    version, digest = GOLDEN[what]
    assert VERSIONS[what] == version, f"{what} has a new version: enter it here with the digest {made[what]}"
    assert made[what] == digest, f"{what} makes other rows than before: bump its version, then enter {made[what]}"
