"""`python -m benchmarks.refinement --seed S --plain --minutes M --json`: does refinement repair labels?

Prints the accounts of every round, then, with `--json`, one line that holds the figures.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path

from benchmarks.refinement.accounting import RoundAccount
from benchmarks.refinement.base import BasePlan, base_checkpoint
from benchmarks.refinement.cutouts import STAMPS, CutoutWorld
from benchmarks.refinement.experiment import Experiment, ExperimentPlan, Outcome
from benchmarks.refinement.scenes import PlainWorld, World
from refinement.training import Progress

IMAGE_PX = 48
"""Side of the scenes: what preset `small` sees without scaling."""


def main() -> int:
    import torch

    options = _parse()
    torch.set_num_threads(options.threads)
    plan = BasePlan(world="plain" if options.plain else "cut-outs", num_steps=options.base_steps)
    worlds = _worlds(options)
    base, base_seconds = base_checkpoint(Path(options.cache), plan, worlds[0], seed=0, report=_show_progress)
    print(f"base checkpoint {base}: {base_seconds:.0f} s ({'cached' if not base_seconds else 'made now'})")
    steps = round(ExperimentPlan().num_steps * options.minutes / 5)
    outcome = Experiment(ExperimentPlan(num_steps=max(steps, 20)), worlds[1], base, seed=options.seed).run()
    for round_, figures in enumerate(outcome.rounds):
        _show_round(round_, figures)
    for round_, gates in enumerate(outcome.gates, start=1):
        for gate in gates:
            print(f"round {round_} gate {gate.unit}: {gate.state}: {gate.why}")
    sabotage = ExperimentPlan(num_steps=max(steps // 2, 20), num_rounds=1, control="sabotaged")
    refused = Experiment(sabotage, worlds[1], base, seed=options.seed).run().unchanged
    print(f"sabotaged student refused, labels unchanged: {refused}")
    if options.json:
        print(json.dumps(_figures(outcome, refused, base_seconds)))
    return 0


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.refinement", description=__doc__)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--plain", action="store_true", help="plain shapes in place of cut-outs on photographs")
    parser.add_argument("--minutes", type=float, default=5.0, help="sets the training budget of each student")
    parser.add_argument("--base-steps", type=int, default=BasePlan().num_steps)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--cache", default=str(Path.home() / ".cache/fld-engine/benchmarks/refinement"))
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--stamps", type=Path, default=STAMPS, help="folder of the cut-outs")
    return parser.parse_args()


def _worlds(options: argparse.Namespace) -> tuple[World, World]:
    """Of the base and of the benchmark. Plain shapes are drawn anew each time; cut-outs and grounds are halved."""
    if options.plain:
        return PlainWorld(IMAGE_PX), PlainWorld(IMAGE_PX)
    return (
        CutoutWorld("base", IMAGE_PX, stamps=options.stamps),
        CutoutWorld("benchmark", IMAGE_PX, stamps=options.stamps),
    )


def _show_progress(progress: Progress) -> None:
    by_task = ", ".join(f"{task} {loss:.2f}" for task, loss in progress.by_task.items())
    print(f"base step {progress.step}: loss {progress.loss:.3f} ({by_task})", file=sys.stderr, flush=True)


def _show_round(round_: int, figures: RoundAccount) -> None:
    repaired = ", ".join(f"{kind} {share:.2f}" for kind, share in figures.repaired.items())
    print(
        f"round {round_}: precision {figures.precision:.3f} recall {figures.recall:.3f} F1 {figures.f1:.3f}; "
        f"repaired: {repaired}; damaged {figures.damaged:.3f}; "
        f"edits {figures.num_edits}, closer to the truth {figures.edit_precision:.2f}",
        flush=True,
    )


def _figures(outcome: Outcome, refused: bool, base_seconds: float) -> dict[str, object]:
    first, last = outcome.rounds[0], outcome.rounds[-1]
    return {
        "f1_before": round(first.f1, 4),
        "f1_after": round(last.f1, 4),
        "f1_gain": round(last.f1 - first.f1, 4),
        "edit_precision": round(last.edit_precision, 4),
        "swapped_repaired": round(last.repaired["swapped"], 4),
        "spurious_removed": round(last.repaired["spurious"], 4),
        "missed_found": round(last.repaired["missed"], 4),
        "jittered_repaired": round(last.repaired["jittered"], 4),
        "words_repaired": round(last.repaired["wrong_words"], 4),
        "good_damaged": round(last.damaged, 4),
        "student_before": round(outcome.students[0], 4),
        "student_after": round(outcome.students[1], 4),
        "sabotage_refused": refused,
        "seconds": round(outcome.seconds, 1),
        "base_seconds": round(base_seconds, 1),
        "num_edits": last.num_edits,
        "rounds": [asdict(figures) for figures in outcome.rounds],
    }


if __name__ == "__main__":
    sys.exit(main())
