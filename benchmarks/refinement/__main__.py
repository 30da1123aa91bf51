"""`python -m benchmarks.refinement --seed S --plain --minutes M --json`: does refinement repair labels?

Writes a dataset with exact truth, spoils its labels, runs `fld run` and `fld refine` on it, and prints the accounts of
every round; with `--json`, the last line holds the figures.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from dataclasses import asdict, replace
from pathlib import Path

from benchmarks.refinement.accounting import RoundAccount
from benchmarks.refinement.base import BasePlan, base_checkpoint
from benchmarks.refinement.cutouts import STAMPS, CutoutWorld, Half
from benchmarks.refinement.experiment import Experiment, ExperimentPlan, Outcome
from benchmarks.refinement.noise import NoiseRates
from benchmarks.refinement.scenes import PlainWorld
from fld_engine.refinement.loop.details import round_details
from fld_engine.refinement.training.progress import Progress

PLAIN = ExperimentPlan()
CUTOUTS = ExperimentPlan(num_images=8000, num_gold=900, num_test=300, learning_rate=8e-4)
"""Photographs differ more than shapes do. Of 1,000 images a student learns the errors by heart, of 4,000 the things."""
IMAGE_PX = 48
"""Side of the scenes: what preset `small` sees without scaling."""
STEPS_A_MINUTE = 20
"""Of each of the six students of two rounds: what two cores train, beside looking again, in the minutes asked for."""


def main() -> int:
    import torch

    options = _parse()
    torch.set_num_threads(options.threads)
    world = PlainWorld(IMAGE_PX) if options.plain else _cutouts("benchmark", options)
    base, base_seconds = _base(options)
    print(f"base checkpoint {base}: {base_seconds:.0f} s ({'cached' if not base_seconds else 'made now'})", flush=True)
    steps = max(round(STEPS_A_MINUTE * options.minutes), 20)
    rates = NoiseRates(**{kind: options.noise * rate for kind, rate in asdict(NoiseRates()).items()})
    with tempfile.TemporaryDirectory(prefix="fld-refinement-", dir=options.folder) as folder:
        plan = replace(PLAIN if options.plain else CUTOUTS, num_steps=steps, rates=rates)
        experiment = Experiment(plan, world, base, Path(folder), seed=options.seed)
        outcome = experiment.run()
        _show(outcome)
        controls = _controls(experiment, in_sample=options.in_sample)
    if options.json:
        print(json.dumps({**_figures(outcome), **controls, "base_seconds": round(base_seconds, 1)}))
    return 0


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.refinement", description=__doc__)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--plain", action="store_true", help="plain shapes in place of cut-outs on photographs")
    parser.add_argument("--minutes", type=float, default=60.0, help="sets the training budget of each student")
    parser.add_argument("--noise", type=float, default=1.0, help="factor on all rates of errors")
    parser.add_argument("--in-sample", action="store_true", help="one more round in the paper's way, as a control")
    parser.add_argument("--base-steps", type=int, default=5000, help="of the base of cut-outs")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--cache", default=str(Path.home() / ".cache/fld-engine/benchmarks/refinement"))
    parser.add_argument("--folder", default=tempfile.gettempdir(), help="where the root is written, and deleted again")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--stamps", type=Path, default=STAMPS, help="folder of the cut-outs")
    parser.add_argument("--grounds", type=Path, help="folder of photographs (.jpg, .png) to put them on")
    parser.add_argument("--split", type=int, default=0, help="which of 32 ways to halve the cut-outs")
    return parser.parse_args()


def _base(options: argparse.Namespace) -> tuple[Path, float]:
    """The base of plain shapes, drawn anew each time; it has learned to point, and begins that of cut-outs."""
    cache = Path(options.cache)
    base, seconds = base_checkpoint(cache, BasePlan(), PlainWorld(IMAGE_PX), report=_show_progress)
    if options.plain:
        return base, seconds
    plan = BasePlan(num_scenes=16_000, num_steps=options.base_steps)
    base, more = base_checkpoint(cache, plan, _cutouts("base", options), begin=base, report=_show_progress)
    return base, seconds + more


def _cutouts(half: Half, options: argparse.Namespace) -> CutoutWorld:
    grounds = sorted(options.grounds.glob("*.[jp][pn]g")) if options.grounds else None
    return CutoutWorld(half, IMAGE_PX, stamps=options.stamps, grounds=grounds, split=options.split)


def _show_progress(progress: Progress) -> None:
    by_task = ", ".join(f"{task} {loss:.2f}" for task, loss in progress.by_task.items())
    print(f"base step {progress.step}: loss {progress.loss:.3f} ({by_task})", file=sys.stderr, flush=True)


def _show(outcome: Outcome) -> None:
    for number, figures in enumerate(outcome.rounds):
        _show_round(number, figures)
    for record in outcome.records[1:]:
        for gate in round_details(record).gates:
            print(f"round {record.number} gate {gate.unit}: {gate.state}: {gate.why}")
    print(f"fresh student: {outcome.students[0]:.3f} -> {outcome.students[1]:.3f}; {outcome.seconds:.0f} s", flush=True)


def _show_round(round_: int, figures: RoundAccount) -> None:
    repaired = ", ".join(f"{kind} {share:.2f}" for kind, share in figures.repaired.items())
    print(
        f"round {round_}: precision {figures.precision:.3f} recall {figures.recall:.3f} F1 {figures.f1:.3f}; "
        f"repaired: {repaired}; damaged {figures.damaged:.3f}; "
        f"edits {figures.num_edits}, closer to the truth {figures.edit_precision:.2f}"
    )


def _controls(experiment: Experiment, *, in_sample: bool) -> dict[str, object]:
    """Run, and tell of, each control; the seconds are its own."""
    found: dict[str, object] = {}
    began = time.monotonic()
    for name, f1 in experiment.without_filter().items():
        found[f"f1_{name}"] = round(f1, 4)
    print(f"controls on round 1: {found}; {time.monotonic() - began:.0f} s", flush=True)
    if in_sample:
        began = time.monotonic()
        figures = experiment.in_sample()
        found["f1_in_sample"] = round(figures.f1, 4)
        print(f"in sample, {time.monotonic() - began:.0f} s:")
        _show_round(1, figures)
    began = time.monotonic()
    found["sabotage_refused"] = experiment.sabotaged()
    refused = found["sabotage_refused"]
    print(f"sabotaged students refused, labels unchanged: {refused}; {time.monotonic() - began:.0f} s", flush=True)
    return found


def _figures(outcome: Outcome) -> dict[str, object]:
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
        "seconds": round(outcome.seconds, 1),
        "num_edits": last.num_edits,
        "rounds": [asdict(figures) for figures in outcome.rounds],
    }


if __name__ == "__main__":
    sys.exit(main())
