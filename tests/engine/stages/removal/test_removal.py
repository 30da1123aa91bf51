"""A removed image is gone from everything but the list of removed ids, and nothing else changes."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from fld_engine.engine.data.journal import read_journal
from fld_engine.engine.data.lease import LeaseHolder
from fld_engine.engine.data.store import Store
from fld_engine.engine.inspect.status import read_status
from fld_engine.engine.plan.config import RunConfig
from fld_engine.engine.stages.export.verify import verify
from fld_engine.engine.stages.ingest.stage import Ingest
from fld_engine.engine.stages.removal.request import parse_ids
from fld_engine.engine.stages.removal.stage import Remove
from fld_engine.schemas.errors import ConfigError, LeaseError
from tests.engine.stages.removal.removal_roots import (
    ANSWER,
    CAPTION,
    CATEGORY,
    CROWD,
    FAKE,
    GROUNDING,
    VICTIM,
    WEB_CAPTION,
    annotated_root,
    leave_unfinished_files,
    samples,
    traces,
    write_tar,
)
from tests.roots import digest, fake_config, opened, run_pipeline, write_photographs

pytestmark = pytest.mark.long

Made = tuple[Path, RunConfig, list[str]]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    return annotated_root(tmp_path_factory.mktemp("made"), FAKE)


@pytest.fixture
def root(made: Made, tmp_path: Path) -> Path:
    """A copy to remove from."""
    shutil.copytree(made[0], tmp_path / "root")
    return tmp_path / "root"


def test_nothing_is_left_of_an_image_but_its_id(tmp_path: Path) -> None:
    root, config, ids = annotated_root(tmp_path, GROUNDING)
    victim = (tmp_path / "photos/photo-0-002-rendezvous.jpg").read_bytes()
    full_hash = next(line for line in _hashes(root) if line.startswith(ids[VICTIM]))
    leave_unfinished_files(root, victim)
    phrases = [b"zanzibarite", b"aqueduct", b"pelicans"]
    words = [CAPTION, WEB_CAPTION, CATEGORY, CROWD, ANSWER, "rendezvous", "smorgasbord", full_hash]
    secrets = [victim, *phrases, *(word.encode() for word in words)]
    for secret in secrets:
        assert traces(root, secret), f"the test looks for something that was never there: {secret[:40]!r}"
    assert any("stages/grounder" in path for path in traces(root, b"old theodolite")), "a phrase was grounded"
    with opened(root, config) as pipeline:
        report = pipeline.run(Remove([ids[VICTIM]]))
    assert (report.removed, report.exported, report.samples) == ((ids[VICTIM],), True, 8)
    left = {secret: found for secret in secrets if (found := traces(root, secret))}
    assert list(left) == [ANSWER.encode()], "the answer about another image stays"
    assert left[ANSWER.encode()][0].startswith(f"answers/captioner/{ids[0]}/")
    assert json.loads((root / "removed.json").read_text()) == {"ids": [ids[VICTIM]]}
    assert not (root / "removal.json").exists()


def _hashes(root: Path) -> list[str]:
    return [json.loads(data)["image"]["original_sha256"] for name, data in samples(root).items() if ".json" in name]


def test_other_images_keep_every_byte_and_the_changed_shards_are_named(made: Made, root: Path) -> None:
    _, config, ids = made
    before = samples(root)
    shards = {p.name: p.read_bytes() for p in (root / "export/shards").glob("*.tar")}
    with opened(root, config) as pipeline:
        report = pipeline.run(Remove([ids[VICTIM]]))
        assert (pipeline.work.models_loaded, pipeline.work.images_read) == (0, 0)
    assert samples(root) == {name: data for name, data in before.items() if not name.startswith(ids[VICTIM])}
    now = {p.name: p.read_bytes() for p in (root / "export/shards").glob("*.tar")}
    assert set(report.shards_changed) == {n for n in shards.keys() & now.keys() if shards[n] != now[n]}
    assert set(report.shards_removed) == shards.keys() - now.keys()
    assert set(report.shards_added) == now.keys() - shards.keys()
    assert shards.keys() & now.keys() - set(report.shards_changed), "some shards held nothing of it, and stay"
    assert not verify(f"{root}/export").problems
    assert b"Images removed on request: 1;" in (root / "export/README.md").read_bytes()


def test_a_later_run_finds_nothing_to_do_and_reports_the_removal(made: Made, root: Path) -> None:
    _, config, ids = made
    with opened(root, config) as pipeline:
        pipeline.run(Remove([ids[VICTIM], ids[7]]))
    after = digest(root)
    again = run_pipeline(root, config)
    assert (again.work.tasks_done, again.work.models_loaded, again.work.images_read) == (0, 0, 0)
    assert digest(root) == after
    status = read_status(again.plan(), read_journal(again.store))
    assert (status.removed, status.ingested, status.exported_samples, status.complete) == (2, 9, 7, True)
    assert status.annotated["first"].done == 7


def test_the_same_bytes_are_refused_wherever_they_turn_up_again(made: Made, root: Path, tmp_path: Path) -> None:
    source, config, ids = made
    victim = (source.parent / "photos/photo-0-002-rendezvous.jpg").read_bytes()
    with opened(root, config) as pipeline:
        pipeline.run(Remove([ids[VICTIM]]))
    write_photographs(tmp_path / "more", 1, seed=5)
    fresh = (tmp_path / "more/photo-5-000.jpg").read_bytes()
    members = {"sneaky.jpg": victim, "sneaky.txt": WEB_CAPTION.encode(), "other.jpg": fresh, "other.txt": b"a lake"}
    write_tar(tmp_path / "again.tar", members)
    more = {"url": str(tmp_path / "again.tar"), "name": "again"}
    sources = [*(spec.model_dump() for spec in config.sources), more]
    rerun = run_pipeline(root, config.model_copy(update={"sources": [type(config.sources[0])(**s) for s in sources]}))
    last = read_journal(rerun.store)[-1]
    assert (last.found, last.new, dict(last.quarantined)) == (2, 1, {"removed": 1})
    assert len(samples(root)) == 3 * 9
    for secret in (victim, b"sneaky", WEB_CAPTION.encode()):
        assert not traces(root, secret)


def test_ids_that_are_not_there_are_named_and_nothing_is_done(made: Made, root: Path) -> None:
    _, config, ids = made
    before = digest(root)
    with opened(root, config) as pipeline, pytest.raises(ConfigError, match=r"has no image 0123.*nothing was removed"):
        pipeline.run(Remove([ids[VICTIM], "0123" * 8]))
    assert digest(root) == before
    assert not (root / "removed.json").exists()
    assert not (root / "removal.json").exists()


def test_an_image_is_removed_once(made: Made, root: Path) -> None:
    _, config, ids = made
    with opened(root, config) as pipeline:
        pipeline.run(Remove([ids[VICTIM]]))
        after = digest(root)
        again = pipeline.run(Remove([ids[VICTIM]]))
    assert (again.removed, again.before) == ((), 1)
    assert digest(root) == after


def test_removals_add_up(made: Made, root: Path, tmp_path: Path) -> None:
    """One after another, or all at once: the same samples, down to an export of nothing."""
    _, config, ids = made
    shutil.copytree(root, tmp_path / "once")
    with opened(root, config) as pipeline:
        pipeline.run(Remove([ids[VICTIM]]))
        pipeline.run(Remove([ids[0], ids[8]]))
    with opened(tmp_path / "once", config) as pipeline:
        pipeline.run(Remove([ids[0], ids[VICTIM], ids[8]]))
    assert samples(root) == samples(tmp_path / "once")
    with opened(root, config) as pipeline:
        assert pipeline.run(Remove(set(ids) - {ids[0], ids[VICTIM], ids[8]})).samples == 0
    assert samples(root) == {}
    assert not verify(f"{root}/export").problems


def test_a_running_driver_and_a_removal_exclude_each_other(made: Made, root: Path) -> None:
    _, config, _ = made
    with LeaseHolder(Store(str(root))), pytest.raises(LeaseError), opened(root, config):
        pass


def test_a_root_that_is_not_annotated_yet_loses_the_image_too(tmp_path: Path) -> None:
    ids = write_photographs(tmp_path / "photos", 6)
    config = fake_config(tmp_path / "photos")
    with opened(tmp_path / "root", config) as pipeline:
        pipeline.run(Ingest())
        report = pipeline.run(Remove([ids[1]]))
    assert not report.exported
    assert not traces(tmp_path / "root", (tmp_path / "photos/photo-0-001.jpg").read_bytes())
    assert not (tmp_path / "root/removal.json").exists()
    run_pipeline(tmp_path / "root", config)
    assert {name.split(".")[0] for name in samples(tmp_path / "root")} == set(ids) - {ids[1]}


def test_a_config_with_more_work_leaves_the_export_to_the_next_run(made: Made, root: Path) -> None:
    _, config, ids = made
    tree = config.model_dump()
    tree["annotators"]["second"] = {"use": "fake", "params": {"regions": 1}}
    changed = RunConfig.model_validate(tree)
    with opened(root, changed) as pipeline:
        report = pipeline.run(Remove([ids[VICTIM]]))
    assert not report.exported
    assert not (root / "export/manifest.json").exists(), "an export that still held it would be no export"
    assert not traces(root, CAPTION.encode())
    run_pipeline(root, changed)
    assert len(samples(root)) == 3 * 8
    assert not (root / "removal.json").exists()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("\n# nothing\n", "names no image"),
        ("abc\n", "abc is no image id"),  # the beginning of one is not enough to remove by
        ("photos/a.jpg", "is no image id"),
    ],
)
def test_a_list_of_ids_is_read_strictly(text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        parse_ids(text, where="ids.txt")


def test_a_list_of_ids_may_have_comments_and_repeats() -> None:
    text = f"# asked for on Monday\n{'ab' * 16}\n\n  {'AB' * 16}  # again\n{'01' * 16}"
    assert parse_ids(text, where="ids.txt") == ("01" * 16, "ab" * 16)
