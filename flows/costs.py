"""What `fld status --costs` prints."""

from __future__ import annotations

from rich.console import Console
from rich.filesize import decimal
from rich.table import Table

from fld_engine.engine.data.costs import Cost
from fld_engine.engine.inspect.costs import CostLine, CostReport

UNKNOWN = "not measured"
NOTHING = "-"


def print_costs(out: Console, report: CostReport) -> None:
    """A table of all costs, and one of what they are for each annotation that is kept."""
    spent = Table("spent on", "GPU-hours", "CPU-hours", "chat requests", "store requests", "read", "written", "images")
    for name, line in report.specialists.items():
        spent.add_row(name, *_cost(line.cost), _measured(line))
    for stage, cost in report.stages.items():
        spent.add_row(f"stage {stage}", *_cost(cost), "")
    spent.add_row("total", *_cost(report.total.cost), "", style="bold")
    out.print(spent)
    each = Table("a kept annotation of", "kept", "GPU-s", "CPU-s", "chat requests", "store requests", "bytes")
    for name, line in {**report.specialists, "all": report.total}.items():
        each.add_row(name, "not counted" if line.kept is None else str(line.kept), *_per_kept(line))
    out.print(each)
    if report.total.kept is None:
        out.print("kept annotations are counted by the report: run `fld report`, or `fld run`, first")
    if report.total.unmeasured:
        out.print(
            "not measured: outputs of versions before 0.2, and of the last minute of a run that was killed outright"
        )


def _cost(cost: Cost | None) -> tuple[str, ...]:
    if cost is None:
        return (UNKNOWN, *[NOTHING] * 5)
    hours = (f"{cost.gpu_s / 3600:.4f}", f"{cost.cpu_s / 3600:.4f}")
    return (*hours, str(cost.questions), str(cost.requests), decimal(cost.read_bytes), decimal(cost.written_bytes))


def _measured(line: CostLine) -> str:
    return f"{line.images - line.unmeasured} of {line.images}" if line.unmeasured else str(line.images)


def _per_kept(line: CostLine) -> tuple[str, ...]:
    per = line.per_kept
    if per is None:
        return (UNKNOWN if line.unmeasured or line.cost is None else NOTHING, *[NOTHING] * 4)
    return tuple(f"{value:.3g}" for value in (per.gpu_s, per.cpu_s, per.questions, per.requests, per.num_bytes))
