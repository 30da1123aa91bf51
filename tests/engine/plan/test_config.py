"""A config is checked where it is read: sections of packages too, and without what they run on."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from fld_engine.engine.data.store import Store
from fld_engine.engine.plan.config import RunConfig, dump_config, load_config, parse_config, with_overrides
from fld_engine.engine.plan.plan import make_plan
from fld_engine.refinement.loop.settings import RefineConfig
from fld_engine.schemas.annotations import Frozen
from fld_engine.schemas.errors import ConfigError
from tests.distributions import write_distribution

HEAVY = ("torch", "transformers", "ray", "prefect", "onnxruntime", "spacy", "webdataset")
SECTIONS = "fld_engine.sections"


class Sampling(Frozen):
    """Settings of somebody else's package."""

    share: float = 0.5


@pytest.mark.parametrize(
    ("override", "message"),
    [
        (
            "refine.training.num_stps=1",
            "key 'refine.training.num_stps' is not known; did you mean 'refine.training.num_s",
        ),
        ("refine.bogus=1", "key 'refine.bogus' is not known; available: refine.annotator, refine.drift"),
        ("refine.max_names=many", "refine.max_names: Input should be a valid integer.*got 'many'"),
        ("refine=3", "refine: Input should be a valid dictionary, got 3"),
        (
            "refin.max_names=3",
            "key 'refin' is not known; did you mean 'refine'.*that are installed: refine .fld-engine",
        ),
        ("sed=3", "key 'sed' is not known; did you mean 'seed'"),
        ("annotators.detector.batchsize=1", "did you mean 'annotators.detector.batch_size'"),
        ("annotators.detector.resources.cpu=1", "did you mean 'annotators.detector.resources.cpus'"),
        ("sources=[{urll: x}]", "did you mean 'sources.0.url'"),
        ("refine.training.curriculum=[{from_shar: 0.1}]", "did you mean 'refine.training.curriculum.0.from_share'"),
        ("refine.sparse.min_txts=1", "did you mean 'refine.sparse.min_texts'"),
    ],
)
def test_a_wrong_key_is_named_with_what_is_allowed(override: str, message: str) -> None:
    with pytest.raises(ConfigError, match=f"(?s)laptop: .*{message}"):
        load_config("laptop", [override])


def test_a_section_is_read_with_its_defaults_and_written_as_it_was_given() -> None:
    config = load_config("laptop", ["refine.max_names=3"])
    assert config.section("refine", RefineConfig) == RefineConfig(max_names=3)
    again = with_overrides(json.loads(json.dumps(config.model_dump(mode="json"))), ["seed=1"], where="again")
    assert again.sections == {"refine": {"max_names": 3}}
    assert "refine:\n  max_names: 3\n" in dump_config(config)
    assert "refine" not in dump_config(load_config("laptop"))
    assert load_config("laptop").section("refine", RefineConfig) == RefineConfig()


def test_the_config_that_a_root_of_before_sections_holds_is_read() -> None:
    old = {**RunConfig(seed=4).model_dump(mode="json"), "refine": {}}
    assert parse_config(old, where="root").section("refine", RefineConfig) == RefineConfig()


def test_a_wrong_setting_of_refinement_is_found_without_loading_what_trains() -> None:
    code = f"""
import sys
from fld_engine.engine.plan.config import load_config
from fld_engine.schemas.errors import ConfigError
load_config("laptop", ["refine.max_names=3"])
try:
    load_config("laptop", ["refine.bogus=1"])
except ConfigError as error:
    print("refine.bogus" in str(error), [m for m in {HEAVY!r} if m in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "True []"


def test_a_section_of_another_package_is_checked_by_its_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    entry = {SECTIONS: {"sampling": f"{__name__}:Sampling"}}
    monkeypatch.syspath_prepend(write_distribution(tmp_path, "my-sampler", entry))
    assert load_config("laptop", ["sampling.share=0.25"]).section("sampling", Sampling) == Sampling(share=0.25)
    with pytest.raises(ConfigError, match=r"did you mean 'sampling\.share'"):
        load_config("laptop", ["sampling.shares=0.25"])


@pytest.mark.parametrize(
    ("entry", "override", "message"),
    [
        ({}, "sampling.share=1", "'sampling' is not known.*install that package.* installed: refine .fld-engine."),
        ({"sampling": "json:dumps"}, "sampling.share=1", "'sampling' of package my-sampler: expected a pydantic model"),
        ({"sampling": "no_such:X"}, "sampling.share=1", "'sampling' of package my-sampler cannot be imported"),
        ({"export": "json:dumps"}, "refine.max_names=3", "package my-sampler brings a section 'export'"),
    ],
)
def test_a_section_that_cannot_be_checked_is_refused_with_its_package(
    entry: dict[str, str], override: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(write_distribution(tmp_path, "my-sampler", {SECTIONS: entry}))
    with pytest.raises(ConfigError, match=message):
        load_config("laptop", [override])


def test_sections_change_no_manifest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    entry = {SECTIONS: {"sampling": f"{__name__}:Sampling"}}
    monkeypatch.syspath_prepend(write_distribution(tmp_path, "my-sampler", entry))
    store = Store("memory://none")
    plain = make_plan(store, load_config("laptop"), []).described_config
    used = load_config("laptop", ["sampling.share=0.25", "refine.max_names=3"])
    assert make_plan(store, used, []).described_config == plain
