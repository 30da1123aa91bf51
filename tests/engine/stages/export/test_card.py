"""The card says what is so: every number of it comes from the root, and names cannot break its tables."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from fld_engine.engine.data.journal import read_journal
from fld_engine.engine.data.records import ModelIdentity
from fld_engine.engine.data.round_facts import RoundFacts
from fld_engine.engine.inspect.status import read_status
from fld_engine.engine.stages.export.card import card_header, dataset_card
from fld_engine.engine.stages.export.facts import ExportFacts, FilterFacts, GroupFacts, SourceFacts, add
from fld_engine.engine.stages.export.manifest import Manifest, make_manifest
from tests.hostile import write_unreadable
from tests.roots import fake_config, run_pipeline, write_photographs


def read_manifest(root: Path) -> Manifest:
    return Manifest.model_validate_json((root / "export/manifest.json").read_bytes())


def rows_of(card: str, title: str) -> list[list[str]]:
    """Cells of the last table of a section, its header first."""
    section = card.split(f"## {title}\n")[1].split("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines if "---" not in line]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two sources, one with a licence; unreadable files; an image that failed; regions that were dropped."""
    folder = tmp_path_factory.mktemp("card")
    ids = write_photographs(folder / "mine", 5)
    write_photographs(folder / "theirs", 3, seed=1)
    write_photographs(folder / "gold", 2, seed=2)
    write_unreadable(folder / "theirs")
    sources: list[dict[str, Any]] = [
        {"url": str(folder / "mine"), "name": "mine", "class_folders": False},
        {"url": str(folder / "theirs"), "name": "theirs", "licence": "CC-BY-4.0", "class_folders": False},
        {"url": str(folder / "gold"), "name": "gold", "licence": "CC0-1.0", "gold": True, "class_folders": False},
    ]
    first = {"use": "fake", "params": {"regions": 3, "raise_on": [ids[1]]}}
    config = fake_config(folder, sources=sources, annotators={"first": first})
    pipeline = run_pipeline(folder / "root", config)
    (folder / "status.json").write_text(read_status(pipeline.plan(), read_journal(pipeline.store)).model_dump_json())
    return folder / "root"


def test_sources_are_told_with_licence_and_counts(root: Path) -> None:
    card = (root / "export/README.md").read_text()
    assert rows_of(card, "Sources and licences")[1:] == [
        ["gold", "CC0-1.0", "2", "2", "0"],
        ["mine", "not stated", "5", "0", "5"],
        ["theirs", "CC-BY-4.0", "3", "0", "3"],
    ]
    assert "No licence is stated for the images of `mine`:" in card


def test_specialists_and_filters_are_told_with_what_they_ran_with(root: Path) -> None:
    card = (root / "export/README.md").read_text()
    assert ["first", "fake", "1", "", "Apache-2.0", "1", "0"] in rows_of(card, "Specialists")
    assert ["second", "fake", "1", "", "Apache-2.0", "0", "0"] in rows_of(card, "Specialists")
    thresholds = {name: json.loads(params.strip("`")) for name, _, params in rows_of(card, "Filters")[1:]}
    assert list(thresholds) == ["region-confidence", "region-nms"]
    assert thresholds["region-confidence"]["objects"] == 0.35, "a threshold that the config left to its default"
    assert "`first` did not answer for every image: 1 failed." in card


def test_what_was_left_out_is_what_the_status_of_the_root_says(root: Path) -> None:
    card = (root / "export/README.md").read_text()
    status = json.loads((root.parent / "status.json").read_text())
    assert f"Of {status['found']} images found, 10 were new, 0 had the bytes of another" in card
    for reason, number in status["quarantined"].items():
        assert f"{reason} {number}" in card
    told = {row[0].replace(" ", "_"): row[1:] for row in rows_of(card, "What was left out, and why")[1:]}
    assert {target: int(kept) for target, (kept, _, _) in told.items()} == status["kept"]
    for target, reasons in status["dropped"].items():
        assert int(told[target][1]) == sum(reasons.values())
        assert all(f"{reason} {number}" in told[target][2] for reason, number in reasons.items())


def test_each_source_is_told_with_all_that_it_holds(root: Path) -> None:
    """What could not be used is in the card by reason and first names: a reader sees what a gap is made of."""
    card = (root / "export/README.md").read_text()
    rows = {row[0]: row[1:] for row in rows_of(card, "What the sources hold")[1:]}
    status = json.loads((root.parent / "status.json").read_text())
    refused = sum(status["quarantined"].values())
    assert rows["mine"] == ["images", "5", "5", "0", "0", ""]
    assert rows["theirs"][:5] == ["images", str(3 + refused), "3", str(refused), "0"]
    for reason, number in status["quarantined"].items():
        assert f"{reason} {number} (theirs/" in rows["theirs"][5]


def test_the_card_is_the_manifests(root: Path) -> None:
    """Read back from disk, the manifest gives the card that lies beside it; nothing else goes in."""
    card = (root / "export/README.md").read_text()
    assert dataset_card(read_manifest(root)) == card
    header = yaml.safe_load(card.split("---\n")[1])
    assert header == card_header(read_manifest(root))
    assert str(root.parent) not in card


def test_facts_of_groups_add_up_in_any_order() -> None:
    a = GroupFacts(
        sources=(SourceFacts(name="x", licence="", images=2, gold=1, samples=1),),
        kept={"texts": 3},
        dropped={"texts": {"short": 1}},
        unanswered={"first": {"failed": 1}},
    )
    b = GroupFacts(
        sources=(
            SourceFacts(name="x", licence="", images=5, gold=0, samples=4),
            SourceFacts(name="a", licence="MIT", images=1, gold=0, samples=1),
        ),
        kept={"texts": 1, "regions": 2},
        dropped={"texts": {"short": 2, "long": 1}},
    )
    both = add([a, b])
    assert both == add([b, a]) == add([add([a]), GroupFacts(), b])
    assert both.sources[1] == SourceFacts(name="x", licence="", images=7, gold=1, samples=5)
    assert both.dropped == {"texts": {"short": 3, "long": 1}}


def test_hostile_names_stay_in_their_cells_and_rounds_are_told() -> None:
    facts = ExportFacts(
        sources=(SourceFacts(name="a|b\n## Licence: free", licence="CC|0", images=1, gold=0, samples=1),),
        filters=(FilterFacts(name="f", target="texts", version=1, params={"words": ["x|y"]}),),
        rounds=(RoundFacts(number=1, specialist="detector", metric="AP", before=0.31, after=0.345, accepted=True),),
    )
    models = {"m": ModelIdentity(id="m", revision="2", remote_code=True)}
    card = dataset_card(make_manifest([], config={"name": "n"}, models=models, facts=facts))
    assert "\n## Licence" not in card
    assert "a\\|b ## Licence: free | CC\\|0 | 1 | 0 | 1 |" in card
    assert ["1", "detector", "AP", "0.31", "0.345", "yes"] in rows_of(card, "Refinement")
    assert "The models of `m` ran code that came with their checkpoint." in card
    assert "No licence is stated for the models of `m`." in card
