"""Pages to HTML files that need no server and no network.

Everything a page needs is inside it: styles, scripts, pictures and data. Its content security policy allows the very
scripts that were written into it, by their hashes, and no address at all: what a dataset's texts hold stays text.
"""

from __future__ import annotations

import base64
import csv
import hashlib
import io
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from importlib import resources
from typing import Any, NamedTuple

import pyarrow as pa
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from fld_engine.engine.data.store import Store
from fld_engine.engine.stages.report.definitions import DEFINITIONS, Definition
from fld_engine.engine.stages.report.model import Chart, Data, Page, page_with_problem

ECHARTS = "echarts-6.1.0.min.js"
MAX_ROWS = 300
"""Rows of a table that a page shows; its CSV has all."""
IMAGE_COLUMNS = ("an image", "image")
"""Columns of image ids: shown short, and linked where the gallery has the image."""
GALLERY = "gallery"
"""The page with pictures, where other pages link to images."""
SCRIPTS = {"thresholds": "thresholds.js", "gallery": "gallery.js", "changes": "changes.js"}


@dataclass(frozen=True)
class Frame:
    """What all pages of a report share. `nav` are (file name without `.html`, title)."""

    nav: Sequence[tuple[str, str]]
    title: str
    root: str
    version: str
    against: str = ""
    shown_images: frozenset[str] = frozenset()


class Written(NamedTuple):
    """Paths of the pages in the root, in their order, and a sentence for each that could not be made."""

    paths: list[str]
    problems: list[str]


def write_pages(
    store: Store,
    pages: Sequence[Page],
    *,
    folder: str,
    title: str,
    root: str,
    version: str,
    against: str = "",
) -> Written:
    """Write the pages and their tables under `folder` of a root.

    A page that cannot be drawn is written with its problem in its place. What an earlier report wrote and this one does
    not have, such as its changes, is removed.
    """
    shown = next((page.payload["images"] for page in pages if page.name == GALLERY and page.payload), ())
    frame = Frame(
        nav=[(page.name, page.title) for page in pages], title=title, root=root, version=version, against=against,
        shown_images=frozenset(image["id"] for image in shown),
    )  # fmt: skip
    paths: list[str] = []
    problems: list[str] = []
    tables: set[str] = set()
    for page in pages:
        drawn = _draw(page, frame)
        store.write_bytes(f"{folder}/{page.name}.html", drawn.html)
        for name, (parquet, csv_text) in drawn.tables.items():
            store.write_table(f"{folder}/data/{name}.parquet", parquet)
            store.write_bytes(f"{folder}/data/{name}.csv", csv_text)
        paths.append(f"{folder}/{page.name}.html")
        tables |= drawn.tables.keys()
        problems += [drawn.problem] if drawn.problem else []
    names = {path.rsplit("/", 1)[-1] for path in paths}
    for name in store.list_names(folder) - names - {"data"}:
        store.delete(f"{folder}/{name}")
    for name in store.list_names(f"{folder}/data"):
        if name.rsplit(".", 1)[0] not in tables:
            store.delete(f"{folder}/data/{name}")
    return Written(paths, problems)


class _Drawn(NamedTuple):
    """A page as it is written: HTML, its tables as Parquet and CSV by name, and its problem, if any."""

    html: bytes
    tables: Mapping[str, tuple[pa.Table, bytes]]
    problem: str


def _draw(page: Page, frame: Frame) -> _Drawn:
    try:
        html = render(page, frame).encode()
        return _Drawn(html, {d.name: (d.to_arrow(), to_csv(d)) for d in page.tables_written}, page.problem)
    except Exception as error:  # noqa: BLE001 - another package's page may hold anything; the others are written
        instead = page_with_problem(page.name, page.package, error)
        return _Drawn(render(instead, frame).encode(), {}, instead.problem)


def render(page: Page, frame: Frame) -> str:
    """One page. All values are escaped; only our own assets go in as they are."""
    scripts = [asset("assets", "report.js")] + ([asset("assets", SCRIPTS[page.script])] if page.script else [])
    inline = ([asset("vendor", ECHARTS)] if page.has_charts else []) + scripts
    known = {**DEFINITIONS, **page.own_definitions}
    used = {key: entry for key, entry in known.items() if key in page.definitions}
    return _environment().get_template("page.html").render(
        **asdict(frame), page=page, policy=policy(inline), css=Markup(asset("assets", "report.css")),
        echarts=Markup(asset("vendor", ECHARTS)), scripts=[Markup(script) for script in scripts],
        payload=_payload(page, used), definitions=used.items(), max_rows=MAX_ROWS, image_columns=IMAGE_COLUMNS,
    )  # fmt: skip


def policy(scripts: Sequence[str]) -> str:
    """A content security policy under which these inline scripts run, pictures are data, and nothing is fetched."""
    hashes = " ".join(f"'sha256-{base64.b64encode(hashlib.sha256(s.encode()).digest()).decode()}'" for s in scripts)
    return (
        f"default-src 'none'; script-src {hashes}; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; "
        "form-action 'none'"
    )


def to_csv(data: Data) -> bytes:
    """A table as CSV (RFC 4180)."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow(data.columns)
    writer.writerows([[_plain(value) for value in row] for row in data.rows])
    return text.getvalue().encode()


def _plain(value: Any) -> Any:
    """A whole number without its point, as the browser's own CSV has it."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def cell(value: Any, column: str = "") -> str:
    """A value as a page shows it: shares as per cent, thousands apart, a dash for nothing."""
    if value is None or value == "":
        return "–"
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    if "share" in column and -1 <= value <= 1:
        return f"{value:.1%}"
    if abs(value) >= 1e7:
        return f"{value / 1e6:,.0f}M"
    if isinstance(value, int) or abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.4g}"


@cache
def asset(folder: str, name: str) -> str:
    """A file of this package as text."""
    return resources.files(__package__).joinpath(folder, name).read_text(encoding="utf-8")


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader(__package__), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    environment.filters["cell"] = cell
    return environment


def _payload(page: Page, definitions: Mapping[str, Definition]) -> Mapping[str, Any]:
    charts = [b for section in page.sections for b in section.blocks if isinstance(b, Chart)]
    return {
        "charts": {chart.id: chart.spec for chart in charts},
        "tables": {data.name: {"columns": data.columns, "rows": data.rows} for data in page.tables},
        "definitions": {key: list(entry) for key, entry in definitions.items()},
        "page": page.payload or {},
    }
