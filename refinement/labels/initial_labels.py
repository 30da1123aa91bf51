"""The labels that the first round begins with: what the filters kept, and how far each image was annotated."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from fld_engine.engine.data.view import PartitionView
from fld_engine.engine.stages.export.assemble import family_status
from fld_engine.refinement.labels.tables import Labels, of_people, without_orphans
from fld_engine.schemas.kinds import FAMILIES, Kind
from fld_engine.schemas.tables import STATUS, VERDICT_TARGETS


def kept_labels(view: PartitionView, remade: frozenset[Kind], makers: frozenset[str]) -> Labels:
    """The rows that the verdicts keep, without the kinds that are made again from them, and without opinions on them.

    Similarities stay with what they are about, and so do masks, but for those of the `makers`: annotators that run
    again on the labels. A person's mask stays, and one that came with its region; so do groundings of people, which no
    annotator makes.
    """
    kept = {
        name: table.filter(view.verdicts[name]["kept"]) if name in VERDICT_TARGETS else table
        for name, table in view.annotations.items()
    }
    kept["checks"] = kept["checks"].slice(0, 0)
    if "tokens" in remade:
        kept["tokens"] = kept["tokens"].slice(0, 0)
    if "region_chunks" in remade:
        kept["region_texts"] = kept["region_texts"].filter(pc.not_equal(kept["region_texts"]["kind"], "chunk"))
    if "groundings" in remade:
        kept |= of_people({name: kept[name] for name in ("phrases", "phrase_regions")})
    again = pc.is_in(kept["masks"]["annotator"], pa.array(sorted(makers), pa.string()))
    kept["masks"] = kept["masks"].filter(pc.invert(again))
    return without_orphans(kept)


def statuses(view: PartitionView, remade: frozenset[Kind]) -> dict[str, pa.Table]:
    """Family → status table: how far it was annotated, of the families whose labels the round keeps."""
    ids = view.images["id"].to_pylist()
    return {
        family: pa.Table.from_pylist(
            [
                {"image_id": image, "status": status, "count": 0, "reason": "", "isolated": False}
                for image, status in zip(ids, family_status(view, family), strict=True)
            ],
            schema=STATUS,
        )
        for family, kinds in FAMILIES.items()
        if not kinds <= remade
    }
