"""Kinds of annotations: what an annotator may require and produce."""

from __future__ import annotations

from typing import Literal

Kind = Literal[
    "pixels",  # the decoded image; every root has it
    "labels",  # classes of the whole image
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

Family = str
FAMILIES: dict[Family, frozenset[Kind]] = {
    "texts": frozenset({"brief_texts", "detailed_texts"}),
    "regions": frozenset({"objects", "scene_text", "region_briefs", "region_categories", "region_readings"}),
    "groundings": frozenset({"groundings"}),
}
"""Annotation family of an exported sample → kinds whose producers must be done for it to be complete."""

FROM_SOURCES: frozenset[Kind] = frozenset(
    {"brief_texts", "detailed_texts", "objects", "scene_text", "masks", "groundings"}
)
"""Kinds that human or web annotations of a source can bring."""
