from __future__ import annotations

import json

from fld_engine.refinement.labels.ledger import LEDGER, Edit, count_edits, ledger_table


def test_ledger_says_what_was_and_what_is() -> None:
    moved = Edit(
        unit="regions", image_id="i", table="regions", annotation_id="r", what="moved", why="w",
        old={"box": (0.0, 1.0, 2.0, 3.0)}, new={"box": (0.5, 1.0, 2.0, 3.0)}, p_old=0.123456, p_new=0.9,
    )  # fmt: skip
    added = Edit(unit="texts", image_id="i", table="texts", annotation_id="t", what="added", why="w", new={"text": "é"})
    table = ledger_table([moved, added], round_=2)
    assert table.schema == LEDGER
    first, second = table.to_pylist()
    assert json.loads(first["new"]) == {"box": [0.5, 1.0, 2.0, 3.0]}
    assert (first["round"], first["p_old"], second["old"], second["p_old"]) == (2, 0.1235, "", -1.0)
    assert count_edits(table) == {"added": 1, "removed": 0, "moved": 1, "relabelled": 0, "rewritten": 0}


def test_round_without_edits_has_an_empty_ledger() -> None:
    table = ledger_table([], round_=1)
    assert (table.num_rows, table.schema) == (0, LEDGER)
