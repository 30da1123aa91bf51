"""Every reading of the split `final` is written down, and none is made twice of the same labels."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from fld_engine.engine.data.store import Store
from fld_engine.refinement.loop.final_readings import LEDGER, FinalFigures, FinalReadings

FIGURES = {"f1@0.5": (0.4, 0.5)}


def figures(identity: str) -> FinalFigures:
    return FinalFigures(images=9, metrics=FIGURES, identity=identity)


def test_a_second_reading_of_other_labels_is_counted_also_after_rounds_were_deleted(tmp_path: Path) -> None:
    """Who reads it after each of twenty configs has chosen by it, whatever else stands in the root."""
    readings = FinalReadings(Store(str(tmp_path)))
    assert readings.count() == 0
    readings.keep(1, figures("first"))
    assert readings.kept(1) == figures("first")
    assert readings.count() == 1
    shutil.rmtree(tmp_path / "rounds")
    readings.keep(1, figures("second"))
    assert readings.count() == 2
    readings.keep(1, figures("second"))
    assert readings.count() == 2, "of the same labels: a driver was killed before it had said so"
    assert [row["last"] for row in json.loads((tmp_path / LEDGER).read_text())["readings"]] == [1, 1]


def test_readings_of_an_old_root_count(tmp_path: Path) -> None:
    """They have no list: the figures that they kept are it, until others stand in their place."""
    store = Store(str(tmp_path))
    store.write_bytes("rounds/final-001.json", json.dumps({"images": 9, "metrics": FIGURES}).encode())
    readings = FinalReadings(store)
    assert readings.count() == 1
    readings.keep(1, figures("other settings"))
    assert readings.count() == 2


def test_without_gold_nothing_is_read(tmp_path: Path) -> None:
    readings = FinalReadings(Store(str(tmp_path)))
    readings.keep(1, FinalFigures(images=0, metrics={}, identity="none"))
    assert readings.count() == 0
    assert readings.kept(1) is not None
