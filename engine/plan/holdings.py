"""What stages leave in a root, noted in the root itself, so that a removal reaches what a package wrote that is gone.

ROOT/holdings/STAGE.json holds the `Holding`s of every stage that ever did anything in the root.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fld_engine.engine.data.store import Store
from fld_engine.engine.plan.keeps import Holding, Keeps
from fld_engine.engine.plan.registry import installed_stages
from fld_engine.schemas.annotations import Frozen

FOLDER = "holdings"


class Declared(Frozen):
    """The holdings of a stage, and its place in a removal."""

    stage: str
    rank: int
    holdings: tuple[Holding, ...]


def declare(store: Store, stage: Any) -> None:
    """Note what a stage leaves in the root, before it does."""
    if isinstance(stage, Keeps):
        declared = Declared(stage=stage.name, rank=stage.rank, holdings=stage.holdings)
        path = f"{FOLDER}/{stage.name}.json"
        if not store.exists(path) or store.read_model(path, Declared) != declared:
            store.publish_model(path, declared)


def declared(store: Store) -> Mapping[str, Declared]:
    """Holdings by stage: those of installed stages as they are today, of others as the root has them."""
    names = sorted(name for name in store.list_names(FOLDER) if name.endswith(".json"))
    noted = [store.read_model(f"{FOLDER}/{name}", Declared) for name in names]
    here = [
        Declared(stage=stage.name, rank=stage.rank, holdings=stage.holdings)
        for stage in installed_stages()
        if isinstance(stage, Keeps)
    ]
    found = {one.stage: one for one in [*noted, *here]}
    return dict(sorted(found.items(), key=lambda item: (item[1].rank, item[0])))
