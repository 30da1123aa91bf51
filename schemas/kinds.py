"""What a kind of annotation is: the one place that knows it.

An annotator says which kinds it requires and produces. A new kind is a name in `Kind` and an entry in `KINDS`; where it
has a table of its own, that is an entry of `schemas.tables.TABLES`. Graph, plan, work set, rows, rounds, coverage and
report read the views below.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Literal, get_args

from fld_engine.schemas.annotations import RegionKind, RegionTextKind

Kind = Literal[
    "pixels",  # the decoded image; every root has it
    "labels",  # classes of the whole image
    "absences",  # classes that somebody looked for and did not find
    "objects",  # regions of kind `object`, each with its `phrase` text
    "scene_text",  # regions of kind `text`, each with its `ocr` text
    "masks",  # polygons of regions
    "brief_texts",  # brief descriptions of the whole image
    "detailed_texts",  # detailed and more detailed ones
    "region_briefs",  # region texts of kind `brief`
    "region_categories",  # further `phrase` texts of known regions
    "region_readings",  # further `ocr` texts of known regions
    "tokens",  # the parse of texts and region briefs
    "region_chunks",  # region texts of kind `chunk`: the noun chunks of the briefs
    "similarities",  # of texts with their image, and of region texts with their region
    "groundings",  # phrases of texts with their regions
    "checks",  # second looks at regions and phrases
]

Family = Literal["texts", "regions", "groundings"]
"""Annotation family of an exported sample, in the order of its keys."""
InRounds = Literal["label", "derived", "opinion"]
"""What a round of refinement makes of annotations of a kind; see `KindSpec`."""


@dataclass(frozen=True, slots=True)
class KindSpec:
    """What a kind of annotation is.

    `rows` maps table → values of its column `tells` that are of this kind; none where the whole table is. The first
    table is the one whose rows are the annotations, others hold what belongs to them. A family is complete where all
    producers of its kinds are done. `by_sources` kinds may come with the images, by people or from the web; all may
    come from annotators. In a round of refinement, a `label` is carried, what is `derived` is made again whenever texts
    and regions change (masks too, of the boxes there are), and an `opinion` on a label goes with it. `boxes` is what
    coverage and report call the boxes of the kind.
    """

    rows: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    family: Family | None = None
    by_sources: bool = False
    in_rounds: InRounds = "label"
    boxes: str = ""

    @property
    def table(self) -> str:
        """The table whose rows are the annotations; empty for what is no row at all."""
        return next(iter(self.rows), "")


KINDS: dict[Kind, KindSpec] = {
    "pixels": KindSpec(),
    "labels": KindSpec({"labels": ()}, by_sources=True),
    "absences": KindSpec({"absences": ()}, by_sources=True),
    "objects": KindSpec(
        {"regions": ("object",), "region_texts": ("phrase",)}, family="regions", by_sources=True, boxes="region-text"
    ),
    "scene_text": KindSpec(
        {"regions": ("text",), "region_texts": ("ocr",)}, family="regions", by_sources=True, boxes="scene-text"
    ),
    "masks": KindSpec({"masks": ()}, by_sources=True, in_rounds="derived"),
    "brief_texts": KindSpec({"texts": ("brief",)}, family="texts", by_sources=True),
    "detailed_texts": KindSpec({"texts": ("detailed", "more_detailed")}, family="texts", by_sources=True),
    "region_briefs": KindSpec({"region_texts": ("brief",)}, family="regions"),
    "region_categories": KindSpec({"region_texts": ("phrase",)}, family="regions"),
    "region_readings": KindSpec({"region_texts": ("ocr",)}, family="regions"),
    "tokens": KindSpec({"tokens": ()}, in_rounds="derived"),
    "region_chunks": KindSpec({"region_texts": ("chunk",)}, in_rounds="derived"),
    "similarities": KindSpec({"similarities": ()}),
    "groundings": KindSpec(
        {"phrases": (), "phrase_regions": ()},
        family="groundings",
        by_sources=True,
        in_rounds="derived",
        boxes="phrase-region",
    ),
    "checks": KindSpec({"checks": ()}, in_rounds="opinion"),
}
"""Every kind of annotation."""

NOT_STORED: frozenset[Kind] = frozenset(kind for kind, spec in KINDS.items() if not spec.rows)
"""Kinds that are no rows of a table and need no producer: the pixels, which every root has."""

FAMILIES: dict[Family, frozenset[Kind]] = {
    family: frozenset(kind for kind, spec in KINDS.items() if spec.family == family) for family in get_args(Family)
}
"""Annotation family of an exported sample → kinds whose producers must be done for it to be complete."""

FROM_SOURCES: frozenset[Kind] = frozenset(kind for kind, spec in KINDS.items() if spec.by_sources)
"""Kinds that human or web annotations of a source can bring."""

REDERIVED: frozenset[Kind] = frozenset(kind for kind, spec in KINDS.items() if spec.in_rounds == "derived")
"""What follows from texts and regions, and is made again whenever these change."""

BOXED: frozenset[Kind] = frozenset(kind for kind, spec in KINDS.items() if spec.table == "regions")
"""Kinds whose annotations are regions."""

REGION_FAMILIES: dict[str, RegionKind] = {
    KINDS[kind].boxes: value for value in get_args(RegionKind) for kind in BOXED if value in KINDS[kind].rows["regions"]
}
"""What coverage and report call the regions of a kind → that kind of region."""

OWN_TEXTS: dict[RegionKind, RegionTextKind] = {
    value: text
    for value in get_args(RegionKind)
    for text in get_args(RegionTextKind)
    if any(value in KINDS[kind].rows["regions"] and text in KINDS[kind].rows["region_texts"] for kind in BOXED)
}
"""Kind of region → kind of the text that belongs to the region itself; others come from other annotators."""


def kinds_of(tables: Collection[str]) -> frozenset[Kind]:
    """Kinds that annotations of a source may be of, told by the names of their tables."""
    return frozenset(kind for kind in FROM_SOURCES if KINDS[kind].table in tables)


def values_of(kinds: Collection[Kind]) -> dict[str, frozenset[str]]:
    """Tables that hold some kinds → values of their column `tells` that are of them; none where all rows are."""
    found: dict[str, frozenset[str]] = {}
    for kind in kinds:
        for table, values in KINDS[kind].rows.items():
            found[table] = found.get(table, frozenset()) | set(values)
    return found
