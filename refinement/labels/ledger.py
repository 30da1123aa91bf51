"""The edit ledger: one row for every change that a round made to a label, and why."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal

import pyarrow as pa
from pydantic import Field

from fld_engine.engine.data.hashing import canonical_json
from fld_engine.schemas.annotations import Frozen

What = Literal["added", "removed", "moved", "relabelled", "rewritten"]
Unit = Literal["regions", "texts"]
WHATS: tuple[What, ...] = ("added", "removed", "moved", "relabelled", "rewritten")

LEDGER = pa.schema(
    [
        ("round", pa.int32()),
        ("unit", pa.string()),  # what the gate accepts or refuses together
        ("image_id", pa.string()),
        ("table", pa.string()),
        ("annotation_id", pa.string()),  # of the label as it was; of an added one, as it is
        ("what", pa.string()),
        ("old", pa.string()),  # canonical JSON of what changed, empty for an added label
        ("new", pa.string()),  # the same, empty for a removed label
        ("why", pa.string()),
        ("p_old", pa.float64()),  # calibrated probability that the old label was right, -1 where there is none
        ("p_new", pa.float64()),
    ]
)

NO_PROBABILITY = -1.0


class Edit(Frozen):
    """One change. `old` and `new` hold the fields that differ, such as `box` or `label`."""

    unit: Unit
    image_id: str
    table: str
    annotation_id: str
    what: What
    old: dict[str, Any] = Field(default_factory=dict)
    new: dict[str, Any] = Field(default_factory=dict)
    why: str
    p_old: float = NO_PROBABILITY
    p_new: float = NO_PROBABILITY


def ledger_table(edits: Iterable[Edit], round_: int) -> pa.Table:
    """Edits as rows of `LEDGER`, in the order given; probabilities to 1e-4."""
    rows = [
        {
            **edit.model_dump(exclude={"old", "new"}),
            "round": round_,
            "old": canonical_json(edit.old) if edit.old else "",
            "new": canonical_json(edit.new) if edit.new else "",
            "p_old": round(edit.p_old, 4),
            "p_new": round(edit.p_new, 4),
        }
        for edit in edits
    ]
    return pa.Table.from_pylist(rows, schema=LEDGER)


def count_edits(table: pa.Table) -> dict[What, int]:
    """Number of edits of each kind, all kinds present."""
    found = table["what"].to_pylist()
    return {what: found.count(what) for what in WHATS}
