"""How the command line tells of rounds of refinement."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from rich.console import Console
from rich.table import Table

from fld_engine.engine.data.round_facts import NOT_MEASURED, RoundFacts
from fld_engine.engine.plan.rounds import RoundRecord
from fld_engine.refinement.gate.gate import State
from fld_engine.refinement.loop.details import SparseDetails, initial_details, round_details
from fld_engine.refinement.loop.summary import RefineSummary

VERDICTS: Mapping[State, str] = {"better": "accepted", "not_better": "refused", "cannot_tell": "refused: cannot tell"}


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
    has_gold = initial_details(summary.rounds[0]).num_gold > 0
    for record in summary.rounds[1:]:
        details = round_details(record)
        for measured in details.edits_measured:
            if not measured.num_edits:
                continue
            share = measured.num_closer / measured.num_edits
            reference = "gold" if has_gold else "images where two specialists agree"
            out.print(
                f"round {record.number}: {measured.num_closer} of {measured.num_edits} edits of "
                f"{measured.unit} on {reference} came closer to it ({share:.0%})"
            )
        if details.not_asked:
            counts = ", ".join(f"{number} {unit}" for unit, number in details.not_asked.items())
            out.print(f"round {record.number}: no student could be asked about {counts}: these labels stay as they are")
        for curve in details.calibrations:
            if curve.state == "uncalibrated":
                where = f"{curve.source}/{curve.family}"
                out.print(f"round {record.number}: {where} is uncalibrated: {curve.num_examples} examples of gold")
        if details.sparse is not None:
            _print_sparse(out, record.number, details.sparse)
    often = "once" if summary.num_readings <= 1 else f"{summary.num_readings} times"
    for metric, (before, after) in summary.final.items():
        out.print(f"final gold, read {often}: {metric} {before:.4f} -> {after:.4f}")
    if summary.final and summary.num_readings > 1:
        out.print(
            "the final split was read before, for other labels of this root (final-readings.json): where a config was "
            "chosen by what it said, these figures are too good"
        )
    if not summary.final:
        out.print("no gold image in the final split: whether the labels got better was not measured")
    if not has_gold:
        out.print("there is no gold: metrics named agreement-... tell how far two specialists agree, not who is right")
    out.print(f"ended: {summary.ended}", markup=False)


def _rows(record: RoundRecord) -> Iterator[tuple[str, ...]]:
    """Of each unit what its gate decided on, then every other figure that gold has something to say about."""
    details = round_details(record)
    if details.sparse is not None:
        yield from _rows_of_sparse(record.gates, details.sparse)
        return
    for gate in details.gates:
        figures = (f"{gate.before:.4f}", f"{gate.after:.4f}") if gate.num_images else ("no gold", "no gold")
        yield gate.unit, gate.metric, *figures, VERDICTS[gate.state], str(details.num_edits)
        for other in details.measured:
            if other.unit == gate.unit and other.metric != gate.metric:
                yield other.unit, other.metric, f"{other.before:.4f}", f"{other.after:.4f}", "", ""


def _rows_of_sparse(gates: Sequence[RoundFacts], sparse: SparseDetails) -> Iterator[tuple[str, ...]]:
    """Of each granularity what gold made of the specialist's texts, and how many of them were added."""
    for gate, granularity in zip(gates, (of_sparse.granularity for of_sparse in sparse.gates), strict=True):
        figures = (f"{gate.before:.4f}", f"{gate.after:.4f}") if gate.measured else ("-", "-")
        yield (
            gate.specialist,
            gate.metric,
            *figures,
            "accepted" if gate.accepted else "refused",
            str(sparse.written[granularity]),
        )


def _print_sparse(out: Console, number: int, sparse: SparseDetails) -> None:
    """What a specialist of detailed texts learned from and wrote, and how it was measured."""
    for gate in sparse.gates:
        granularity, decision, small = gate.granularity, gate.decision, gate.small_set
        told = f"round {number}: {granularity}: learned from {sparse.learned[granularity]} texts, wrote "
        told += f"{sparse.written[granularity]}; "
        if not gate.measured:
            told += f"{NOT_MEASURED}, admitted as a specialist is: {decision.why}"
        else:
            told += f"CIDEr on {decision.num_images} gold images {decision.after:.4f}, of brief texts "
            told += f"{gate.brief:.4f}, of its texts of other images {gate.another:.4f}"
        if small:
            told += f"; on the {small.num_images} of them with a text of the small set, that has "
            told += f"{small.before:.4f} and the specialist {small.after:.4f}"
        out.print(told, markup=False)
    for reason, num_texts in sparse.dropped.items():
        out.print(f"round {number}: filter {reason} dropped {num_texts} of its texts", markup=False)
