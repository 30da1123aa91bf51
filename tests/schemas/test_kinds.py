"""What is written down about kinds and tables fits together: else rows are lost on the way to an export."""

from __future__ import annotations

from typing import Any, get_args

import pytest

from fld_engine.schemas.annotations import Granularity, RegionKind, RegionTextKind
from fld_engine.schemas.kinds import FAMILIES, KINDS, NOT_STORED, OWN_TEXTS, REGION_FAMILIES, Kind, kinds_of, values_of
from fld_engine.schemas.sample import SAMPLE, StatusEntry
from fld_engine.schemas.tables import ANNOTATION_TABLES, TABLES, VERDICT_TARGETS, links_to


def test_every_kind_that_an_annotator_may_name_is_written_down() -> None:
    assert set(KINDS) == set(get_args(Kind))
    assert {"pixels"} == NOT_STORED, "anything else needs an annotator or a source that brings it"


@pytest.mark.parametrize(
    ("table", "words"), [("texts", Granularity), ("regions", RegionKind), ("region_texts", RegionTextKind)]
)
def test_every_row_of_a_shared_table_is_of_some_kind(table: str, words: Any) -> None:
    """A row of no kind would be shown to no annotator, whatever it requires."""
    assert values_of(KINDS)[table] == set(get_args(words))


def test_every_annotation_table_is_of_some_kind() -> None:
    assert set(values_of(KINDS)) == set(ANNOTATION_TABLES)


def test_a_kind_without_values_has_its_table_to_itself() -> None:
    """Where kinds share a table, rows of one would otherwise be shown to an annotator that asked for the other."""
    for kind, spec in KINDS.items():
        for table, values in spec.rows.items():
            sharing = [other for other, of_other in KINDS.items() if table in of_other.rows]
            assert bool(values) == bool(TABLES[table].tells), (kind, table)
            assert TABLES[table].tells or sharing == [kind], (kind, table)


def test_links_name_columns_and_tables_that_exist() -> None:
    for name, table in TABLES.items():
        assert not table.tells or table.tells in table.schema.names
        for link in table.links:
            assert link.column in table.schema.names, (name, link)
            assert set(link.parents) <= TABLES.keys(), (name, link)


def test_parents_are_judged_before_their_children() -> None:
    for place, target in enumerate(VERDICT_TARGETS):
        for link in TABLES[target].links:
            assert set(link.parents) <= set(VERDICT_TARGETS[:place]), f"{target} would be judged before {link.parents}"


def test_a_sample_says_of_every_family_how_far_it_was_annotated() -> None:
    assert list(FAMILIES) == list(StatusEntry.model_fields) == [field.name for field in SAMPLE.field("status").type]


def test_regions_have_a_name_in_figures_and_a_text_of_their_own() -> None:
    assert REGION_FAMILIES == {"region-text": "object", "scene-text": "text"}
    assert OWN_TEXTS == {"object": "phrase", "text": "ocr"}


@pytest.mark.parametrize(
    ("tables", "expected"),
    [
        ((), set()),
        (("images", "tar"), set()),
        (("regions", "region_texts"), {"objects", "scene_text"}),
        (("region_texts",), set()),  # texts of regions that are not there
        (("texts", "masks"), {"brief_texts", "detailed_texts", "masks"}),
        (("phrases", "phrase_regions", "labels"), {"groundings", "labels"}),
    ],
)
def test_tables_of_a_source_tell_what_it_brings(tables: tuple[str, ...], expected: set[str]) -> None:
    assert kinds_of(tables) == expected


def test_what_hangs_on_a_region_is_known() -> None:
    """A phrase's box may have been matched to a region, and is there without it."""
    assert links_to("regions") == {"region_texts": "region_id", "masks": "subject_id", "checks": "subject_id"}
