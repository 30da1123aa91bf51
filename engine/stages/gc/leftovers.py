"""Find what killed workers, earlier configs and newer generations left in a root, and free it.

A file is left over only where it is known what it was: whatever has a name that no rule here knows, stays.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence

from fld_engine.engine.data.forgetting import unfinished
from fld_engine.engine.data.journal import IngestRecord, read_journal
from fld_engine.engine.data.records import OutputRecord
from fld_engine.engine.data.store import Store
from fld_engine.engine.plan.leftovers import Leaves, Leftover
from fld_engine.engine.plan.plan import REMADE, REPLAYED, Plan
from fld_engine.engine.plan.registry import installed_stages

_OUTPUT = re.compile(r"p\d{6,}-[0-9a-f]{16}")
_ROUND = "rounds/"


def find_leftovers(plan: Plan) -> dict[Leftover, int]:
    """What nothing in the root goes by under its config, with bytes, in an order in which it may be deleted.

    Outputs of earlier configs stay in a root with rounds of refinement, which may go by them.
    """
    files, journal = _files(plan.store), read_journal(plan.store)
    found: dict[str, Leftover] = {}
    for leftover in _all(plan, journal, files):
        found.setdefault(leftover.path, leftover)
    return {leftover: files[leftover.path] for leftover in found.values() if leftover.path in files}


def free(store: Store, leftovers: Iterable[Leftover]) -> None:
    """Delete them. Killed anywhere, the rest is found the next time."""
    for leftover in leftovers:
        store.delete(leftover.path)


def _all(plan: Plan, journal: Sequence[IngestRecord], files: Mapping[str, int]) -> Iterator[Leftover]:
    for stage in installed_stages():
        if isinstance(stage, Leaves):
            yield from stage.leftovers(plan, journal, files)
    for step, names in _by_step(files).items():
        yield from _of_step(plan, step, names, has_rounds=any(path.startswith(_ROUND) for path in files))
    yield from (Leftover(path, "unfinished") for path in sorted(files) if unfinished(path))


def _by_step(files: Mapping[str, int]) -> Mapping[str, list[str]]:
    """Names of outputs of partitions and their files and marks, by step."""
    steps: dict[str, list[str]] = defaultdict(list)
    for path in sorted(files):
        top, _, rest = path.partition("/")
        step, _, name = rest.partition("/")
        if top == "stages" and _OUTPUT.match(name):
            steps[step].append(name)
    return steps


def _of_step(plan: Plan, step: str, names: Sequence[str], *, has_rounds: bool) -> Iterator[Leftover]:
    """Records that the config leads to no more, then what no record that stays names."""
    counts = {f"{record.id}-{plan.fingerprints.get((step, record.id), '')}" for record in plan.partitions}
    marks = {name: old_new for name in names if (old_new := _mark(name))}
    grown = True
    while grown:  # what a replay stands in for leads to what stands in for it, however often
        grown = False
        for old, new in marks.values():
            if new in counts and old not in counts:
                counts.add(old)
                grown = True
    stays: set[str] = set()
    for name in names:
        stem, dot, ending = name.partition(".")
        if (dot, ending) != (".", "json"):
            continue
        if stem in counts or has_rounds:
            output: OutputRecord = plan.store.read_model(f"stages/{step}/{name}", OutputRecord)
            stays |= {name, *(file.path.rsplit("/", 1)[-1] for file in output.files.values())}
        else:
            yield Leftover(f"stages/{step}/{name}", "earlier config")
    stays |= {name for name, (_, new) in marks.items() if new in counts or has_rounds}
    recorded = {name.removesuffix(".json") for name in names if name.count(".") == 1}
    for name in names:
        if name not in stays and not (name.count(".") == 1 and name.endswith(".json")):
            of_earlier = name.split(".")[0] in recorded - counts or name in marks
            yield Leftover(f"stages/{step}/{name}", "earlier config" if of_earlier else "unfinished")


def _mark(name: str) -> tuple[str, str] | None:
    """(old, new) outputs, as PARTITION-FINGERPRINT, of a mark that one stands in for the other."""
    for kind in (REPLAYED, REMADE):
        old, found, new = name.partition(kind)
        if found:
            return old, f"{old.split('-')[0]}-{new}"
    return None


def _files(store: Store) -> dict[str, int]:
    """Bytes of all files of the root by path, in one listing."""
    found = store.asked("", lambda: store.fs.find(store.base, detail=True))
    return {path[len(store.base) + 1 :]: int(info.get("size") or 0) for path, info in found.items()}
