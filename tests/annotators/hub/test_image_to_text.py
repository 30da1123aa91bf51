"""Captions through the adapter are those that direct use of the library gives."""

from __future__ import annotations

import math
import pickle
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from pydantic import ValidationError

from fld_engine.annotators.common.crops import crop
from fld_engine.annotators.hub.image_to_text import HubImageToText
from fld_engine.engine.data.images import RGB
from fld_engine.engine.plan.protocols import Sample
from fld_engine.schemas.annotations import Annotations
from fld_engine.schemas.errors import ModelError
from tests.annotators.builders import line, thing
from tests.annotators.hub.checkpoints_captioners import build_blip, build_git
from tests.annotators.hub.checkpoints_detection import build_rtdetr
from tests.annotators.hub.shared import Limited, image_samples, pinned

MAX_TOKENS = 20
DOG, SIGN = thing("dog", (5, 5, 40, 50), 0.9, "dog"), thing("sign", (50, 3, 79, 30), 0.7, "sign")
KNOWN = Annotations(regions=(DOG, line("STOP", (52, 4, 58, 5)), SIGN))


@pytest.fixture(scope="module", params=[build_blip, build_git])
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    build: Callable[[Path], Path] = request.param
    return build(tmp_path_factory.mktemp("captioner"))


def captioner(folder: Path, **params: Any) -> HubImageToText:
    found = HubImageToText(pinned(HubImageToText.Params, folder, max_new_tokens=MAX_TOKENS, **params))
    found.load()
    return found


def scenes(num: int = 6) -> list[Sample]:
    sizes = [(60, 80), (80, 60), (40, 40), (60, 80), (90, 45), (33, 64), (60, 80), (50, 50)][:num]
    return [replace(image_samples([size], seed)[0], known=KNOWN) for seed, size in enumerate(sizes)]


class Library:
    """Direct use of `transformers`, one picture at a time."""

    def __init__(self, folder: Path) -> None:
        self.processor = transformers.AutoProcessor.from_pretrained(folder)
        self.model = transformers.AutoModelForImageTextToText.from_pretrained(folder).eval()

    def describe(self, pixels: RGB, num_beams: int = 1) -> tuple[str, int, bool]:
        """The words, the number of their tokens, and whether the answer ended by itself."""
        inputs = self.processor(images=[pixels], input_data_format="channels_last", return_tensors="pt")
        with torch.no_grad():
            output = self.model.generate(
                pixel_values=inputs["pixel_values"], num_beams=num_beams, do_sample=False, max_new_tokens=MAX_TOKENS
            )
        ids = output[0, 1:].tolist()
        ended = self.processor.tokenizer.sep_token_id in ids
        return self.processor.decode(output[0], skip_special_tokens=True), len(ids) - ended, ended


def said(found: Annotations) -> list[str]:
    return [text.text for text in found.texts]


@pytest.mark.parametrize("num_beams", [1, 3])
def test_texts_are_those_of_the_library(folder: Path, num_beams: int) -> None:
    batch = scenes()
    library = Library(folder)
    expected = [library.describe(sample.pixels, num_beams) for sample in batch if sample.pixels is not None]
    found = captioner(folder, num_beams=num_beams).annotate(batch)
    assert [said(of_image) for of_image in found] == [[words.strip()] for words, _, _ in expected]
    assert all(length >= 5 for _, length, _ in expected)
    assert len({words for words, _, _ in expected}) > 1
    if num_beams == 1:
        assert {ended for _, _, ended in expected} == {True, False}


def test_a_score_is_the_mean_probability_of_the_tokens(folder: Path) -> None:
    """Geometric; each probability from a forward pass over the tokens before it."""
    sample, library = scenes(1)[0], Library(folder)
    (found,) = captioner(folder).annotate([sample])
    pictures = library.processor(images=[sample.pixels], input_data_format="channels_last", return_tensors="pt")
    with torch.no_grad():
        ids = library.model.generate(pixel_values=pictures["pixel_values"], do_sample=False, max_new_tokens=MAX_TOKENS)
        logits = library.model(pixel_values=pictures["pixel_values"], input_ids=ids).logits[0]
    chances = logits[-ids.shape[1] :].float().log_softmax(-1)  # GIT's begin with those of the picture
    words = [n for n in range(1, ids.shape[1]) if ids[0, n] != library.processor.tokenizer.sep_token_id]
    logs = [float(chances[n - 1, ids[0, n]]) for n in words]
    assert len(logs) >= 5
    assert found.texts[0].score == pytest.approx(math.exp(sum(logs) / len(logs)), abs=2e-4)


def test_batches_say_what_each_image_alone_says(folder: Path) -> None:
    """The same words, and scores within 2e-4; answers that end early do not hear those that go on."""
    batch = scenes(8)
    together, one_by_one = captioner(folder, items_per_pass=8).annotate(batch), captioner(folder, items_per_pass=1)
    for sample, at_once in zip(batch, together, strict=True):
        (alone,) = one_by_one.annotate([sample])
        assert said(alone) == said(at_once)
        assert alone.texts[0].score == pytest.approx(at_once.texts[0].score, abs=2e-4)


def test_crops_are_described_as_pictures_of_their_own(folder: Path) -> None:
    sample, library = scenes(1)[0], Library(folder)
    both = captioner(folder, regions=True)
    assert (both.requires, both.produces) == ({"pixels", "objects"}, {"brief_texts", "region_briefs"})
    (found,) = both.annotate([sample])
    assert sample.pixels is not None
    assert [(text.region_id, text.kind) for text in found.region_texts] == [("dog", "brief"), ("sign", "brief")]
    expected = [library.describe(crop(sample.pixels, region.box_xyxy))[0].strip() for region in (DOG, SIGN)]
    assert [text.text for text in found.region_texts] == expected
    only_crops = captioner(folder, regions=True, texts=False)
    assert only_crops.produces == {"region_briefs"}
    assert only_crops.annotate([sample])[0] == found.model_copy(update={"texts": ()})


def test_an_image_without_objects_has_no_crops(folder: Path) -> None:
    crops = captioner(folder, regions=True, texts=False)
    assert crops.annotate([replace(scenes(1)[0], known=Annotations())]) == [Annotations()]
    assert crops.annotate([]) == []


def test_nothing_to_describe_is_refused() -> None:
    with pytest.raises(ValidationError, match="there is nothing to describe"):
        HubImageToText.Params(checkpoint="org/not-there", texts=False)


def test_out_of_memory_halves_the_pass_and_loses_nothing(folder: Path) -> None:
    batch = scenes(6)
    whole, cramped = captioner(folder, items_per_pass=6), captioner(folder, items_per_pass=6)
    assert cramped._loaded is not None
    cramped._loaded.model = Limited(cramped._loaded.model, at_most=2)
    assert list(map(said, whole.annotate(batch))) == list(map(said, cramped.annotate(batch)))
    assert cramped.reduced
    assert not whole.reduced


def test_bfloat16_runs(folder: Path) -> None:
    (found,) = captioner(folder, dtype="bfloat16").annotate(scenes(1))
    assert len(found.texts) == 1


def test_a_checkpoint_of_another_kind_is_refused_with_the_kinds_that_fit(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"'rt_detr_v2', which does not do captioning; expected .*blip, blip-2, git"):
        captioner(build_rtdetr(tmp_path))


def test_the_constructor_is_cheap_and_crosses_processes() -> None:
    made = HubImageToText(HubImageToText.Params(checkpoint="org/not-there"))
    assert pickle.loads(pickle.dumps(made)).params == made.params
