"""A round stands on what people said: where they say something else since, it is no longer handed out."""

from __future__ import annotations

from pathlib import Path

import pytest

from fld_engine.engine.data.journal import read_journal, read_partitions
from fld_engine.engine.plan.rounds import RECORD, RoundPartition, RoundRecord, plan_of, round_folder
from fld_engine.schemas.errors import RootError
from tests.driving import ingest_here
from tests.roots import fake_config, write_photographs


def test_a_round_made_before_an_image_became_gold_is_refused(tmp_path: Path) -> None:
    """Its labels were trained on the image that is to judge them now."""
    write_photographs(tmp_path / "photos", 2)
    source = {"url": str(tmp_path / "photos"), "name": "photos", "kind": "folder"}
    config = fake_config("unused", sources=[source])
    store, _ = ingest_here(tmp_path / "root", config)
    records = read_partitions(read_journal(store))
    ledger = next(iter(records[0].files.values()))
    record = RoundRecord(
        number=0,
        fingerprint="0",
        partitions=tuple(RoundPartition(standing=r, unseen=r, ledger=ledger) for r in records),
        said={r.id: r.annotations_fingerprint for r in records},
    )
    store.write_model(f"{round_folder(0)}/{RECORD}", record)
    assert plan_of(store, config, 0).folder == "rounds/000/"
    gold = fake_config("unused", sources=[{**source, "gold": True}])
    ingest_here(tmp_path / "root", gold)
    with pytest.raises(RootError, match="gold marks included, in 1 partitions"):
        plan_of(store, gold, 0)
