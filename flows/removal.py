"""How the command line tells of removals and of differences between exports."""

from __future__ import annotations

from rich.console import Console

from fld_engine.engine.stages.export.diff import Changes, ExportDiff
from fld_engine.engine.stages.removal.request import RemovalReport

MAX_LINES = 20
"""Lines of one list that a terminal gets; `--json` has them all."""


def print_removal(out: Console, report: RemovalReport, root: str, *, as_json: bool) -> None:
    if as_json:
        out.print_json(report.model_dump_json())
        return
    if report.before:
        out.print(f"{report.before} of the ids were removed before")
    if not report.removed:
        out.print("nothing to remove")
        return
    out.print(f"removed {len(report.removed)} images from {len(report.partitions)} partitions of {root}")
    if not report.exported:
        out.print("the export holds none of them and is to be completed: `fld run` does that")
        return
    _print_changes(
        out,
        "shards",
        Changes(added=report.shards_added, removed=report.shards_removed, changed=report.shards_changed),
    )
    out.print(f"{report.samples} samples are left: {root}/export")


def print_diff(out: Console, found: ExportDiff, *, as_json: bool) -> None:
    if as_json:
        out.print_json(found.model_dump_json())
        return
    if found.same:
        out.print(f"the same: {found.num_samples[0]} samples in {found.num_shards[0]} shards, bytes and settings")
        return
    samples, shards, read = (
        " -> ".join(map(str, n)) for n in (found.num_samples, found.num_shards, found.num_shards_read)
    )
    out.print(f"samples {samples}, shards {shards} (read because they differ: {read})", markup=False)
    parts = ", ".join(f"{part} of {number}" for part, number in found.parts.items())
    out.print(
        f"samples: {len(found.samples_added)} added, {len(found.samples_removed)} removed, "
        f"{len(found.samples_changed)} changed" + (f" ({parts})" if parts else "")
    )
    lines = [f"+ {one}" for one in found.samples_added] + [f"- {one}" for one in found.samples_removed]
    _print_lines(out, lines + [f"~ {one.id}: {', '.join(one.parts)}" for one in found.samples_changed])
    _print_changes(out, "shards", found.shards)
    _print_changes(out, "specialists", found.specialists)
    _print_changes(out, "filters", found.filters)
    if found.config:
        out.print("config:")
        _print_lines(out, [f"{key}: {value.old!r} -> {value.new!r}" for key, value in found.config.items()])


def _print_changes(out: Console, what: str, changes: Changes) -> None:
    if not changes:
        return
    out.print(
        f"{what}: {len(changes.changed)} changed, {len(changes.removed)} removed, {len(changes.added)} added",
        markup=False,
    )
    marked = [("~", changes.changed), ("-", changes.removed), ("+", changes.added)]
    _print_lines(out, [f"{mark} {name}" for mark, names in marked for name in names])


def _print_lines(out: Console, lines: list[str]) -> None:
    for line in lines[:MAX_LINES]:
        out.print(f"  {line}", markup=False)
    if len(lines) > MAX_LINES:
        out.print(f"  and {len(lines) - MAX_LINES} more; --json lists them all")
