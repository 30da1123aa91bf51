"""What a run on a root goes by: what stays, what changes, and what nobody may change without saying so."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from fld_engine.engine.data.lease import LeaseHolder
from fld_engine.engine.plan.config import RunConfig, dump_config
from fld_engine.flows.asked import Asked
from fld_engine.flows.origins import ORIGIN_FILE, origin_rows
from fld_engine.flows.start import Begun, begin
from fld_engine.schemas.errors import ConfigError, LeaseError, RootError, SourceError
from tests.roots import fake_config, write_photographs

THRESHOLD = "filters.region-confidence.params.objects"
FILE: dict[str, Any] = {
    "name": "mine",
    "annotators": {"first": {"use": "fake", "params": {"regions": 3}}},
    "filters": {"region-confidence": {"params": {"objects": 0.3}}, "region-nms": {}},
}


class Place:
    """A folder with photographs, a recipe file over them, and a root that runs are begun on, without their work."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.root, self.recipe = folder, str(folder / "root"), str(folder / "recipe.yaml")
        for name in ("photos", "more"):
            write_photographs(folder / name, 1)
        self.write(**FILE)

    def write(self, **tree: Any) -> None:
        Path(self.recipe).write_text(yaml.safe_dump(tree))

    def source(self, name: str) -> str:
        return str(self.folder / name)

    def begin(self, **asked: Any) -> Begun:
        return begin(Asked(root=self.root, **asked))

    def run(self, **asked: Any) -> RunConfig:
        """Begin as a flow does; returns the config that the root goes by from then on."""
        begun = self.begin(**asked)
        begun.require_yes()
        begun.require_work()
        begun.store.open_root(create=True)
        begun.keep(begun.store, begun.config)
        return begun.config


@pytest.fixture
def place(tmp_path: Path) -> Place:
    place = Place(tmp_path)
    place.run(recipe=place.recipe, sources=[place.source("photos")])
    return place


def threshold(config: RunConfig) -> float:
    return float(config.filters["region-confidence"].params["objects"])


def names(config: RunConfig) -> list[str]:
    return [spec.name for spec in config.sources]


def test_a_root_goes_on_with_all_it_was_given(place: Place) -> None:
    """Recipe, source, overrides and runner, without naming any of them again; and from any folder."""
    first = place.run(overrides=[f"{THRESHOLD}=0.5", "annotators.first.params.regions=4"], runner="ray", workers=3)
    assert (threshold(first), first.runner.kind, first.runner.workers, names(first)) == (0.5, "ray", 3, ["photos"])
    Path(place.recipe).unlink()
    assert place.run() == first
    later = place.run(overrides=[f"{THRESHOLD}=0.6"])
    assert (threshold(later), later.annotators["first"].params["regions"], later.runner.workers) == (0.6, 4, 3)
    assert place.begin().changes == ()


def test_the_address_of_a_cluster_asks_for_its_runner(place: Place) -> None:
    runner = place.run(ray_address="auto").runner
    assert (runner.kind, runner.ray_address) == ("ray", "auto")
    assert place.begin().origins.of("runner.kind") == "--ray-address"
    assert place.run(recipe=place.recipe).runner == runner
    assert place.run(runner="local", overrides=["runner.ray_address=''"]).runner.kind == "local"
    assert place.run(overrides=["runner.ray_address=auto"]).runner == runner
    for_training = place.run(overrides=["runner.ray_address=auto", "runner.kind=local"]).runner
    assert (for_training.kind, for_training.ray_address) == ("local", "auto")
    with pytest.raises(ConfigError, match="leave one of them out"):
        place.begin(runner="local", ray_address="auto")


def test_an_override_is_not_undone_by_the_recipe_without_a_yes(place: Place) -> None:
    place.run(overrides=[f"{THRESHOLD}=0.5"], workers=2)
    before = (Path(place.root) / "config.yaml").read_bytes()
    with pytest.raises(ConfigError) as refused:
        place.run(recipe=place.recipe)
    assert f"{THRESHOLD}: 0.5 (--set) -> 0.3 (file {place.recipe})" in str(refused.value)
    assert f"fld run {place.root}" in str(refused.value)
    assert "--yes" in str(refused.value)
    assert (Path(place.root) / "config.yaml").read_bytes() == before
    again = place.run(recipe=place.recipe, overrides=[f"{THRESHOLD}=0.5"])
    assert (threshold(again), again.runner.workers) == (0.5, 2), "who gives it again is not asked"
    agreed = place.run(recipe=place.recipe, yes=True)
    assert (threshold(agreed), agreed.runner.workers) == (0.3, 2), "how a root runs is no matter of a recipe"
    assert place.begin(recipe=place.recipe).changes == ()


@pytest.mark.parametrize(
    ("edit", "asks"),
    [
        ({}, []),  # as a schedule runs it, night after night
        ({"filters": {"region-confidence": {"params": {"objects": 0.4}}, "region-nms": {}}}, [THRESHOLD]),
        ({"filters": {"region-confidence": {"params": {"objects": 0.3}}}}, ["filters.region-nms"]),
        ({"filters": {**FILE["filters"], "image-size": {}}}, ["filters.image-size"]),
        ({"filters": {**FILE["filters"], "region-nms": {"params": {"iou": 0.6}}}}, []),  # its default, said
        ({"annotators": {}}, ["annotators.first"]),
        ({"annotators": {"first": {**FILE["annotators"]["first"], "resources": {"cpus": 0.5}}}}, []),
        ({"seed": 1}, ["seed"]),
        ({"export": {"splits": {"train": 1.0}}}, ["export.splits.train", "export.splits.val"]),
        ({"exporters": {"coco": {}}}, ["exporters.coco"]),
        ({"runner": {"kind": "ray", "workers": 5}, "limits": {"task_retries": 9}, "models_root": "s3://b/m"}, []),
        ({"refine": {"student": {}}}, []),
        ({"extends": "laptop"}, None),  # another recipe altogether
    ],
)
def test_what_of_a_changed_recipe_somebody_has_to_agree_to(
    place: Place, edit: dict[str, Any], asks: list[str] | None
) -> None:
    """What would make other labels, or drop something that is made; not where it works, nor what says the same."""
    place.write(**FILE | edit)
    begun = place.begin(recipe=place.recipe)
    found = [change.path for change in begun.asking]
    if asks is None:
        assert len(found) > 10
    else:
        assert found == asks
    assert place.run(recipe=place.recipe, yes=True) == begun.config
    assert place.begin(recipe=place.recipe).changes == (), "what was agreed to is asked once"


def test_gold_is_compared_with_the_images_of_a_recipe_and_is_not_instead_of_them(tmp_path: Path) -> None:
    place = Place(tmp_path / "new")
    place.write(**FILE, sources=[{"url": place.source("photos"), "name": "own"}])
    asked = {"recipe": place.recipe, "gold": [place.source("more")]}
    first = place.run(**asked)
    assert [(spec.name, spec.gold) for spec in first.sources] == [("own", False), ("more", True)]
    assert place.run(**asked) == place.run(recipe=place.recipe) == place.run() == first


def test_sources_are_added_and_stay(place: Place) -> None:
    """Beside a recipe or without one; one that is given twice is one; one that moved is asked about."""
    assert names(place.run(sources=[place.source("more")])) == ["photos", "more"]
    again = place.run(recipe=place.recipe, sources=[f"{place.source('more')}/"], gold=[place.source("photos")])
    assert [(spec.name, spec.gold) for spec in again.sources] == [("photos", True), ("more", False)]
    write_photographs(place.folder / "elsewhere/more", 1)
    with pytest.raises(ConfigError, match=r"sources\.more\.url"):
        place.run(sources=[place.source("elsewhere/more")])
    moved = place.run(sources=[place.source("elsewhere/more")], yes=True)
    assert moved.sources[1].url == place.source("elsewhere/more")
    named = place.run(sources=[{"url": place.source("more"), "name": "third", "licence": "CC0-1.0"}])
    assert [(spec.name, spec.licence) for spec in named.sources][-1] == ("third", "CC0-1.0")
    assert names(place.run(overrides=["sources.more=null", "sources.third.licence=MIT"])) == ["photos", "third"]
    assert place.run(recipe=place.recipe).sources[-1].licence == "MIT"
    with pytest.raises(ConfigError, match=r"source 'thrid' is not known; did you mean 'third'"):
        place.run(overrides=["sources.thrid.gold=true"])


def test_a_source_that_is_not_there_does_not_stay(place: Place) -> None:
    """A slip of the pen would make every later run of the root fail."""
    before = place.begin().config
    with pytest.raises(SourceError, match="photoz"):
        place.run(sources=[place.source("photoz")])
    assert place.run() == before


def test_sources_of_a_file_follow_the_file(tmp_path: Path) -> None:
    place = Place(tmp_path)
    one, two = ({"url": place.source(name), "name": name} for name in ("photos", "more"))
    place.write(**FILE, sources=[one])
    place.run(recipe=place.recipe)
    place.write(**FILE, sources=[one, two])
    assert names(place.run(recipe=place.recipe)) == ["photos", "more"], "another one asks nobody"
    place.write(**FILE, sources=[two])
    with pytest.raises(ConfigError, match=r"sources\.photos"):
        place.run(recipe=place.recipe)


def test_the_first_sources_that_are_given_stand_instead_of_a_files(tmp_path: Path) -> None:
    """To try a config on a few photographs does not read all that it names."""
    place = Place(tmp_path)
    place.write(**FILE, sources=[{"url": place.source("photos")}])
    assert names(place.run(recipe=place.recipe, sources=[place.source("more")])) == ["more"]
    assert names(place.run(recipe=place.recipe)) == ["more"]


def test_an_old_root_says_nothing_of_origins_and_is_not_changed_silently_either(place: Place) -> None:
    (Path(place.root) / ORIGIN_FILE).unlink()
    assert place.begin().changes == ()
    assert place.begin(recipe=place.recipe, sources=[place.source("photos")]).changes == ()
    (change,) = place.begin(recipe=place.recipe, overrides=["seed=3"]).changes
    assert (str(change), change.asks) == ("seed: 0 (root) -> 3 (--set)", False)
    place.write(**FILE | {"seed": 4})
    with pytest.raises(ConfigError, match=r"seed: 0 \(root\) -> 4"):
        place.run(recipe=place.recipe)
    origins = {path: origin for path, _, origin in origin_rows(place.begin().config, None)}
    assert (origins[THRESHOLD], origins["seed"]) == ("root", "default")


def test_a_config_can_be_a_mapping(tmp_path: Path) -> None:
    """As a deployment or a program gives it; it may extend a recipe."""
    place = Place(tmp_path)
    config = fake_config(place.source("photos")).model_dump(mode="json")
    place.run(recipe=config)
    assert place.begin(recipe=config).changes == ()
    small = begin(Asked(root=str(tmp_path / "other"), recipe={"extends": "laptop", "seed": 2}))
    assert (small.config.seed, small.origins.of("name"), small.origins.of("seed")) == (
        2,
        "recipe laptop",
        "the config given",
    )


def test_where_each_value_came_from(place: Place) -> None:
    place.run(recipe=place.recipe, overrides=["filters.region-nms=null", "limits={task_retries: 5}"], workers=2)
    begun = place.begin()
    rows = {path: (value, origin) for path, value, origin in origin_rows(begun.config, begun.origins)}
    assert rows[THRESHOLD] == (0.3, f"file {place.recipe}")
    assert rows["filters.region-confidence.params.scene_text"] == (0.5, "default")
    assert rows["runner.workers"] == (2, "--workers")
    assert rows["limits.task_retries"] == (5, "--set")
    assert rows["sources.photos.url"] == (place.source("photos"), "--source")
    assert rows["runner.kind"] == ("local", "default")
    assert not any(path.startswith("filters.region-nms") for path in rows)
    edited = yaml.safe_load((Path(place.root) / "config.yaml").read_text()) | {"seed": 8}
    (Path(place.root) / "config.yaml").write_text(yaml.safe_dump(edited))
    begun = place.begin()
    assert ("seed", 8, "root") in origin_rows(begun.config, begun.origins), "somebody wrote it there"


def test_settings_that_change_under_a_run_that_begins_are_not_written_over(place: Place) -> None:
    begun = place.begin(overrides=["seed=1"])
    place.run(overrides=["seed=2"])
    with pytest.raises(RootError, match="another run has changed the settings"):
        begun.keep(begun.store, begun.config)
    assert place.begin().config.seed == 2


def test_nothing_is_kept_beside_another_driver(place: Place) -> None:
    begun = place.begin(overrides=["seed=1"])
    with LeaseHolder(begun.store), pytest.raises(LeaseError):
        begun.keep(begun.store, begun.config)
    assert place.begin().config.seed == 0
    assert place.begin().origins.of("seed") == "default"


@pytest.mark.parametrize(
    ("asked", "error", "message"),
    [
        ({}, RootError, "is not a dataset root"),
        ({"recipe": "laptpo"}, ConfigError, "did you mean 'laptop'"),
        ({"recipe": "laptop", "overrides": ["seed"]}, ConfigError, "expected key.path=value"),
        ({"recipe": "laptop", "overrides": ["seed={"]}, ConfigError, "not YAML"),
        ({"recipe": "laptop"}, ConfigError, "no --source was given"),
        ({"recipe": {"filters": {"region-nsm": {}}}}, ConfigError, "did you mean 'region-nms'"),
        ({"recipe": "laptop", "sources": [{"urll": "x"}]}, ConfigError, "urll"),
    ],
)
def test_what_cannot_begin_leaves_nothing_behind(
    tmp_path: Path, asked: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        Place(tmp_path).run(**asked)
    assert not (tmp_path / "root").exists()


def test_a_config_written_out_by_a_root_begins_another_one_that_is_the_same(place: Place, tmp_path: Path) -> None:
    config = place.begin().config
    (tmp_path / "copy.yaml").write_text(dump_config(config))
    assert begin(Asked(root=str(tmp_path / "second"), recipe=str(tmp_path / "copy.yaml"))).config == config


def test_a_commit_that_a_run_looked_up_stays_as_long_as_its_checkpoint(tmp_path: Path) -> None:
    """A branch that moved makes nothing again, and another checkpoint is not looked for under this one's commit."""
    place = Place(tmp_path)
    detector = {"use": "object-detection", "params": {"checkpoint": "org/name"}}
    place.write(name="mine", annotators={"detector": detector})
    place.run(recipe=place.recipe, sources=[place.source("photos")])
    file = Path(place.root) / "config.yaml"
    tree = yaml.safe_load(file.read_text())
    tree["annotators"]["detector"]["params"] |= {"revision": "a" * 40, "licence": "mit", "trust_remote_code": False}
    file.write_text(yaml.safe_dump(tree))  # as a run leaves it that has asked the hub

    def revision(**asked: Any) -> Any:
        return place.begin(**asked).config.annotators["detector"].params.get("revision")

    assert revision() == revision(recipe=place.recipe) == "a" * 40
    assert place.begin(recipe=place.recipe).changes == ()
    assert revision(overrides=["annotators.detector.params.items_per_pass=4"]) == "a" * 40
    assert revision(overrides=["annotators.detector.params.checkpoint=org/other"]) is None
    assert revision(recipe=place.recipe, overrides=["annotators.detector.params.revision=main"]) == "main"
    rows = origin_rows(place.begin().config, place.begin().origins)
    assert ("annotators.detector.params.revision", "a" * 40, "pinned by a run") in rows
