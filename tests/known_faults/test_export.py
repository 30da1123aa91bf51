"""What an export says: what was seen, whole; what it was made from; and nothing that is secret."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from fld_engine.engine.plan.config import RunConfig
from fld_engine.engine.sources.open import open_source
from fld_engine.engine.stages.export.assemble import assemble
from fld_engine.engine.stages.export.manifest import make_manifest, manifest_json
from fld_engine.engine.stages.export.verify import verify
from fld_engine.schemas.errors import SourceError
from fld_engine.schemas.reader import open_export
from fld_engine.schemas.sample import Sample
from fld_engine.schemas.target_language import Instance, location_tokens, parse_answer, write_answer
from fld_engine.schemas.tasks import Task
from tests.engine.stages.export.view_builder import image_row, make_view, small_jpeg
from tests.florence2_processor import build_processor
from tests.roots import fake_config, run_pipeline, write_photographs

# --------------------------------------------------------------------------------------------------- which shards


def test_going_back_to_an_older_config_leaves_no_foreign_shards(tmp_path: Path) -> None:
    """Right: after A, B and A again, every region is A's, and the export is what its manifest says.

    The two configs differ in a word of four letters, so that their shards have the same names and sizes; a checkpoint's
    revision that is changed and changed back does the same. With the manifest of A over the shards of B, a dataset
    would be published under a model that did not make it.
    """
    write_photographs(tmp_path / "photos", 2)
    for name in ("alfa", "beta", "alfa"):
        run_pipeline(tmp_path / "root", config_of(tmp_path / "photos", name))
    export = str(tmp_path / "root/export")
    samples = [sample.record for sample, _ in open_export(export, "train").epoch(epoch=0, seed=0)]
    said_by = {region["source"]["annotator"] for record in samples for region in record["regions"]}
    assert said_by == {"alfa"}
    assert verify(export).problems == ()


def config_of(photos: Path, annotator: str) -> RunConfig:
    """One fake detector of that name."""
    config = fake_config(photos, annotators={annotator: {"use": "fake"}}, export={"splits": {"train": 1.0}})
    return config.model_copy(update={"annotators": {annotator: config.annotators[annotator]}})


# ------------------------------------------------------------------------------------------------------- secrets

SECRET = "s3cret"


@pytest.mark.parametrize(
    "settings",
    [
        {
            "sources": [
                {"url": "labels.json", "kind": "coco", "images_url": f"https://alice:{SECRET}@files.example.org/p"}
            ]
        },
        {"sources": [{"url": "labels.json", "kind": "coco", "images_url": f"s3://b/p?X-Amz-Signature={SECRET}"}]},
        {
            "annotators": {
                "captioner": {"use": "fake", "params": {"base_url": f"https://alice:{SECRET}@llm.example.org"}}
            }
        },
    ],
    ids=["userinfo", "signature", "parameter"],
)
def test_credentials_of_an_address_are_not_published(settings: dict[str, Any]) -> None:
    """Right: the manifest of a dataset names no password and no signature, wherever in the config an address stands.

    A manifest lies beside the shards on a public hub. Who fetches images with a password in the address publishes it.
    """
    config = fake_config("photos", **settings)
    manifest = make_manifest([], config=config.model_dump(mode="json"), models={})
    assert SECRET not in manifest_json(manifest).decode()


def test_credentials_of_an_address_are_in_no_error(tmp_path: Path) -> None:
    """Right: the message names the host and the folder, which say what is wrong, and not the password.

    Errors are what people paste into tickets, and what ends up in the logs of a scheduler.
    """
    names = {"images": [{"id": 1, "file_name": "a.jpg", "width": 8, "height": 8}], "annotations": [], "categories": []}
    (tmp_path / "labels.json").write_text(json.dumps(names))
    images_url = f"http://alice:{SECRET}@127.0.0.1:9/photos"  # nobody listens on this port
    config = fake_config(
        tmp_path, sources=[{"url": str(tmp_path / "labels.json"), "kind": "coco", "images_url": images_url}]
    )
    message = ""
    try:
        open_source(config.sources[0]).chunks()
    except SourceError as error:
        message = str(error)
    assert "127.0.0.1:9/photos" in message
    assert SECRET not in message


# ----------------------------------------------------------------------------------------------------------- text

WH = (640, 480)
QUAD = (10.0, 10.0, 100.0, 10.0, 100.0, 40.0, 10.0, 40.0)
OCR: Task = "<OCR_WITH_REGION>"
SIGNS = ("CAFÉ", "24 €", "Straße", "日本", "출구", "الخروج", "50 °C")


@cache
def library() -> Any:
    return build_processor()


@pytest.mark.parametrize("words", SIGNS)
def test_scene_text_is_taught_as_it_stands_on_the_sign(words: str) -> None:
    """Right: the target says the words whole, and the library's own parser of scene text reads them back.

    That parser drops no character: only those of detection and of phrases do. Today a model is taught to read "CAF" on
    a café, and of a sign in Japanese, Korean or Arabic there is no target at all.
    """
    written = write_answer(OCR, [Instance(words, (QUAD,))], WH)
    assert written.target == words + location_tokens(QUAD, WH)
    read = library().post_process_generation(text=written.target, task=OCR, image_size=WH)[OCR]
    assert read["labels"] == [words]


@pytest.mark.parametrize("words", SIGNS)
def test_what_a_student_reads_on_a_sign_is_heard_whole(words: str) -> None:
    """Right: an answer is read as the library reads it. A student that reads "CAFÉ" right is told that it read "CAF",
    and one that reads Japanese, that it read nothing; the gate judges by that.
    """
    answer = words + location_tokens(QUAD, WH)
    heard = library().post_process_generation(text=answer, task=OCR, image_size=WH)[OCR]["labels"]
    assert heard == [words], "the library drops nothing"
    assert [instance.label for instance in parse_answer(OCR, answer, WH)] == heard


@pytest.mark.parametrize("words", SIGNS)
def test_the_library_still_drops_letters_of_detection(words: str) -> None:
    """Why the two kinds of answers differ: a label of `<OD>` that is not ASCII would come back as another one."""
    answer = words + location_tokens((10.0, 10.0, 100.0, 40.0), WH)
    read = library().post_process_generation(text=answer, task="<OD>", image_size=WH)["<OD>"]
    assert words not in read["labels"]


SENTENCE = (
    "A wide street in an old town is lined with tall stone houses whose shutters are painted in faded green and blue. "
)


def told(text: str) -> Sample:
    """A sample whose one annotation is a paragraph."""
    row = image_row(small_jpeg(1), width=WH[0], height=WH[1])
    texts = [{"id": "paragraph", "image_id": row["id"], "granularity": "more_detailed", "text": text}]
    (sample,) = assemble(make_view([row], {"texts": texts}), lambda group: "train")
    return sample


def test_a_paragraph_that_fits_the_model_has_a_target() -> None:
    """Right: 198 words are taught whole. BART spells them in some 230 tokens, and the model has places for 1,024.

    A text is longer in bytes than in tokens by a factor of four. Taking one for the other loses every caption of more
    than about 190 words: the longest and richest ones, which `<MORE_DETAILED_CAPTION>` is there for, without a word.
    """
    paragraph = (SENTENCE * 9).strip()
    assert len(paragraph.split()) == 198
    assert [(target.task, target.target) for target in told(paragraph).targets] == [
        ("<MORE_DETAILED_CAPTION>", paragraph)
    ]


def test_a_paragraph_that_fits_no_model_has_none() -> None:
    """What mending the fault above must not lose: 2,200 words are more tokens than there are places."""
    assert told((SENTENCE * 100).strip()).targets == ()
