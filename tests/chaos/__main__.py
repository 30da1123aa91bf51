"""The chaos table: `make chaos KILLS=200` kills as often, resumes, compares, and says what it found.

`SEED` draws other cases; `CASE=annotate/ray/worker@17` plays one again. Exits with 1 where anything went wrong.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
import tempfile
from collections import defaultdict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from pathlib import Path

from rich.console import Console
from rich.table import Table

from tests.chaos.cases import PLAYED, Case, draw
from tests.chaos.ground import DISK, S3, STAGES, Ground, lay
from tests.chaos.play import Verdict, play, why_no_disk
from tests.object_store import served_bucket


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="make chaos", description=__doc__)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--case", action="append", default=[], type=Case.read)
    parser.add_argument("--side-by-side", type=int, default=max(1, (os.cpu_count() or 1) // 2))
    given, out = parser.parse_args(arguments), Console(width=120)
    logging.getLogger("werkzeug").setLevel(logging.WARNING)  # the store's server tells of each request
    folder = Path(tempfile.mkdtemp(prefix="fld-chaos-"))
    refused = why_no_disk(folder)
    if refused:
        out.print(f"no full disks: {refused}")
    is_far = not given.case or any(case.runner == S3 for case in given.case)
    with served_bucket() if is_far else nullcontext("") as bucket:
        ground = lay(folder / "ground", {case.stage for case in given.case} or STAGES, bucket)
        victims = {victim for _, victim in PLAYED} - ({DISK} if refused else set())
        return _play(given.case or [*draw(ground, given.kills, given.seed, victims)], ground, folder, given, out)


def _play(cases: Sequence[Case], ground: Ground, folder: Path, given: argparse.Namespace, out: Console) -> int:

    def played(numbered: tuple[int, Case]) -> tuple[Case, Verdict]:
        number, case = numbered
        verdict = play(case, ground, folder / f"{number:04d}")
        out.print(f"{case}: {verdict.wrong or 'the same bytes'}", markup=False, highlight=False)
        return case, verdict

    with ThreadPoolExecutor(given.side_by_side) as several:
        verdicts = [*several.map(played, enumerate(cases, 1))]
    return tell(out, verdicts, folder)


def tell(out: Console, verdicts: Sequence[tuple[Case, Verdict]], folder: Path) -> int:
    """Print the table and the verdict; the exit status."""
    rows: dict[tuple[str, str, str], list[tuple[Case, Verdict]]] = defaultdict(list)
    for case, verdict in verdicts:
        rows[case.row].append((case, verdict))
    table = Table("stage", "runner", "victim", "kills", "resumed", "byte-identical", "failed: CASE=")
    for row in sorted(rows, key=lambda row: (STAGES.index(row[0]), PLAYED.index(row[1:]))):
        found = [verdict for _, verdict in rows[row]]
        resumed, same = (sum(answers) for answers in zip(*((v.resumed, v.same) for v in found), strict=True))
        wrong = "\n".join(str(case) for case, verdict in rows[row] if verdict.wrong)
        table.add_row(*row, str(sum(v.kills for v in found)), f"{resumed}/{len(found)}", f"{same}/{len(found)}", wrong)
    out.print(table)
    kills, failed = sum(verdict.kills for _, verdict in verdicts), sum(bool(verdict.wrong) for _, verdict in verdicts)
    unmet = len(verdicts) - sum(bool(verdict.kills) for _, verdict in verdicts)
    out.print(f"{kills} kills in {len(verdicts)} runs, {unmet} of which ended before theirs")
    out.print(f"verdict: {f'{failed} went wrong, see {folder}' if failed else 'nothing lost, all bytes the same'}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
