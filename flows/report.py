"""`fld report`: from a root to pages and tables under `ROOT/report`, and from two to what changed between them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.metadata import version
from typing import Any

from fld_engine.annotators.common.coco_classes import COCO_CLASSES
from fld_engine.engine.data.journal import read_journal
from fld_engine.engine.data.store import Store
from fld_engine.engine.inspect.status import read_status
from fld_engine.engine.plan.plan import Plan
from fld_engine.engine.run.pipeline import Pipeline
from fld_engine.engine.stages.annotate.stage import require_annotated
from fld_engine.engine.stages.coverage.stage import Coverage
from fld_engine.engine.stages.filter.stage import Filter
from fld_engine.engine.stages.report.against import compare_roots
from fld_engine.engine.stages.report.build import facts_of
from fld_engine.engine.stages.report.installed_pages import pages_of
from fld_engine.engine.stages.report.pages.changes import changes
from fld_engine.engine.stages.report.pages.facts import Facts
from fld_engine.engine.stages.report.render import write_pages
from fld_engine.engine.stages.report.stage import Report
from fld_engine.engine.stages.report.wordlist import read_words
from fld_engine.flows.progress import progress_bars
from fld_engine.flows.root import existing_root
from fld_engine.flows.summary import RUN_FILE
from fld_engine.schemas.errors import ReportError

FOLDER = "report"
NUM_IMAGES = 80
WORD_LISTS = {"coco": COCO_CLASSES}
"""Lists that come from a model here; `engine.stages.report.wordlist` ships more. Others are given as a file."""

Other = tuple[str, Sequence[str], int | None]
"""A root to compare with, `--set` overrides of its config, and a round of it."""


def report_root(
    root: str,
    overrides: Sequence[str] = (),
    against: Other | None = None,
    *,
    round_: int | None = None,
    words: str = "",
    words_floor: int = 10,
    num_images: int = NUM_IMAGES,
) -> list[str]:
    """Write the report of a root, or of one of its rounds; returns the paths of its pages, the first to be opened.

    Raises `RootError`, `ConfigError`, `ReportError` at the end where a page could not be made, and what the stages
    raise that were still missing: verdicts, coverage, aggregates. Annotators are never run: a root whose annotation is
    not finished is refused by its missing outputs.
    """
    listed = list(WORD_LISTS[words]) if words in WORD_LISTS else read_words(words) if words else []
    before = _before(*against) if against else None
    store, config = existing_root(root, overrides)
    with progress_bars() as watch, Pipeline(store, config, watch, round_=round_) as pipeline:
        return make_report(
            pipeline, before, about=_about(overrides, round_), words=listed, words_name=words, words_floor=words_floor,
            num_images=num_images,
        )  # fmt: skip


def make_report(
    pipeline: Pipeline,
    before: tuple[Plan, Facts] | None = None,
    *,
    about: str = "",
    words: Sequence[str] = (),
    words_name: str = "",
    words_floor: int = 10,
    num_images: int = NUM_IMAGES,
) -> list[str]:
    """Do what is missing of verdicts, coverage and aggregates, and write the pages; returns their paths in the root.

    `about` says which of a root's reports this is; see `Facts`. Raises `ReportError` at the end where a page could not
    be made.
    """
    store, folder = pipeline.store, pipeline.plan().folder + FOLDER
    facts = _facts(pipeline, words, num_images, about=about, words_name=words_name, words_floor=words_floor)
    pages, against = pages_of(facts), ""
    if before is not None:
        plan, old = before
        compared, pairs = compare_roots(pipeline.plan(), plan, pipeline)
        pages.append(changes(facts, old, compared, pairs, (pages, pages_of(old))))
        against = old.root
    written = write_pages(
        store, pages, folder=folder, title=pipeline.config.name, root=store.url, version=version("fld-engine"),
        against=against,
    )  # fmt: skip
    if written.problems:
        raise ReportError(
            f"{len(written.problems)} of {len(pages)} pages of {store.url}/{folder} could not be made, and the others "
            f"are written: {'; '.join(written.problems)}"
        )
    return written.paths


def read_runs(store: Store) -> list[Mapping[str, Any]]:
    """The attempts of the root, oldest first; none where nothing has run yet."""
    found: list[Mapping[str, Any]] = store.read_model(RUN_FILE, list[dict[str, Any]]) if store.exists(RUN_FILE) else []
    return found


def _before(root: str, overrides: Sequence[str], round_: int | None) -> tuple[Plan, Facts]:
    store, config = existing_root(root, overrides)
    with Pipeline(store, config, round_=round_) as pipeline:
        facts = _facts(pipeline, (), 0, about=_about(overrides, round_))
    return pipeline.plan(), facts  # in nobody's hands: pictures of it are drawn while the other root is held


def _about(overrides: Sequence[str], round_: int | None) -> str:
    return ", ".join([*([] if round_ is None else [f"round {round_}"]), *(f"with {given}" for given in overrides)])


def _facts(pipeline: Pipeline, words: Sequence[str], num_images: int, **about: Any) -> Facts:
    require_annotated(pipeline.plan())
    pipeline.run(Filter())
    pipeline.record(pipeline.plan().lanes(Coverage()))
    found = pipeline.run(Report(words, num_images))
    status = read_status(found.plan, read_journal(pipeline.store))
    return facts_of(found, status, read_runs(pipeline.store), words=words, **about)
