"""A page of a report: under which licences the models came that annotated a root."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import ClassVar

from fld_engine.engine.stages.report.definitions import Definition
from fld_engine.engine.stages.report.model import Data, Page, Section, bars
from fld_engine.engine.stages.report.pages.facts import Facts

LICENCE = Definition("Licence", "What the authors of a model allow, as the annotator states it.", "fld-extension")


class LicencesPage:
    """The page `licences.html`."""

    order: ClassVar[int] = 1

    def render(self, facts: Facts) -> Page:
        counts = Counter(s.licence or "not stated" for s in facts.specialists)
        chart = bars(
            "Specialists by licence", "licence", "licences", list(counts), {"specialists": list(counts.values())},
            xlabel="licence", ylabel="specialists", kind="rows",
        )  # fmt: skip
        lead = f"{len(counts)} licences of {len(facts.specialists)} specialists."
        sections = [Section("Licences", "", [chart])]
        return Page("licences", "Licences", lead, sections, own_definitions={"licence": LICENCE})

    def data(self, facts: Facts) -> Sequence[Data]:
        rows = [(s.name, s.model, s.licence) for s in facts.specialists]
        return (Data("licences-by-specialist", ("specialist", "model", "licence"), rows),)
