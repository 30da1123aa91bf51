"""The reference in the docs is that of the code."""

from __future__ import annotations

from pathlib import Path

from fld_engine.engine.inspect.reference import reference

PUBLISHED = Path(__file__).parents[3] / "docs" / "reference.md"


def test_the_published_reference_is_that_of_what_we_bring() -> None:
    command = "run: fld config reference --package fld-engine > docs/reference.md"
    assert PUBLISHED.read_text() == reference(package="fld-engine"), command


def test_every_row_of_a_table_has_as_many_cells_as_its_header() -> None:
    cells = 0
    for line in reference().splitlines():
        if not line.startswith("|"):
            cells = 0
            continue
        number = line.replace("\\|", "").count("|")
        assert number == (cells := cells or number), line
