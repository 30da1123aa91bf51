"""The ranker chooses the text of a region: it must prefer the true one, and score all of them once."""

from __future__ import annotations

import pytest

from fld_engine.annotators.packaged.conse_ranker import ConseRanker
from fld_engine.engine.plan.protocols import Annotator
from fld_engine.schemas.annotations import Annotations, Region, RegionText
from tests.annotators.builders import detections, line, seen, thing


@pytest.fixture(scope="module")
def ranker() -> ConseRanker:
    made = ConseRanker()
    made.load()
    return made


def region_of(name: str, phrase: str) -> Region:
    return next(region for region in detections(name) if region.texts[0].text == phrase)


def test_it_keeps_the_contract() -> None:
    assert isinstance(ConseRanker(), Annotator)


@pytest.mark.parametrize(
    ("name", "phrase", "true", "wrong"),
    [
        ("chelsea.png", "cat", "cat", ("dog", "person", "cell phone")),
        ("coffee.png", "cup", "cup", ("toilet", "bowl", "dog")),
        ("motorcycle_left.png", "motorcycle", "motorcycle", ("bicycle", "car", "cup")),
        ("astronaut.png", "person", "person", ("chair", "cup", "cat")),
    ],
)
def test_the_true_class_beats_wrong_ones_on_a_real_crop(
    ranker: ConseRanker, name: str, phrase: str, true: str, wrong: tuple[str, ...]
) -> None:
    region = region_of(name, phrase)
    candidates = tuple(
        RegionText(id=words, region_id=region.id, kind="brief", text=words, score=1.0) for words in (true, *wrong)
    )
    known = Annotations(regions=(region,), region_texts=candidates)
    scores = {s.subject_id: s.score for s in ranker.annotate([seen(name, known)])[0].similarities}
    assert max((true, *wrong), key=scores.__getitem__) == true


def test_every_candidate_of_an_object_is_scored_once_and_nothing_else(ranker: ConseRanker) -> None:
    region = region_of("chelsea.png", "cat")
    texts = (
        RegionText(id="brief", region_id=region.id, kind="brief", text="a brown cat", score=0.5),
        RegionText(id="chunk", region_id=region.id, kind="chunk", text="brown cat", score=0.5),
        RegionText(id="orphan", region_id="gone", kind="brief", text="a dog", score=0.5),
    )
    known = Annotations(regions=(region, line("EXIT", (0, 0, 50, 20))), region_texts=texts)
    nothing = Annotations()
    results = ranker.annotate([seen("chelsea.png", nothing), seen("chelsea.png", known)])
    assert results[0] == Annotations()
    assert [s.subject_id for s in results[1].similarities] == [region.texts[0].id, "brief", "chunk"]
    assert all(-1 <= s.score <= 1 for s in results[1].similarities)


def test_a_region_thinner_than_a_pixel_is_scored_too(ranker: ConseRanker) -> None:
    known = Annotations(regions=(thing("cat", (450.9, 299.9, 451.0, 300.0), identity="r"),))
    assert len(ranker.annotate([seen("chelsea.png", known)])[0].similarities) == 1


def test_the_same_input_gives_the_same_scores(ranker: ConseRanker) -> None:
    known = Annotations(regions=detections("chelsea.png"))
    image = seen("chelsea.png", known)
    assert ranker.annotate([image]) == [ranker.annotate([image, image])[1]]
