"""`fld report`: from a root to pages and tables under `ROOT/report`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.metadata import version
from typing import Any

from engine.ingest.ingest import read_journal
from engine.pipeline import Pipeline
from engine.report.build import facts_of, pages_of, write_tables
from engine.report.render import write_pages
from engine.store import Store
from flows.summary import RUN_FILE

FOLDER = "report"
NUM_IMAGES = 80


def make_report(
    pipeline: Pipeline,
    *,
    words: Sequence[str] = (),
    words_name: str = "",
    words_floor: int = 10,
    num_images: int = NUM_IMAGES,
) -> list[str]:
    """Do what is missing of verdicts, coverage and aggregates, and write the pages; returns their paths in the root."""
    pipeline.decide()
    pipeline.cover()
    found = pipeline.report(words, num_images)
    facts = facts_of(
        found,
        read_journal(pipeline.store),
        read_runs(pipeline.store),
        words=words,
        words_name=words_name,
        words_floor=words_floor,
    )
    write_tables(pipeline.store, f"{FOLDER}/data", facts)
    title, root = pipeline.config.name, pipeline.store.url
    return write_pages(
        pipeline.store, pages_of(facts), folder=FOLDER, title=title, root=root, version=version("fld-engine")
    )


def read_runs(store: Store) -> list[Mapping[str, Any]]:
    """The attempts of the root, oldest first; none where nothing has run yet."""
    found: list[Mapping[str, Any]] = store.read_model(RUN_FILE, list[dict[str, Any]]) if store.exists(RUN_FILE) else []
    return found
