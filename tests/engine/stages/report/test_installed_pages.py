"""Pages of other packages: where they stand, what they bring, and what becomes of a report when one fails."""

from __future__ import annotations

from html import unescape
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from fld_engine.engine.run.pipeline import Pipeline
from fld_engine.engine.stages.report.page import GROUP
from fld_engine.flows.report import report_root
from fld_engine.schemas.errors import ReportError
from tests.browser.synthetic import copied
from tests.distributions import write_distribution

OURS = ["index", "annotations", "semantics", "spatial", "confidence", "gallery"]
PAGES = """

from dataclasses import replace

from fld_engine.engine.stages.report.definitions import Definition
from fld_engine.engine.stages.report.model import Card, Chart, Data, Page, Section, TableBlock

def page(maker, blocks=(), **more):
    name = type(maker).__name__.lower()
    return Page(name, name, "", [Section("Part", "", list(blocks))], **more)

def table(name, columns=("a",), rows=(("x",),)):
    return TableBlock("Table", "kept", Data(name, columns, rows))

class Faulty:
    order = 1
    def render(self, facts): return page(self)
    def data(self, facts): return ()

class Licences:
    order = 1
    def render(self, facts):
        licences = sorted({one.licence for one in facts.specialists})
        licence = Definition("Licence", "What the authors of a model allow.", "fld-extension")
        blocks = [TableBlock("Licences", "licence", Data("licences", ("licence",), [(name,) for name in licences]))]
        return page(self, blocks, own_definitions={"licence": licence})
    def data(self, facts):
        rows = [(one.name, one.licence) for one in facts.specialists]
        return [Data("licences-by-specialist", ("specialist", "licence"), rows)]

class Raises(Faulty):
    def render(self, facts): raise RuntimeError("no such table")

class RaisesInData(Faulty):
    def data(self, facts): return facts.nothing

class OtherName(Faulty):
    def render(self, facts): return replace(page(self), name="index")

class Changes(Faulty): ...

class NoDefinition(Faulty):
    def render(self, facts): return page(self, cards=[Card("number", 1, "unheard-of")])

class TakenTable(Faulty):
    def render(self, facts): return page(self, [table("funnel")])

class TakenByChanges(Faulty):
    def data(self, facts): return [Data("changed-numbers", ("a",), [("x",)])]

class NoChart(Faulty):
    def render(self, facts): return page(self, [Chart("Chart", "kept", None, Data("a", ("a",), [("x",)]), "Chart")])

class Ragged(Faulty):
    def render(self, facts): return page(self, [table("b", ("a", "b"))])

class UnknownScript(Faulty):
    def render(self, facts): return page(self, script="mine")

class NoOrder:
    def render(self, facts): return page(self)
    def data(self, facts): return ()
"""
FAULTS = {
    "Raises": "RuntimeError: no such table",
    "RaisesInData": "'Facts' object has no attribute 'nothing'",
    "OtherName": "the page is named 'index'; expected the name of its entry point",
    "Changes": "'changes' is the page of a comparison; give the entry point another name",
    "NoDefinition": "no definition of unheard-of; give them as own_definitions of the page",
    "TakenTable": "tables funnel are there already; give them names of their own",
    "TakenByChanges": "tables changed-numbers are there already; give them names of their own",
    "NoChart": "UndefinedError: 'None' has no attribute 'type'",
    "Ragged": "IndexError: tuple index out of range",
    "UnknownScript": "KeyError: 'mine'",
    "NoOrder": "'NoOrder' object has no attribute 'order'",
    "NotThere": "has no attribute 'NotThere'",
}
"""Page → the end of what is said of it."""


@pytest.fixture(scope="module")
def before(root: Path) -> dict[str, bytes]:
    """The files of the report that our pages alone make."""
    return files(root)


@pytest.fixture(scope="module")
def root(reported: Pipeline, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of a root; each test writes its report again."""
    root = copied(reported, tmp_path_factory.mktemp("pages"))
    report_root(str(root))
    return root


def install(folder: Path, monkeypatch: pytest.MonkeyPatch, *pages: str) -> None:
    """A package with these pages of `PAGES`, each under its name in lower case."""
    site = write_distribution(folder, "fld-extension", {GROUP: {page.lower(): f"their_pages:{page}" for page in pages}})
    (site / "their_pages.py").write_text(PAGES)
    monkeypatch.syspath_prepend(site)


def files(root: Path) -> dict[str, bytes]:
    return {str(p.relative_to(root)): p.read_bytes() for p in (root / "report").rglob("*") if p.is_file()}


def test_a_page_of_another_package_stands_behind_ours_with_its_definition_and_its_tables(
    root: Path, before: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(tmp_path, monkeypatch, "Licences")
    assert report_root(str(root)) == [f"report/{name}.html" for name in (*OURS, "licences")]
    html = (root / "report/licences.html").read_text()
    assert 'id="def-licence"' in html
    assert "What the authors of a model allow" in html
    beside = pq.read_table(root / "report/data/licences-by-specialist.parquet").to_pylist()
    assert {row["specialist"] for row in beside} == {"first", "second", "parser"}
    assert "licences-by-specialist" not in html, "it is written and not shown"
    link = b'    <a href="licences.html">licences</a>'
    now = files(root)
    for path, content in before.items():
        assert now[path].replace(link, b"") == content, f"{path} changes by the link alone"
    monkeypatch.undo()
    report_root(str(root))
    assert files(root) == before, "what an uninstalled package wrote goes with the next report"


def test_pages_that_fail_are_named_with_their_package_and_the_others_are_written(
    root: Path, before: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (root / "report/spatial.html").unlink()
    install(tmp_path, monkeypatch, *FAULTS)
    with pytest.raises(
        ReportError, match=rf"{len(FAULTS)} of {len(FAULTS) + 6} pages .* the others are written"
    ) as raised:
        report_root(str(root))
    now = files(root)
    for fault, message in FAULTS.items():
        said = f"page {fault.lower()!r} of package fld-extension 1.0: "
        (told,) = (
            part for part in str(raised.value).split("; page ") if part.endswith(message) and said in f"page {part}"
        )
        shown = unescape(now[f"report/{fault.lower()}.html"].decode())
        assert f"This page could not be made: {said}" in shown
        assert told.rpartition(": ")[2] in shown
    names = [*OURS, *(fault.lower() for fault in FAULTS)]
    assert {path for path in now if path.endswith(".html")} == {f"report/{name}.html" for name in names}
    assert {p: now[p] for p in now if "/data/" in p} == {p: before[p] for p in before if "/data/" in p}
