"""How the command line tells of rounds of refinement."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import Console
from rich.table import Table

from fld_engine.engine.export.facts import NOT_MEASURED
from fld_engine.engine.rounds import RoundRecord
from fld_engine.refinement.loop.loop import RefineSummary

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
        for measured in record.details["edits_measured"]:
            if not measured["num_edits"]:
                continue
            share = measured["num_closer"] / measured["num_edits"]
            reference = "gold" if summary.rounds[0].details["num_gold"] else "images where two specialists agree"
            out.print(
                f"round {record.number}: {measured['num_closer']} of {measured['num_edits']} edits of "
                f"{measured['unit']} on {reference} came closer to it ({share:.0%})"
            )
        for curve in record.details["calibrations"]:
            if curve["state"] == "uncalibrated":
                where = f"{curve['source']}/{curve['family']}"
                out.print(f"round {record.number}: {where} is uncalibrated: {curve['num_examples']} examples of gold")
        if "sparse" in record.details:
            _print_sparse(out, record)
    for metric, (before, after) in summary.final.items():
        out.print(f"final gold, read once: {metric} {before:.4f} -> {after:.4f}")
    if not summary.final:
        out.print("no gold image in the final split: whether the labels got better was not measured")
    if not summary.rounds[0].details["num_gold"]:
        out.print("there is no gold: metrics named agreement-... tell how far two specialists agree, not who is right")
    out.print(f"ended: {summary.ended}", markup=False)


def _rows(record: RoundRecord) -> Iterator[tuple[str, ...]]:
    """Of each unit what its gate decided on, then every other figure that gold has something to say about."""
    if "sparse" in record.details:
        yield from _rows_of_sparse(record)
        return
    edits = str(sum(record.details["edits"].values()))
    for gate in record.details["gates"]:
        unit, metric = gate["unit"], gate["metric"]
        figures = (f"{gate['before']:.4f}", f"{gate['after']:.4f}") if gate["num_images"] else ("no gold", "no gold")
        yield unit, metric, *figures, VERDICTS[gate["state"]], edits
        for other in record.details["measured"]:
            if other["unit"] == unit and other["metric"] != metric:
                yield unit, other["metric"], f"{other['before']:.4f}", f"{other['after']:.4f}", "", ""


def _rows_of_sparse(record: RoundRecord) -> Iterator[tuple[str, ...]]:
    """Of each granularity what gold made of the specialist's texts, and how many of them were added."""
    for gate, written in zip(record.gates, record.details["sparse"]["written"].values(), strict=True):
        figures = ("-", "-") if gate.metric == NOT_MEASURED else (f"{gate.before:.4f}", f"{gate.after:.4f}")
        yield gate.specialist, gate.metric, *figures, "accepted" if gate.accepted else "refused", str(written)


def _print_sparse(out: Console, record: RoundRecord) -> None:
    """What a specialist of detailed texts learned from and wrote, and how it was measured."""
    sparse = record.details["sparse"]
    for gate in sparse["gates"]:
        granularity, decision, small = gate["granularity"], gate["decision"], gate["small_set"]
        told = f"round {record.number}: {granularity}: learned from {sparse['learned'][granularity]} texts, wrote "
        told += f"{sparse['written'][granularity]}; "
        if decision["state"] == "cannot_tell":
            told += f"{NOT_MEASURED}, admitted as a specialist is: {decision['why']}"
        else:
            told += f"CIDEr on {decision['num_images']} gold images {decision['after']:.4f}, of brief texts "
            told += f"{gate['brief']:.4f}, of its texts of other images {gate['another']:.4f}"
        if small:
            told += f"; on the {small['num_images']} of them with a text of the small set, that has "
            told += f"{small['before']:.4f} and the specialist {small['after']:.4f}"
        out.print(told, markup=False)
    for reason, number in sparse["dropped"].items():
        out.print(f"round {record.number}: filter {reason} dropped {number} of its texts", markup=False)
