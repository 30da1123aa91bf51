"""Images of a partition that are worth looking at, for the gallery: a plain sample, and what is unusual.

Strata: `sample` (images by id, which is as good as at random), `most boxes`, `lowest kept score`, `disagreement` (most
regions that no other specialist has a region on) and `dropped most`. Rare phrases are found after the merge, when it is
known which are rare.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from fld_engine.engine.data.columns import floats, positions
from fld_engine.engine.data.geometry import Floats
from fld_engine.engine.data.kept_rows import judged
from fld_engine.engine.data.view import PartitionView
from fld_engine.engine.stages.report.agreement import disagreement
from fld_engine.engine.stages.report.tables import CANDIDATES, merge_candidates
from fld_engine.schemas.origins import Origin

Rows = list[tuple[str, str, float, str, str, str]]


def candidates_of(
    view: PartitionView, kept: Mapping[str, pa.Table], derived: frozenset[tuple[str, str]] = frozenset()
) -> pa.Table:
    """Rows of `CANDIDATES`: the first few images of every stratum and source of this partition.

    `derived` are pairs of annotators of which one has seen the other's answers.
    """
    images = kept["images"]
    ids, sources = images["id"].to_pylist(), images["source"].to_pylist()
    rows: Rows = []

    def add(stratum: str, values: Floats, note: str) -> None:
        for i in np.flatnonzero(~np.isnan(values)):
            value = float(values[i])
            rows.append((stratum, sources[i], value, ids[i], view.id, note.format(value=abs(value))))

    add("sample", np.array([-int(i[:8], 16) / 2**32 for i in ids]), "drawn by its id")
    add("most boxes", _or_nan(_number(images, kept["regions"])), "{value:.0f} kept regions")
    scored = kept["regions"].filter(pc.not_equal(kept["regions"]["annotator"], Origin.HUMAN))
    add("lowest kept score", -_least(images, scored["image_id"], floats(scored, "score")), "score {value:.2f} was kept")
    regions = judged(view, "regions")
    dropped = _number(images, regions.filter(pc.invert(regions["kept"])))
    add("dropped most", _or_nan(dropped), "{value:.0f} regions were dropped")
    alone = disagreement(view, derived)
    values = np.array([alone.get(i, 0) for i in ids], dtype=np.float64)
    add("disagreement", _or_nan(values), "{value:.0f} regions that one specialist alone has")
    return merge_candidates([_table(rows)])


def _number(images: pa.Table, rows: pa.Table) -> Floats:
    place = positions(rows["image_id"], images["id"])
    return np.bincount(place[place >= 0], minlength=images.num_rows).astype(np.float64)


def _least(images: pa.Table, image_ids: pa.ChunkedArray, values: Floats) -> Floats:
    place = positions(image_ids, images["id"])
    least = np.full(images.num_rows, np.inf)
    np.minimum.at(least, place[place >= 0], values[place >= 0])
    return np.where(np.isinf(least), np.nan, least)


def _or_nan(values: Floats) -> Floats:
    """Images without any are not unusual."""
    return np.where(values > 0, values, np.nan)


def _table(rows: Rows) -> pa.Table:
    columns = zip(*rows, strict=True) if rows else [()] * len(CANDIDATES)
    return pa.table([list(column) for column in columns], schema=CANDIDATES)
