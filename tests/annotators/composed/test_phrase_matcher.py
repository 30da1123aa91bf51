"""Phrases get the boxes they mean: by name, number and place, and never a wrong one to have any."""

from __future__ import annotations

import pytest

from fld_engine.annotators.composed.captioner import ComposedCaptioner
from fld_engine.annotators.composed.phrase_matcher import PhraseMatcher
from fld_engine.annotators.parse.spacy_parser import SpacyParser
from fld_engine.engine.plan.protocols import Annotator
from fld_engine.schemas.annotations import Annotations, Phrase, Region, Text
from tests.annotators.builders import blank, detections, line, seen, text, thing

LEFT_DOG = thing("dog", (5, 40, 25, 60), 0.9, "left dog")
RIGHT_DOG = thing("dog", (75, 40, 95, 60), 0.8, "right dog")
FAINT_DOG = thing("dog", (45, 80, 55, 95), 0.4, "faint dog")
DOGS = (LEFT_DOG, RIGHT_DOG, FAINT_DOG)


@pytest.fixture(scope="module")
def parser() -> SpacyParser:
    made = SpacyParser()
    made.load()
    return made


@pytest.fixture(scope="module")
def matcher() -> PhraseMatcher:
    made = PhraseMatcher()
    made.load()
    return made


class Grounder:
    """Parses and grounds, as a run does."""

    def __init__(self, parser: SpacyParser, matcher: PhraseMatcher) -> None:
        self.parser, self.matcher = parser, matcher

    def known(self, texts: tuple[Text, ...], regions: tuple[Region, ...]) -> Annotations:
        tokens = self.parser.annotate([blank(Annotations(texts=texts))])[0].tokens
        return Annotations(texts=texts, regions=regions, tokens=tokens)

    def __call__(self, words: str, *regions: Region) -> dict[str, Phrase]:
        known = self.known((text(words),), regions)
        phrases = self.matcher.annotate([blank(known)])[0].phrases
        for phrase in phrases:
            assert words[phrase.start : phrase.end] == phrase.phrase
        return {phrase.phrase: phrase for phrase in phrases}


@pytest.fixture(scope="module")
def ground(parser: SpacyParser, matcher: PhraseMatcher) -> Grounder:
    return Grounder(parser, matcher)


def ids(phrase: Phrase) -> list[str]:
    return [region.region_id for region in phrase.regions]


def test_it_keeps_the_contract() -> None:
    assert isinstance(PhraseMatcher(), Annotator)


@pytest.mark.parametrize(
    ("words", "phrase", "name", "score"),
    [
        ("A dog is seen.", "dog", "dog", 1.0),
        ("Some wine glasses shine.", "wine glasses", "wine glass", 1.0),
        ("Knives lie there.", "Knives", "knife", 1.0),
        ("People walk.", "People", "person", 1.0),
        ("A tabby cat sleeps.", "tabby cat", "cat", 1.0),
        ("The table is set.", "table", "dining table", 1.0),  # the last word of the class
        ("A woman smiles.", "woman", "person", 0.9),
        ("Two bikes stand there.", "Two bikes", "bicycle", 0.9),
        ("A sofa stands there.", "sofa", "couch", 0.9),
    ],
)
def test_a_noun_finds_its_class(ground: Grounder, words: str, phrase: str, name: str, score: float) -> None:
    found = ground(words, thing(name, (10, 10, 50, 50), 0.5, "r"), thing("frisbee", (60, 60, 90, 90)))[phrase]
    assert (found.score, ids(found)) == (score, ["r"])
    assert found.regions[0].score == round(score * 0.5, 4)
    assert found.regions[0].box_xyxy == (10, 10, 50, 50)


def test_near_names_match_by_meaning(ground: Grounder) -> None:
    found = ground("An airliner is seen.", thing("airplane", (10, 10, 50, 50), 0.5, "r"))["airliner"]
    assert ids(found) == ["r"]
    assert 0.7 <= found.score <= 1.0


@pytest.mark.parametrize(
    ("words", "phrase", "name"),
    [
        ("A dog is seen.", "dog", "cat"),
        ("A hot dog is served.", "hot dog", "dog"),
        ("A dog is seen.", "dog", "hot dog"),
        ("A motorcycle tire lies there.", "motorcycle tire", "motorcycle"),
        ("The truck is parked.", "truck", "car"),
        ("It is seen.", "It", "dog"),
        ("A dog is seen.", "dog", "  "),  # a class name that somebody left blank
        ("The picture is nice.", "picture", "person"),
    ],
)
def test_a_phrase_that_means_nothing_known_is_written_without_regions(
    ground: Grounder, words: str, phrase: str, name: str
) -> None:
    found = ground(words, thing(name, (10, 10, 50, 50)))[phrase]
    assert (found.regions, found.score) == ((), 0.0)


@pytest.mark.parametrize(
    ("words", "phrase", "expected"),
    [
        ("A dog is seen.", "dog", ["left dog"]),  # the surest one
        ("Two dogs are seen.", "Two dogs", ["left dog", "right dog"]),
        ("Dogs are seen.", "Dogs", ["left dog", "right dog", "faint dog"]),
        ("A dog stands on the right.", "dog", ["right dog"]),
        ("A dog is seen at the bottom of the picture.", "dog", ["faint dog"]),
        ("A dog is seen at the top.", "dog", ["left dog"]),  # none is there: the place narrows nothing
    ],
)
def test_number_and_place_choose_among_boxes(ground: Grounder, words: str, phrase: str, expected: list[str]) -> None:
    assert ids(ground(words, *DOGS)[phrase]) == expected


def test_the_better_name_wins(ground: Grounder) -> None:
    person, taxi = thing("person", (5, 5, 25, 95), 0.9, "p"), thing("car", (30, 30, 90, 90), 0.9, "c")
    found = ground("A man waits near a car and a person.", person, taxi)
    assert (ids(found["man"]), ids(found["car"]), ids(found["person"])) == (["p"], ["c"], ["p"])


def test_quoted_text_is_grounded_on_where_it_was_read(ground: Grounder) -> None:
    found = ground('The sign says "NO PARKING" in red.', line("NO PARKING", (10, 10, 60, 20)), line("O", (0, 0, 5, 5)))
    assert ids(found["NO PARKING"]) == ["line NO PARKING"]
    assert len([phrase for phrase in found if "PARKING" in phrase]) == 1


def test_derived_marks_composed_texts_alone(ground: Grounder, matcher: PhraseMatcher) -> None:
    texts = (text("A dog is seen.", "composed", composed=True), text("A dog is seen.", "human"))
    phrases = matcher.annotate([blank(ground.known(texts, DOGS))])[0].phrases
    assert {phrase.text_id: phrase.derived for phrase in phrases} == {"composed": True, "human": False}


@pytest.mark.parametrize(
    "words", ["<loc_1><b>a dog</b> & \x00 😀", "dog " * 500, "  \n ", "A dog\non the\nleft"], ids=str.split
)
def test_hostile_text_is_inert(ground: Grounder, words: str) -> None:
    for phrase in ground(words, *DOGS).values():
        assert phrase.phrase.strip()


def test_every_noun_of_a_composed_caption_finds_its_box(ground: Grounder, matcher: PhraseMatcher) -> None:
    """Composed from detections, so what is listed as detected must be grounded; only the picture itself is not."""
    regions = detections("astronaut.png")
    composed = ComposedCaptioner().annotate([seen("astronaut.png", Annotations(regions=regions))])[0].texts
    texts = tuple(t.model_copy(update={"id": str(i)}) for i, t in enumerate(composed))
    phrases = matcher.annotate([seen("astronaut.png", ground.known(texts, regions))])[0].phrases
    people = [phrase for phrase in phrases if phrase.phrase == "person"]
    assert len(people) >= len(texts)
    assert all(len(phrase.regions) == 1 and phrase.score == 1.0 and phrase.derived for phrase in people)


def test_a_human_caption_on_a_real_photograph(ground: Grounder, matcher: PhraseMatcher) -> None:
    regions = detections("motorcycle_left.png")
    texts = (text("A shiny motorbike stands in a garage next to two people."),)
    found = {
        p.phrase: p for p in matcher.annotate([seen("motorcycle_left.png", ground.known(texts, regions))])[0].phrases
    }
    best = next(region for region in regions if region.texts[0].text == "motorcycle")
    assert ids(found["shiny motorbike"]) == [best.id]
    assert not found["garage"].regions
    assert not found["two people"].regions
