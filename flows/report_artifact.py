"""What Prefect's pages say of a root once its report is written."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from prefect.artifacts import create_markdown_artifact

from fld_engine.engine.data.journal import read_journal
from fld_engine.engine.inspect.status import read_status
from fld_engine.engine.run.pipeline import Pipeline
from fld_engine.engine.stages.coverage.report import report as coverage_report
from fld_engine.engine.stages.coverage.stage import read_coverage
from fld_engine.engine.stages.coverage.summary import terminal_summary
from fld_engine.flows.artifacts import key_of, where_to_look
from fld_engine.schemas.masking import masked


def tell_of_report(pipeline: Pipeline, page: str) -> None:
    """Leave an artifact with the report's numbers, and how its first page, `page` of the root, is opened."""
    store, plan = pipeline.store, pipeline.plan()
    status = read_status(plan, read_journal(store))
    lines = [
        f"# {pipeline.config.name}: coverage report",
        where_to_look(store, page),
        f"Found {status.found} images: {status.ingested} ingested, {status.duplicates} duplicates, "
        f"{sum(status.quarantined.values())} quarantined. Exported: {status.exported_samples} samples in "
        f"{status.exported_shards} shards.",
    ]
    for table in terminal_summary(coverage_report(read_coverage(plan))):
        if table.rows:
            lines.append(f"## {table.title}\n\n" + "\n".join(_rows(table.header, table.rows)))
    create_markdown_artifact(
        key=key_of(store, "report"), markdown="\n\n".join(lines), description=f"Report of {masked(store.url)}"
    )


def _rows(header: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    for cells in (header, ["---"] * len(header), *rows):
        yield f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"
