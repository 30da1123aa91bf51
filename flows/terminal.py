"""What the commands print about a root."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping

import typer
from rich.console import Console
from rich.table import Table

from fld_engine.engine.data.journal import read_journal
from fld_engine.engine.data.source_account import NAMES, SourceAccount, reasons_of
from fld_engine.engine.inspect.explain import Explanation
from fld_engine.engine.plan.plan import Plan
from fld_engine.engine.stages.coverage.report import report as coverage_report
from fld_engine.engine.stages.coverage.stage import read_coverage
from fld_engine.engine.stages.coverage.summary import terminal_summary
from fld_engine.engine.stages.export.stage import export_folder
from fld_engine.flows.summary import RunSummary

NOT_ALL = 3
out = Console(soft_wrap=True, highlight=False, width=None if sys.stdout.isatty() else 140)


def tell(line: str) -> None:
    """Print a line of plain text, if it says something."""
    if line:
        out.print(line, markup=False)


def confirm(question: str) -> bool:
    """Ask somebody at a terminal; off one, nobody says yes."""
    return sys.stdin.isatty() and sys.stdout.isatty() and typer.confirm(question)


def print_times(summary: RunSummary) -> None:
    """How long each stage of a run took."""
    out.print(f"done: {', '.join(f'{stage} {seconds:.1f} s' for stage, seconds in summary.seconds.items())}")


def work_set_note(plan: Plan) -> str:
    """Announces regions that would be kept without what the annotators of regions say; empty where there are none."""
    lowest, blind = plan.blind_annotators()
    if not blind:
        return ""
    return (
        f"note: the filters keep regions from {lowest:g} up, which is below the work set of {', '.join(blind)}: "
        f"these will say nothing of them; --set annotators.NAME.work_set.min_score={lowest:g} runs NAME again, and "
        "what reads it"
    )


def print_status(plan: Plan, *, as_json: bool = False) -> None:
    from fld_engine.engine.inspect.status import read_status

    report = read_status(plan, read_journal(plan.store))
    if as_json:
        out.print_json(report.model_dump_json())
        return
    quarantined = sum(report.quarantined.values())
    out.print(
        f"found {report.found}: ingested {report.ingested}, duplicates {report.duplicates}, known {report.known}, "
        + (f"removed {report.removed}, " if report.removed else "")
        + f"quarantined {quarantined} {dict(report.quarantined) if quarantined else ''}"
    )
    if any(report.left_out.values()):
        lists = ", ".join(f"{name} {number}" for name, number in report.left_out.items())
        out.print(f"left out, because they show what may not be trained on: {lists}", markup=False)
    for name, reasons in report.unread_lists.items():
        out.print(f"exclude list {name}: entries that could not be read {dict(reasons)}", markup=False)
    print_sources(report.sources)
    for kind, left in report.unread.items():
        out.print(
            f"left for the next run: {left.chunks} chunks with {left.files} files, {kind}: {left.example}",
            markup=False,
        )
    if report.refused_before:
        out.print(
            f"{report.refused_before} images were refused under limits that have changed: `fld replay` takes them in"
        )
    annotators = Table("annotator", "done", "failed", "not run", "missing")
    for name, step in report.annotated.items():
        annotators.add_row(name, str(step.done), str(step.failed), str(step.not_run), str(step.missing))
    out.print(annotators)
    if report.kept:
        for table in terminal_summary(coverage_report(read_coverage(plan))):
            drawn = Table(*table.header, title=table.title, title_justify="left")
            for row in table.rows:
                drawn.add_row(*row)
            out.print(drawn)
    where = f"{plan.store.url}/{export_folder(plan)}"
    out.print(f"exported {report.exported_samples} samples in {report.exported_shards} shards: {where}")
    for task, reasons in sorted(report.unsaid.items()):
        told = ", ".join(f"{number} {reason.replace('_', ' ')}" for reason, number in sorted(reasons.items()))
        out.print(f"annotations in no target of {task}: {told}")


def print_explanation(found: Explanation) -> None:
    """Every annotation of an image with its verdict."""
    out.print(f"{found.image_id} in {found.partition}: {', '.join(found.uris)}", markup=False)
    for annotator, state in found.status.items():
        out.print(f"  {annotator}: {state}", markup=False)
    for shown in found.shows:
        out.print(
            f"  left out: it shows {shown.entry} of {shown.list} (found by {shown.how}, distance {shown.distance:g})",
            markup=False,
        )
    for told in found.classes:
        what = "class" if told.said == "labels" else "absent class"
        out.print(f"  {what}: {told.label} ({told.score:.2f}, by {told.source})", markup=False)
    table = Table("what", "annotation", "score", "by", "verdict", "decided on")
    for a in found.annotations:
        what = " ".join(str(v) for v in a.what.values() if v != "")
        values = ", ".join(f"{name} {value:g}" for name, value in a.values.items())
        score = "" if a.score is None else f"{a.score:.2f}"
        by = f"{a.source} ({a.said_in})" if a.said_in else a.source
        verdict = ("kept" if a.kept else a.reason) + (f", one with {a.one_with}" if a.one_with else "")
        table.add_row(a.target, what, score, by, verdict, values)
    out.print(table, markup=False)
    out.print(f"thresholds: {json.dumps(found.thresholds)}", markup=False)


def print_sources(sources: Mapping[str, SourceAccount]) -> None:
    """What each source holds and what became of it, every loss by its reason."""
    for name, account in sources.items():
        out.print(f"source {name}", markup=False)
        print_account(account)


def print_account(account: SourceAccount, *, details: bool = False) -> None:
    """What became of what a source holds; `details` say of each example why."""
    for what, tally in account.tallies().items():
        if not tally.seen:
            continue
        over = f", passed over {tally.num_passed_over}" if tally.num_passed_over else ""
        out.print(f"  {NAMES[what]}: seen {tally.seen}, read {tally.read}, refused {tally.num_refused}{over}")
        for fate, reasons in (("refused", tally.refused), ("passed over", tally.passed_over)):
            if reasons:
                out.print(f"    {fate}: {reasons_of(reasons, details=details)}", markup=False)


def leave(plan: Plan) -> None:
    """Exit with 3 where more is missing or refused than the config allows, or something was left unread; say what."""
    from fld_engine.engine.inspect.losses import incomplete
    from fld_engine.engine.inspect.status import read_status

    if reasons := incomplete(read_status(plan, read_journal(plan.store)), plan.config.limits):
        out.print(f"done, but {'; and '.join(reasons)}", markup=False)
        raise typer.Exit(NOT_ALL)
