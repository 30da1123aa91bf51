"""Few detailed texts make a specialist that writes the rest: in a round of its own, under gold where there is any."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from rich.console import Console

from fld_engine.annotators.hub.florence2 import HubFlorence2
from fld_engine.engine.data.hashing import sha256_hex
from fld_engine.engine.data.partition import load_view
from fld_engine.engine.data.store import Store
from fld_engine.engine.plan.config import FilterConfig, RunConfig, parse_config
from fld_engine.engine.plan.protocols import Sample
from fld_engine.engine.plan.rounds import RoundRecord
from fld_engine.engine.run.pipeline import Pipeline
from fld_engine.engine.stages.annotate.stage import Annotate
from fld_engine.engine.stages.coverage.stage import committed
from fld_engine.engine.stages.export.stage import Export
from fld_engine.engine.stages.export.verify import verify
from fld_engine.engine.stages.filter.stage import Filter
from fld_engine.filters.repetition import repeated_share
from fld_engine.flows.rounds import print_rounds
from fld_engine.refinement.labels.folds import EVERY_FOLD
from fld_engine.refinement.loop.details import round_details
from fld_engine.refinement.loop.loop import Loop
from fld_engine.refinement.loop.settings import RefineConfig
from fld_engine.refinement.loop.sparse import SparseStep
from fld_engine.refinement.loop.sparse_texts import dropped_texts
from fld_engine.refinement.loop.summary import RefineSummary
from fld_engine.refinement.training.teaching import student_folder
from fld_engine.schemas.errors import ConfigError, RootError
from fld_engine.schemas.reader import open_export
from tests.annotators.hub.shared import pinned
from tests.refinement.shapes import NUM, NUM_GOLD, NUM_TOLD, REFINE, SMALL_SET, digests, opened

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:ray.data.context")
FINE_TUNING = {"num_steps": 30, "batch_images": 4, "learning_rate": 3e-3, "warmup_steps": 4}


def step_of(pipeline: Pipeline, min_texts: int = NUM_TOLD) -> SparseStep:
    settings = RefineConfig.model_validate({**REFINE, "sparse": {"min_texts": min_texts, "training": FINE_TUNING}})
    assert settings.sparse is not None
    return SparseStep(Loop(pipeline, settings), settings.sparse)


@pytest.mark.long
def test_a_specialist_writes_what_is_missing_unless_gold_refuses_it(made: tuple[Path, RunConfig]) -> None:
    """Taught one sentence a granularity, it says that of every image: gold has detailed texts, which show it."""
    root, config = made
    with opened(root, config) as pipeline:
        step = step_of(pipeline)
        first = step.loop.initial_round()
        before = step.loop.round(1, first)
        record = step.round(2, before)
        images = [image for partition in record.partitions for image in step.loop.files.images(partition)]
        ledger = [row for p in record.partitions for row in pipeline.store.read_table(p.ledger.path).to_pylist()]
        few = step.loop.teacher.training_set(
            step.loop.teacher.standing(before), EVERY_FOLD, ("detailed", "more_detailed")
        )
        taught = few.open().images
    assert len(taught) == NUM_TOLD
    assert {target.task for image in taught for target in image.targets} == {
        "<DETAILED_CAPTION>",
        "<MORE_DETAILED_CAPTION>",
    }

    details = round_details(record).sparse
    assert details is not None
    detailed, longer = details.gates
    assert detailed.decision.state == "not_better"
    assert detailed.another == detailed.decision.after > detailed.brief, "nothing but its length is better"
    assert longer.decision.state == "cannot_tell"
    assert [gate.accepted for gate in record.gates] == [False, True]
    assert details.written == {"detailed": 0, "more_detailed": NUM + NUM_GOLD - NUM_TOLD}
    assert {row["what"] for row in ledger} == {"added"}
    assert all("not measured" in row["why"] for row in ledger)
    by_people = [text.text for image in images for text in image.texts if text.protected]
    assert sorted(by_people) == sorted([*SMALL_SET.values()] * NUM_TOLD), "not one is changed"
    assert all([text.granularity for text in image.texts].count("more_detailed") == 1 for image in images)

    kept = digests(root / "rounds/002")
    (root / "rounds/002/round.json").unlink()  # as if killed before its end
    with opened(root, config) as pipeline:
        assert step_of(pipeline).round(2, before) == record
        assert pipeline.work.models_loaded == 0, "nothing is trained or asked again"
    assert digests(root / "rounds/002") == kept

    out = Console(record=True, width=200)
    print_rounds(out, RefineSummary(rounds=(first, before, record), ended="all is done", final={}), as_json=False)
    told = out.export_text()
    assert f"detailed: learned from {NUM_TOLD} texts, wrote 0; CIDEr on" in told
    assert f"more_detailed: learned from {NUM_TOLD} texts, wrote {len(ledger)}; not measured, admitted" in told
    check_export(root, config, student_folder(2, "specialist"))
    check_filter(root, config, before)


def check_filter(root: Path, config: RunConfig, before: RoundRecord) -> None:
    """So short a training leaves it saying a word again and again; a root with that filter drops just these texts."""
    filters = {**config.filters, "repetition": FilterConfig(use="text-repetition")}
    with opened(root, config.model_copy(update={"filters": filters})) as pipeline:
        plan = step_of(pipeline).plan(2, before, student_folder(2, "specialist"))
        pipeline.record(plan.lanes(Annotate()))
        assert pipeline.work.models_loaded == 0, "a filter asks no model again"
        pipeline.record(plan.lanes(Filter()))
        partitions = [partition.unseen for partition in before.partitions]
        views = [load_view(pipeline.store, partition, committed(plan, partition)) for partition in partitions]
    said = [
        text for view in views for text in view.annotations["texts"]["text"].to_pylist() if repeated_share(text) > 0.2
    ]
    assert [reason for view in views for reason in dropped_texts(view, "specialist-2")] == ["repeats_itself"] * len(
        said
    )
    assert said


def check_export(root: Path, config: RunConfig, folder: str) -> None:
    """Texts of the specialist are in the export as it says them wherever its folder is opened as a checkpoint."""
    with Pipeline(Store(str(root)), config, round_=2) as pipeline:
        pipeline.run(Filter())
        pipeline.run(Export())
    export = root / "rounds/002/export"
    assert not verify(str(export)).problems
    manifest = json.loads((export / "manifest.json").read_text())
    assert manifest["models"]["specialist-2"]["sha256"]
    assert [r["metric"] for r in manifest["facts"]["rounds"]][-2:] == ["cider", "not measured"]
    samples = [
        sample for split in ("train", "val") for sample, _ in open_export(str(export), split).epoch(epoch=0, seed=0)
    ]
    records = [s.record for s in samples]
    assert {record["status"]["texts"] for record in records} == {"done"}
    written = {
        record["id"]: text
        for record in records
        for text in record["texts"]
        if text["source"]["annotator"] == "specialist-2"
    }
    assert len(written) == NUM - NUM_TOLD
    image_id, text = next(iter(written.items()))
    assert (text["source"]["model"], text["source"]["round"]) == ("specialist", 2)

    specialist = HubFlorence2(
        pinned(HubFlorence2.Params, root / folder, tasks=("<MORE_DETAILED_CAPTION>",), max_new_tokens=24)
    )
    specialist.load()
    (path,) = (p for p in (root.parent / "plain").glob("*.png") if sha256_hex(p.read_bytes()).startswith(image_id))
    pixels = np.asarray(Image.open(path).convert("RGB"))
    (said,) = specialist.annotate([Sample(image_id, pixels.shape[1], pixels.shape[0], pixels)])
    assert [(t.granularity, t.text) for t in said.texts] == [("more_detailed", text["text"])]
    assert said.texts[0].score == pytest.approx(text["score"], abs=1e-3), "the probability of its words"


def test_too_few_texts_are_said_before_anything_is_trained(made: tuple[Path, RunConfig]) -> None:
    root, config = made
    with opened(root, config) as pipeline:
        step = step_of(pipeline, NUM_TOLD + 1)
        with pytest.raises(RootError, match=f"has {NUM_TOLD} detailed texts .* needs {NUM_TOLD + 1} .*lower `min_te"):
            step.count(step.loop.initial_round())


def test_wrong_settings_are_named() -> None:
    with pytest.raises(ConfigError, match=r"refine.sparse.granularities.0: .* got 'brief'"):
        parse_config({"refine": {"sparse": {"granularities": ["brief"]}}}, where="test")
    settings = RefineConfig.model_validate({"sparse": {"training": {"num_steps": 7}}})
    assert settings.sparse is not None
    assert settings.sparse.training.learning_rate < settings.training.learning_rate, "gentle unless told otherwise"
