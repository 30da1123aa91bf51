"""The whole `laptop` recipe on real photographs with the real packaged models, read as a trainer reads it."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import webdataset as wds
from PIL import Image

from fld_engine.engine.data.partition import read_output, read_tables
from fld_engine.engine.plan.config import RunConfig, load_config
from fld_engine.engine.run.pipeline import Pipeline
from fld_engine.engine.stages.export.verify import verify
from fld_engine.flows.samples import sample_sources
from fld_engine.schemas.target_language import parse_answer
from tests.florence2_processor import build_processor
from tests.roots import digest, run_pipeline

PHOTOGRAPHS = ("chelsea", "coffee", "motorcycle", "astronaut", "page", "rocket")

# webdataset leaves its shards open for the garbage collector
pytestmark = [pytest.mark.long, pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")]

Sample = dict[str, Any]


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """Six of the sample photographs, and the one with human boxes and masks."""
    folder = tmp_path_factory.mktemp("samples")
    plain, voc = sample_sources(folder)
    for path in (folder / "photographs").iterdir():
        if not any(name in path.name for name in PHOTOGRAPHS):
            path.unlink()
    return [plain, voc]


def config_of(sources: list[dict[str, Any]], *overrides: str, **runner: Any) -> RunConfig:
    extra = {"sources": sources, "runner": runner, "partitions": {"max_images": 4}}
    return load_config("laptop", overrides, extra=extra)


@pytest.fixture(scope="module")
def finished(sources: list[dict[str, Any]], tmp_path_factory: pytest.TempPathFactory) -> Pipeline:
    return run_pipeline(tmp_path_factory.mktemp("real") / "root", config_of(sources))


@pytest.fixture(scope="module")
def samples(finished: Pipeline) -> dict[str, Sample]:
    """Photograph → sample as webdataset gives it, with `record` the parsed json."""
    found = {}
    for sample in read_with_webdataset(Path(finished.store.base)):
        record = json.loads(sample["json"])
        found[record["image"]["uri"].rsplit("/", 1)[-1]] = {**sample, "record": record}
    return found


def read_with_webdataset(root: Path) -> Iterator[Sample]:
    shards = sorted(str(p) for p in (root / "export/shards").glob("*.tar"))
    yield from wds.WebDataset(shards, shardshuffle=False, empty_check=False)


def phrases_of(sample: Sample) -> set[str]:
    return {
        text["text"] for region in sample["record"]["regions"] for text in region["texts"] if text["kind"] == "phrase"
    }


def test_all_three_families_are_made_of_every_photograph(samples: dict[str, Sample]) -> None:
    assert len(samples) == len(PHOTOGRAPHS) + 1
    for sample in samples.values():
        assert sample["record"]["status"] == {"texts": "done", "regions": "done", "groundings": "done"}
        image = Image.open(io.BytesIO(sample["jpg"]))
        assert image.size == (sample["record"]["image"]["width"], sample["record"]["image"]["height"])
        assert image.mode == "RGB"
    assert "motorcycle" in phrases_of(samples["skimage-motorcycle_left.png"])
    assert "cup" in phrases_of(samples["skimage-coffee.png"])
    assert "person" in phrases_of(samples["skimage-astronaut.png"])
    read = [r for r in samples["skimage-page.png"]["record"]["regions"] if r["kind"] == "text"]
    assert any("segmentation" in text["text"] for region in read for text in region["texts"])
    assert all(len(region["quad"]) == 8 for region in read)
    assert any(region["mask"] for region in samples["skimage-astronaut.png"]["record"]["regions"])


def test_composed_captions_are_called_composed_and_their_groundings_derived(
    finished: Pipeline, samples: dict[str, Sample]
) -> None:
    texts = [text for sample in samples.values() for text in sample["record"]["texts"]]
    assert {text["source"]["annotator"] for text in texts} == {"composed-captioner"}
    assert {text["granularity"] for text in texts} == {"brief", "detailed", "more_detailed"}
    assert len({text["text"] for text in texts}) > len(texts) // 2, "captions are varied"
    plan = finished.plan()
    for record in plan.partitions:
        output = read_output(finished.store, "grounder", record.id, plan.fingerprints["grounder", record.id])
        phrases = read_tables(finished.store, output)["phrases"]
        assert all(phrases["derived"].to_pylist())


def test_spans_point_at_their_phrases_and_choices_are_the_most_similar(samples: dict[str, Sample]) -> None:
    for sample in samples.values():
        texts = {text["id"]: text["text"] for text in sample["record"]["texts"]}
        for grounding in sample["record"]["groundings"]:
            for phrase in grounding["phrases"]:
                assert texts[grounding["text_id"]][phrase["start"] : phrase["end"]] == phrase["phrase"]
        for region in sample["record"]["regions"]:
            chosen = [t for t in region["texts"] if t["chosen"]]
            assert len(chosen) == 1
            assert chosen[0]["similarity"] == max(t["similarity"] for t in region["texts"])


def test_human_labels_stand_beside_those_of_the_models(samples: dict[str, Sample]) -> None:
    regions = samples["voc#voc.jpg"]["record"]["regions"]
    by_people = [region for region in regions if region["source"]["annotator"] == "human"]
    assert len(by_people) == 19, "all human boxes of the photograph are kept"
    assert all(region["mask"] for region in by_people)
    assert any(region["source"]["annotator"] == "detector" for region in regions)


def test_every_target_is_parsed_by_the_library_and_by_us(samples: dict[str, Sample]) -> None:
    processor = build_processor()
    tasks = set()
    for sample in samples.values():
        wh = (sample["record"]["image"]["width"], sample["record"]["image"]["height"])
        for target in sample["record"]["targets"]:
            tasks.add(target["task"])
            ours = parse_answer(target["task"], target["target"], wh)
            theirs = processor.post_process_generation(text=target["target"], task=target["task"], image_size=wh)
            answer = theirs[target["task"]]
            if isinstance(answer, dict):
                shapes = answer.get("bboxes", []) + answer.get("quad_boxes", [])
                shapes += [polygon for instance in answer.get("polygons", []) for polygon in instance]
                assert len(shapes) == sum(len(instance.shapes) for instance in ours)
            else:
                assert answer
    assert {
        "<CAPTION>",
        "<OD>",
        "<DENSE_REGION_CAPTION>",
        "<OCR_WITH_REGION>",
        "<CAPTION_TO_PHRASE_GROUNDING>",
    } <= tasks


def test_the_export_verifies_and_another_worker_count_makes_the_same_bytes(
    finished: Pipeline, sources: list[dict[str, Any]], tmp_path: Path
) -> None:
    assert not verify(f"{finished.store.base}/export").problems
    run_pipeline(tmp_path / "two", config_of(sources, workers=2))
    assert digest(tmp_path / "two") == digest(finished.store.base)


def test_tightening_a_threshold_inside_the_work_set_touches_no_model_and_no_image(
    finished: Pipeline, sources: list[dict[str, Any]]
) -> None:
    tighter = "filters.region-confidence.params.objects=0.5"
    retuned = run_pipeline(finished.store.base, config_of(sources, tighter))
    assert (retuned.work.models_loaded, retuned.work.images_read) == (0, 0)
    assert retuned.work.outputs_written > 0
    again = run_pipeline(finished.store.base, config_of(sources, tighter))
    assert (again.work.models_loaded, again.work.images_read, again.work.tasks_done) == (0, 0, 0)
