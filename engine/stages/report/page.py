"""The extension point of report pages: what the maker of one page is asked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Protocol

from fld_engine.engine.stages.report.model import Data, Page
from fld_engine.engine.stages.report.pages.facts import Facts

GROUP = "fld_engine.report_pages"


class ReportPage(Protocol):
    """Makes one page of a report. A new one is one file and one entry point in group `fld_engine.report_pages`.

    The entry point names a class that is built without arguments; its name is the page's file without `.html`, and the
    `name` of the page. Our pages come first, those of other packages after them, each by `order` and then by name.

    The same facts give the same page: a report that is written again has the same bytes.
    """

    order: ClassVar[int]

    def render(self, facts: Facts) -> Page:
        """The page. Tables of its charts and blocks are written beside it, under names that no other page uses."""
        ...

    def data(self, facts: Facts) -> Sequence[Data]:
        """Further tables, which are written and not shown."""
        ...
