from __future__ import annotations

import pytest

from fld_engine.filters.columns import by_human
from tests.tables import rows


@pytest.mark.parametrize("table", ["texts", "regions", "region_texts", "phrases", "phrase_regions"])
def test_people_are_told_from_models(table: str) -> None:
    given = rows(table, *({"annotator": name} for name in ("human", "web", "nanodet", "humanoid", "")))
    assert by_human(given).tolist() == [True, False, False, False, False]
    assert by_human(given.slice(0, 0)).tolist() == []
