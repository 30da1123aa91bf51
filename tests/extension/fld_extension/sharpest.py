"""A page of a report: the sharpest images, as stage `sharpness` measured them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from fld_engine.engine.data.partition import read_output
from fld_engine.engine.stages.report.definitions import Definition
from fld_engine.engine.stages.report.model import Data, Page, Row, Section, TableBlock
from fld_engine.engine.stages.report.pages.facts import Facts
from fld_extension.sharpness import STEP

NUM_SHOWN = 20
SHARPNESS = Definition(
    "Sharpness", "Mean difference of neighbouring pixels of a row, in levels of grey from 0 to 255.", "fld-extension"
)


class SharpestPage:
    """The page `sharpest.html`; the values of all images lie beside it."""

    order: ClassVar[int] = 1

    def render(self, facts: Facts) -> Page:
        rows = _rows(facts)
        block = TableBlock("Sharpest images", "sharpness", Data("sharpest", ("image", "sharpness"), rows[:NUM_SHOWN]))
        lead = f"{len(rows)} images were measured."
        sections = [Section("Images", "", [block])]
        return Page("sharpest", "Sharpest images", lead, sections, own_definitions={"sharpness": SHARPNESS})

    def data(self, facts: Facts) -> Sequence[Data]:
        return (Data("sharpness-by-image", ("image", "sharpness"), _rows(facts)),)


def _rows(facts: Facts) -> list[Row]:
    """Images and their sharpness, the sharpest first."""
    plan, rows = facts.plan, []
    missing = plan.missing(STEP)
    for record in plan.partitions:
        if record not in missing:
            output = read_output(plan.store, STEP, record.id, plan.fingerprints[STEP, record.id])
            table = plan.store.read_table(output.files[STEP].path)
            rows += list(zip(table["image_id"].to_pylist(), table["value"].to_pylist(), strict=True))
    return sorted(rows, key=lambda row: (-row[1], row[0]))
