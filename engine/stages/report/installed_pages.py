"""The pages of all installed packages. One that cannot be made is said to be so, and the others are not held up."""

from __future__ import annotations

import sys
from collections.abc import Collection, Sequence
from dataclasses import replace
from importlib.metadata import EntryPoint
from typing import ClassVar

from fld_engine.engine.data.discovery import import_entry, installed, package_of, release_of
from fld_engine.engine.stages.report.definitions import DEFINITIONS
from fld_engine.engine.stages.report.model import Data, Page, page_with_problem
from fld_engine.engine.stages.report.page import GROUP, ReportPage
from fld_engine.engine.stages.report.pages import changes
from fld_engine.engine.stages.report.pages.facts import Facts

OURS = "fld-engine"


def pages_of(facts: Facts) -> list[Page]:
    """The pages of one root in the order of their links: of all installed packages, ours first.

    A page that cannot be made is in its place all the same, with its `problem`: the others do not depend on it.
    """
    found = [(entry, _maker(entry)) for entry in installed(GROUP).values()]
    found.sort(key=lambda one: (package_of(one[0]) != OURS, one[1].order, one[0].name))
    taken = set(changes.TABLES)
    pages = []
    for entry, maker in found:
        try:
            page = _whole(entry, maker, facts, taken)
        except Exception as error:  # noqa: BLE001 - another package's page may raise anything; the others are written
            page = page_with_problem(entry.name, f"{package_of(entry)} {release_of(entry)}", error)
        taken |= {data.name for data in page.tables_written}
        pages.append(page)
    return pages


class _Missing:
    """Stands for a page whose package cannot be imported."""

    order: ClassVar[int] = sys.maxsize

    def __init__(self, error: Exception) -> None:
        self.error = error

    def render(self, facts: Facts) -> Page:
        raise self.error

    def data(self, facts: Facts) -> Sequence[Data]:
        return ()


def _maker(entry: EntryPoint) -> ReportPage:
    try:
        maker: ReportPage = import_entry(entry, "report page")()
        return maker if isinstance(maker.order, int) else _Missing(TypeError(f"order is {maker.order!r}, no int"))
    except Exception as error:  # noqa: BLE001 - as above
        return _Missing(error)


def _whole(entry: EntryPoint, maker: ReportPage, facts: Facts, taken: Collection[str]) -> Page:
    """A page with the tables beside it. Raises `ValueError` for one that does not fit with the others."""
    page = replace(
        maker.render(facts), beside=tuple(maker.data(facts)), package=f"{package_of(entry)} {release_of(entry)}"
    )
    if entry.name == changes.NAME:
        raise ValueError(f"{changes.NAME!r} is the page of a comparison; give the entry point another name")
    if page.name != entry.name:
        raise ValueError(f"the page is named {page.name!r}; expected the name of its entry point")
    if unknown := page.definitions - {*DEFINITIONS, *page.own_definitions}:
        raise ValueError(f"no definition of {', '.join(sorted(unknown))}; give them as own_definitions of the page")
    names = [data.name for data in page.tables_written]
    if twice := {name for name in names if name in taken or names.count(name) > 1}:
        raise ValueError(f"tables {', '.join(sorted(twice))} are there already; give them names of their own")
    return page
