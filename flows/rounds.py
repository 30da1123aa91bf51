"""How the command line tells of rounds of refinement."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import Console
from rich.table import Table

from engine.rounds import RoundRecord
from refinement.loop import RefineSummary

VERDICTS = {"better": "accepted", "not_better": "refused", "cannot_tell": "refused: cannot tell"}


def print_rounds(out: Console, summary: RefineSummary, *, as_json: bool) -> None:
    if as_json:
        out.print_json(summary.model_dump_json())
        return
    table = Table("round", "unit", "metric", "before", "after", "verdict", "edits")
    for record in summary.rounds[1:]:
        for row in _rows(record):
            table.add_row(str(record.number), *row)
    if table.row_count:
        out.print(table)
    for record in summary.rounds[1:]:
        measured = record.details["edits_measured"]
        if measured["num_edits"]:
            share = measured["num_closer"] / measured["num_edits"]
            reference = "gold" if summary.rounds[0].details["num_gold"] else "images where two specialists agree"
            out.print(
                f"round {record.number}: {measured['num_closer']} of {measured['num_edits']} edits of regions on "
                f"{reference} came closer to it ({share:.0%})"
            )
        for curve in record.details["calibrations"]:
            if curve["state"] == "uncalibrated":
                where = f"{curve['source']}/{curve['family']}"
                out.print(f"round {record.number}: {where} is uncalibrated: {curve['num_examples']} examples of gold")
    for metric, (before, after) in summary.final.items():
        out.print(f"final gold, read once: {metric} {before:.4f} -> {after:.4f}")
    if not summary.final:
        out.print("no gold image in the final split: whether the labels got better was not measured")
    if not summary.rounds[0].details["num_gold"]:
        out.print("there is no gold: metrics named agreement-... tell how far two specialists agree, not who is right")
    out.print(f"ended: {summary.ended}", markup=False)


def _rows(record: RoundRecord) -> Iterator[tuple[str, ...]]:
    """Of each unit what its gate decided on, then every other figure that gold has something to say about."""
    edits = str(sum(record.details["edits"].values()))
    for gate in record.details["gates"]:
        unit, metric = gate["unit"], gate["metric"]
        figures = (f"{gate['before']:.4f}", f"{gate['after']:.4f}") if gate["num_images"] else ("no gold", "no gold")
        yield unit, metric, *figures, VERDICTS[gate["state"]], edits
        for other in record.details["measured"]:
            if other["unit"] == unit and other["metric"] != metric:
                yield unit, other["metric"], f"{other['before']:.4f}", f"{other['after']:.4f}", "", ""
