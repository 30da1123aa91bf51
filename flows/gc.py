"""`fld gc`: free what nothing in a root goes by any more."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Annotated

import typer
from rich.table import Table

from fld_engine.engine.plan.leftovers import Leftover
from fld_engine.engine.run.pipeline import Pipeline
from fld_engine.engine.stages.gc.leftovers import find_leftovers, free
from fld_engine.flows.options import AsJson, plan_of_root
from fld_engine.flows.root import existing_root
from fld_engine.flows.terminal import out

gc_app = typer.Typer(add_completion=False)

Kept = Annotated[
    bool, typer.Option("--keep-outputs", help="Leave outputs of earlier configs: set again, they need no new work.")
]


@gc_app.command()
def gc(
    root: Annotated[str, typer.Argument(help="Dataset root.")],
    yes: Annotated[bool, typer.Option("--yes", help="Delete; without it, only tell what would be deleted.")] = False,
    keep_outputs: Kept = False,
    as_json: AsJson = False,
) -> None:
    """Tell, or with --yes delete, what killed workers, earlier configs and newer generations left in a root."""
    store, config = existing_root(root, None)
    if yes:
        with Pipeline(store, config) as pipeline:
            found = _wanted(find_leftovers(pipeline.plan()), keep_outputs=keep_outputs)
            free(pipeline.store, found)
    else:
        found = _wanted(find_leftovers(plan_of_root(store, config)), keep_outputs=keep_outputs)
    if as_json:
        files = [{"path": one.path, "why": one.why, "bytes": num_bytes} for one, num_bytes in found.items()]
        out.print_json(data={"root": root, "deleted": yes, "bytes": sum(found.values()), "files": files})
        return
    _print(found, root, deleted=yes)


def _wanted(found: Mapping[Leftover, int], *, keep_outputs: bool) -> dict[Leftover, int]:
    return {one: size for one, size in found.items() if not (keep_outputs and one.why == "earlier config")}


def _print(found: Mapping[Leftover, int], root: str, *, deleted: bool) -> None:
    if not found:
        out.print(f"nothing to free: {root} holds only what its config goes by", markup=False)
        return
    files: Counter[tuple[str, str]] = Counter()
    sizes: Counter[tuple[str, str]] = Counter()
    for one, num_bytes in found.items():
        key: tuple[str, str] = (one.path.rpartition("/")[0] or ".", one.why)
        files[key] += 1
        sizes[key] += num_bytes
    table = Table("folder", "why", "files", "MB")
    for (folder, why), num in sorted(files.items()):
        table.add_row(folder, why, str(num), f"{sizes[folder, why] / 1e6:.1f}")
    out.print(table)
    total = f"{sum(files.values())} files, {sum(sizes.values()) / 1e6:.1f} MB"
    out.print(f"freed {total}" if deleted else f"would free {total}; `fld gc {root} --yes` does", markup=False)
