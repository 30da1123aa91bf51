"""What several filters read from the tables."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from fld_engine.engine.data.columns import equals, floats, positions
from fld_engine.engine.data.geometry import Bools, Floats
from fld_engine.schemas.origins import Origin


def by_human(table: pa.Table) -> Bools:
    """Whether each annotation was made by a person.

    What a person wrote or drew is protected: it has no model's score to doubt, so no filter on scores, overlaps or a
    parse drops it. It goes only with its image.
    """
    return equals(table["annotator"], Origin.HUMAN)


def lowest_of(subjects: pa.Table, judgements: pa.Table) -> Floats:
    """(num_subjects,) the lowest `score` that judgements name each as `subject_id` with: each judge can refute.

    NaN where nobody judged, and where a person made the subject.
    """
    place = positions(judgements["subject_id"], subjects["id"])
    known = place >= 0
    lowest: Floats = np.full(subjects.num_rows, np.inf)
    np.minimum.at(lowest, place[known], floats(judgements, "score")[known])
    lowest[np.isinf(lowest) | by_human(subjects)] = np.nan
    return lowest
