"""What came of a made source, in one comparable shape: who said what, where."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fld_engine.engine.sources.item import PassedOver, Rejected, SourceItem, SourceSpec
from fld_engine.engine.sources.open import open_source, read_chunk
from tests.known_faults.in_process import Root

Place = tuple[str, str, tuple[float, ...]]
"""(image without its source's name, class, x1 y1 x2 y2)."""


def boxes_of(root: Root) -> list[Place]:
    """Everything that was drawn, in order."""
    images = {row["id"]: row["uri"].partition("#")[2] for row in root.rows("images")}
    names = {row["region_id"]: row["text"] for row in root.rows("region_texts")}
    return sorted(
        (images[row["image_id"]], names.get(row["id"], ""), (row["x1"], row["y1"], row["x2"], row["y2"]))
        for row in root.rows("regions")
    )


def classes_of(root: Root, table: str = "labels") -> list[tuple[str, str]]:
    """(image, class) of a table of classes, in order."""
    images = {row["id"]: row["uri"].partition("#")[2] for row in root.rows("images")}
    return sorted((images[row["image_id"]], row["label"]) for row in root.rows(table))


def authors_of(root: Root, *tables: str) -> set[str]:
    """Who made the rows of tables."""
    return {row["annotator"] for table in tables for row in root.rows(table)}


def read_all(folder: Path | str, **more: Any) -> tuple[list[SourceItem], list[Rejected], list[PassedOver]]:
    """The images of a source, what was rejected, and what was passed over."""
    source = open_source(SourceSpec(url=str(folder), name="src", **more))
    passed: list[PassedOver] = []
    items: list[SourceItem] = []
    rejected: list[Rejected] = []
    for chunk in source.chunks():
        for one in read_chunk(chunk, passed_over=passed.append):
            if isinstance(one, Rejected):
                rejected.append(one)
            else:
                items.append(one[0])
    return items, rejected, passed


def passed_over(root: Root, whose: str = "human") -> dict[str, int]:
    """Reason → how many annotations were passed over for it."""
    found: dict[str, int] = {}
    for record in root.journal():
        for account in record.sources["src"].values():
            for reason, counted in getattr(account, whose).passed_over.items():
                found[reason] = found.get(reason, 0) + counted.number
    return found


def not_in_labels(root: Root) -> int:
    """Files that no label file speaks of."""
    accounts = [account for record in root.journal() for account in record.sources["src"].values()]
    return sum(counted.number for account in accounts for counted in account.listed.values())
