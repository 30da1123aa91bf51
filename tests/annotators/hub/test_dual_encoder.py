"""Similarities through the adapter are those that direct use of the library gives."""

from __future__ import annotations

import math
import pickle
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from pydantic import ValidationError

from fld_engine.annotators.common.crops import crop
from fld_engine.annotators.hub.dual_encoder import HubDualEncoder
from fld_engine.engine.data.images import RGB
from fld_engine.engine.plan.protocols import Sample
from fld_engine.schemas.annotations import Annotations, Region, RegionText, Similarity
from fld_engine.schemas.errors import ModelError
from tests.annotators.builders import line, text, thing
from tests.annotators.hub.checkpoints_detection import build_rtdetr
from tests.annotators.hub.checkpoints_encoders import build_clip, build_siglip, build_siglip2
from tests.annotators.hub.shared import Limited, image_samples, pinned

DOG = thing("dog", (5.0, 5.0, 40.0, 50.0), 0.9, "dog")
SIGN = thing("stop sign", (50.0, 3.0, 60.0, 6.0), 0.7, "sign")  # 3 px high: as many as there are channels
NAMELESS = Region(id="nameless", kind="object", box_xyxy=(0, 0, 9, 9), score=0.5)
BRIEF = RegionText(id="brief", region_id="dog", kind="brief", text="a brown dog on grass", score=1)
CHUNK = RegionText(id="chunk", region_id="dog", kind="chunk", text="grass", score=1)
KNOWN = Annotations(
    texts=(text("a dog beside a sign", "t0"), text("a photograph of a dog that sits " * 9, "t1", "detailed")),
    regions=(line("STOP", (52, 4, 58, 5)), DOG, NAMELESS, SIGN),
    region_texts=(CHUNK, BRIEF),
)
EXPECTED = ("dog-phrase", "chunk", "brief", "sign-phrase", "t0", "t1")


@pytest.fixture(scope="module", params=[build_clip, build_siglip, build_siglip2])
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    build: Callable[[Path], Path] = request.param
    return build(tmp_path_factory.mktemp("encoder"))


def encoder(folder: Path, **params: Any) -> HubDualEncoder:
    found = HubDualEncoder(pinned(HubDualEncoder.Params, folder, **params))
    found.load()
    return found


def scene(known: Annotations = KNOWN, size: tuple[int, int] = (60, 80), seed: int = 0) -> Sample:
    return replace(image_samples([size], seed)[0], known=known)


class Library:
    """Direct use of `transformers`, one pair at a time."""

    def __init__(self, folder: Path) -> None:
        self.processor = transformers.AutoProcessor.from_pretrained(folder)
        self.model = transformers.AutoModel.from_pretrained(folder).eval()

    def cosine(self, pixels: RGB, words: str) -> float:
        """From the model's own comparison: its logit without scale and bias."""
        pictures, tokenizer = self.processor.image_processor, self.processor.tokenizer
        inputs = pictures(images=[pixels], input_data_format="channels_last", return_tensors="pt")
        inputs |= tokenizer([words], padding="max_length", truncation=True, max_length=16, return_tensors="pt")
        with torch.no_grad():
            logit = float(self.model(**inputs).logits_per_image)
            bias = float(getattr(self.model, "logit_bias", torch.zeros(1)))
            return (logit - bias) / math.exp(float(self.model.logit_scale))


def scores(found: Annotations) -> dict[str, float]:
    return {similarity.subject_id: similarity.score for similarity in found.similarities}


def test_similarities_are_those_of_the_library(folder: Path) -> None:
    sample = scene()
    assert sample.pixels is not None
    (found,) = encoder(folder).annotate([sample])
    assert [similarity.subject_id for similarity in found.similarities] == list(EXPECTED)
    library = Library(folder)
    dog, sign = (crop(sample.pixels, region.box_xyxy) for region in (DOG, SIGN))
    shown = {
        "dog-phrase": (dog, "dog"),
        "chunk": (dog, CHUNK.text),
        "brief": (dog, BRIEF.text),
        "sign-phrase": (sign, "stop sign"),
        **{said.id: (sample.pixels, said.text) for said in KNOWN.texts},
    }
    expected = {name: library.cosine(*pair) for name, pair in shown.items()}
    assert max(expected.values()) - min(expected.values()) > 0.01
    assert scores(found) == pytest.approx(expected, abs=2e-4)


def test_batches_say_what_each_image_alone_says(folder: Path) -> None:
    """Within 2e-4 of a cosine."""
    few = Annotations(regions=(SIGN,), texts=KNOWN.texts[:1])
    batch = [scene(), scene(few, (70, 90), 1), scene(Annotations(), seed=2), scene(seed=3), scene(few, (1, 1), 4)]
    together = encoder(folder, items_per_pass=8).annotate(batch)
    one_by_one = encoder(folder, items_per_pass=1)
    assert together[2] == Annotations()
    for sample, at_once in zip(batch, together, strict=True):
        assert scores(one_by_one.annotate([sample])[0]) == pytest.approx(scores(at_once), abs=2e-4)
    assert [len(found.similarities) for found in together] == [6, 2, 0, 6, 2]


@pytest.mark.parametrize(
    ("params", "expected", "requires", "optional"),
    [
        ({"texts": False}, EXPECTED[:4], {"pixels", "objects"}, {"region_briefs", "region_chunks"}),
        ({"regions": False}, EXPECTED[4:], {"pixels", "brief_texts"}, {"detailed_texts"}),
    ],
)
def test_ranks_what_it_is_asked_for(
    params: dict[str, bool], expected: tuple[str, ...], requires: set[str], optional: set[str], tmp_path: Path
) -> None:
    ranker = encoder(build_clip(tmp_path), **params)
    assert tuple(scores(ranker.annotate([scene()])[0])) == expected
    assert (ranker.requires, ranker.optional) == (requires, optional)


def test_nothing_to_rank_is_refused() -> None:
    with pytest.raises(ValidationError, match="there is nothing to rank"):
        HubDualEncoder.Params(checkpoint="org/not-there", texts=False, regions=False)


class LimitedEncoder(Limited):
    """Runs out of memory in both of its halves."""

    def get_image_features(self, **inputs: Any) -> Any:
        self._check(inputs)
        return self._model.get_image_features(**inputs)

    def get_text_features(self, **inputs: Any) -> Any:
        self._check({"pixel_values": inputs["input_ids"]})
        return self._model.get_text_features(**inputs)


def test_out_of_memory_halves_the_pass_and_loses_nothing(folder: Path) -> None:
    batch = [scene(seed=seed) for seed in range(3)]
    whole, cramped = encoder(folder, items_per_pass=8), encoder(folder, items_per_pass=8)
    assert cramped._loaded is not None
    cramped._loaded.model = LimitedEncoder(cramped._loaded.model, at_most=2)
    for one, other in zip(whole.annotate(batch), cramped.annotate(batch), strict=True):
        assert scores(other) == pytest.approx(scores(one), abs=2e-4)
    assert cramped.reduced
    assert not whole.reduced


def test_bfloat16_runs_and_stays_near(folder: Path) -> None:
    """Vectors of three digits: a cosine of small random vectors is off by hundredths."""
    exact, coarse = (encoder(folder, dtype=dtype).annotate([scene()])[0] for dtype in ("float32", "bfloat16"))
    assert scores(coarse) == pytest.approx(scores(exact), abs=0.1)


def test_a_checkpoint_of_another_kind_is_refused_with_the_kinds_that_fit(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"'rt_detr_v2', which does not do ranking .*clip, siglip, siglip2"):
        encoder(build_rtdetr(tmp_path))


def test_the_constructor_is_cheap_and_crosses_processes() -> None:
    made = HubDualEncoder(HubDualEncoder.Params(checkpoint="org/not-there"))
    assert pickle.loads(pickle.dumps(made)).params == made.params


def test_a_cosine_stays_within_its_range(folder: Path) -> None:
    (found,) = encoder(folder).annotate([scene()])
    assert all(isinstance(s, Similarity) and -1 <= s.score <= 1 for s in found.similarities)
    assert np.isfinite([s.score for s in found.similarities]).all()
