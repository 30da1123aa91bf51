"""What the trainer learns is what the library reads: every target against `Florence2Processor` and our own parser."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fld_engine.schemas.target_language import (
    Instance,
    dequantise,
    join_queries,
    location_tokens,
    normalise_label,
    normalise_text,
    parse_answer,
    parse_text,
    quantise,
    write_answer,
    write_prompt,
)
from fld_engine.schemas.tasks import BANNED_PHRASES, TASKS, Task
from fld_engine.schemas.tokens import SPECIAL_TOKENS
from tests.florence2_processor import build_processor

WH = (640, 480)
LABELS = st.one_of(
    st.sampled_from(
        ["cat", "a dog", "it", "the image", "<loc_1>", "a < b", "\n", "日本", "café au lait", "🚗 car", "a\r\nb"]
    ),
    st.text(max_size=20),
)
BOX_TASKS: list[Task] = ["<OD>", "<DENSE_REGION_CAPTION>", "<CAPTION_TO_PHRASE_GROUNDING>", "<REGION_PROPOSAL>"]
POLYGON_TASKS: list[Task] = [
    "<REFERRING_EXPRESSION_SEGMENTATION>",
    "<REGION_TO_SEGMENTATION>",
    "<OPEN_VOCABULARY_DETECTION>",
]


@pytest.fixture(scope="session")
def processor() -> Any:
    return build_processor()


@st.composite
def boxes(draw: st.DrawFn) -> tuple[float, ...]:
    x1, x2 = sorted(draw(st.lists(st.floats(0, WH[0]), min_size=2, max_size=2)))
    y1, y2 = sorted(draw(st.lists(st.floats(0, WH[1]), min_size=2, max_size=2)))
    return x1, y1, x2, y2


def shape_of(size: int) -> st.SearchStrategy[tuple[float, ...]]:
    return st.lists(st.tuples(st.floats(0, WH[0]), st.floats(0, WH[1])), min_size=size, max_size=size).map(
        lambda points: tuple(v for point in points for v in point)
    )


MASKS = st.lists(st.integers(3, 9).flatmap(shape_of), min_size=1, max_size=3).map(tuple)


def whole(shapes: tuple[tuple[float, ...], ...]) -> list[list[int]]:
    return [[int(v) for v in shape] for shape in shapes]


def read_by_library(processor: Any, task: Task, target: str) -> list[tuple[str, list[list[int]]]]:
    """(label, shapes) of every instance, in order, through text and through token ids, which must agree."""
    answer = processor.post_process_generation(text=target, task=task, image_size=WH)[task]
    if target.isascii():  # of a letter in several tokens, the library decodes each for itself
        ids = processor.tokenizer(target).input_ids
        assert processor.post_process_generation(sequence=ids, task=task, image_size=WH)[task] == answer
    for shapes, labels in (("quad_boxes", "labels"), ("polygons", "polygons_labels"), ("polygons", "labels")):
        if answer.get(shapes) and labels in answer:
            nested = [s if shapes == "polygons" else [s] for s in answer[shapes]]
            return list(zip(answer[labels], nested, strict=True))
    labels = "bboxes_labels" if "bboxes_labels" in answer else "labels"
    return [(label, [box]) for label, box in zip(answer[labels], answer.get("bboxes", []), strict=True)]


def said_of(task: Task, label: str) -> str:
    """What a target calls something: nothing, the words on a sign, or a label in ASCII."""
    answer = TASKS[task].answer
    if answer in ("boxes", "polygons"):
        return ""
    return normalise_text(label) if answer == "quads" else normalise_label(label)


def check(processor: Any, task: Task, instances: list[Instance]) -> str:
    """Write, read back both ways, and compare with what was written; returns the target."""
    written = write_answer(task, instances, WH)
    assert sorted(written.spoken + written.left_out) == list(range(len(instances)))
    ours = parse_answer(task, written.target, WH)
    spoken = [instances[i] for i in written.spoken]
    assert [i.label for i in ours] == [said_of(task, i.label) for i in spoken]
    for instance, parsed in zip(spoken, ours, strict=True):
        for shape, back in zip(instance.shapes, parsed.shapes, strict=True):
            given, got = ({*zip(s[::2], s[1::2], strict=True)} for s in (shape, back))  # polygons may be turned round
            for x, y in given:
                assert any(abs(x - a) <= 0.32 + 1e-9 and abs(y - b) <= 0.24 + 1e-9 for a, b in got)
    assert read_by_library(processor, task, written.target) == [(i.label, whole(i.shapes)) for i in ours]
    return written.target


@settings(max_examples=60)
@given(st.sampled_from(BOX_TASKS), st.lists(st.tuples(LABELS, boxes()), max_size=6))
def test_boxes_read_back_by_library(processor: Any, task: Task, items: list[tuple[str, tuple[float, ...]]]) -> None:
    check(processor, task, [Instance(label, (box,)) for label, box in items])


@settings(max_examples=40)
@given(st.lists(st.tuples(LABELS, shape_of(4)), max_size=5))
def test_quads_read_back_by_library(processor: Any, items: list[tuple[str, tuple[float, ...]]]) -> None:
    check(processor, "<OCR_WITH_REGION>", [Instance(label, (quad,)) for label, quad in items])


@settings(max_examples=60)
@given(st.sampled_from(POLYGON_TASKS), st.lists(st.tuples(LABELS, MASKS), max_size=4))
def test_polygons_read_back_by_library(processor: Any, task: Task, items: list[tuple[str, Any]]) -> None:
    check(processor, task, [Instance(label, mask) for label, mask in items])


@settings(max_examples=30)
@given(st.lists(st.tuples(LABELS, boxes()), max_size=5))
def test_open_vocabulary_boxes_read_back_by_library(processor: Any, items: list[tuple[str, Any]]) -> None:
    check(processor, "<OPEN_VOCABULARY_DETECTION>", [Instance(label, (box,)) for label, box in items])


@pytest.mark.parametrize("task", list(TASKS))
def test_prompts_are_the_library_s(processor: Any, task: Task) -> None:
    """A student prompted through the processor must see the very words it was trained on."""
    input_ = "a red cup {0} of tea" if TASKS[task].takes_input else ""
    assert processor._construct_prompts(task + input_) == [write_prompt(task, input_)]


def test_each_token_is_one_id(processor: Any) -> None:
    """A location split into letters would make a sequence ten times as long and unlearnable."""
    assert len(SPECIAL_TOKENS) == len(set(SPECIAL_TOKENS)) == 1024
    for token in ("<loc_0>", "<loc_999>", "<sep>", "<poly>", "</poly>", "<and>"):
        assert len(processor.tokenizer(token, add_special_tokens=False).input_ids) == 1


def test_banned_phrase_is_left_out_of_grounding_only(processor: Any) -> None:
    items = [Instance("a cat", ((0, 0, 10, 10),)), Instance("it", ((5, 5, 20, 20),))]
    grounding = write_answer("<CAPTION_TO_PHRASE_GROUNDING>", items, WH)
    assert (grounding.spoken, grounding.left_out) == ((0,), (1,))
    assert write_answer("<OD>", items, WH).left_out == ()
    assert len(BANNED_PHRASES) == 72


def test_boxes_of_one_label_share_it_in_raster_order() -> None:
    """Rows: the lower dog is given first; the cat is between the dogs; the dogs stand together at the upper one."""
    items = [
        Instance("dog", ((0.0, 240.0, 64.0, 288.0),)),
        Instance("cat", ((64.0, 96.0, 128.0, 144.0),)),
        Instance("dog", ((320.0, 48.0, 384.0, 96.0),)),
    ]
    written = write_answer("<OD>", items, WH)
    assert written.spoken == (2, 0, 1)
    assert written.target == (
        "dog<loc_500><loc_100><loc_600><loc_200><loc_0><loc_500><loc_100><loc_600>cat<loc_100><loc_200><loc_200><loc_300>"
    )


def test_phrases_keep_caption_order() -> None:
    items = [Instance("a tree", ((0, 400, 10, 480),)), Instance("a bird", ((0, 0, 10, 10),))]
    assert write_answer("<CAPTION_TO_PHRASE_GROUNDING>", items, WH).spoken == (0, 1)


def test_polygon_is_turned_clockwise_from_its_first_vertex() -> None:
    anticlockwise = (0.0, 0.0, 0.0, 48.0, 64.0, 48.0, 64.0, 0.0)
    written = write_answer("<REGION_TO_SEGMENTATION>", [Instance("", (anticlockwise,))], WH)
    assert written.target == "<loc_0><loc_0><loc_100><loc_0><loc_100><loc_100><loc_0><loc_100>"


@pytest.mark.parametrize(
    ("label", "normal"),
    [
        ("  a cat\n", "a cat"),
        ("two\nlines\r\nthree\u2028four", "two lines three four"),
        ("café", "cafe"),  # the library would drop the last letter
        ("Crème Brûlée, Straße, smørrebrød, Łódź", "Creme Brulee, Strasse, smorrebrod, Lodz"),
        ("the chef’s “ﬁsh” – ½", 'the chef\'s "fish" - 1/2'),
        ("e\u0301clair", "eclair"),
        ("日本 STOP", ""),  # a word that would be lost
        ("24 €", ""),
        ("🚗 car", "car"),
        ("soft\u00adware ®", "software"),
        ("日本", ""),
        ("🚗", ""),
        ("<loc_1>", ""),
        ("x</s>y", ""),
        ("a < b", ""),
        ("a ＜ b", ""),  # spelt with a mark of a token
        ("x" * 10_000, "x" * 10_000),
    ],
)
def test_labels_are_normalised_or_refused(label: str, normal: str) -> None:
    assert normalise_label(label) == normal


def test_text_keeps_its_letters_but_never_a_token() -> None:
    """Scraped captions may hold location tokens: they must not move boxes of the model that is trained on them."""
    assert normalise_text(" un café\nnoir ") == "un café noir"
    for token in ("<loc_1>", "</s>", "<mask>", "<image>", "<poly>", "<OD>", "<CAPTION>"):
        assert normalise_text(f"free {token} sample") == ""
    for words in ("I <3 you", "a < b > c", "<b>bold</b>", "<loc_1000>", "<loc_1", "<od >", "<>", "1<2<3"):
        assert normalise_text(words) == words
    assert parse_text("<s>a cat</s><pad>") == "a cat"


@pytest.mark.parametrize(("task", "input_"), [("<OD>", "cat"), ("<REGION_TO_OCR>", "")])
def test_prompt_with_wrong_input_is_refused(task: Task, input_: str) -> None:
    with pytest.raises(ValueError, match="input"):
        write_prompt(task, input_)


def test_prompt_inputs() -> None:
    assert join_queries(["cat", "a dog"]) == "cat<and>a dog"
    tokens = location_tokens((0, 0, 640, 480), WH)
    assert write_prompt("<REGION_TO_OCR>", tokens) == ("What text is in the region <loc_0><loc_0><loc_999><loc_999>?")


@pytest.mark.parametrize(
    ("task", "shapes"),
    [
        ("<OD>", ((1.0, 2.0, 3.0),)),
        ("<OD>", ((0.0, 0.0, 1.0, 1.0), (2.0, 2.0, 3.0, 3.0))),
        ("<OCR_WITH_REGION>", ((0.0, 0.0, 1.0, 1.0),)),
        ("<REGION_TO_SEGMENTATION>", ()),
        ("<REGION_TO_SEGMENTATION>", ((0.0, 0.0, 1.0, 1.0),)),
        ("<CAPTION>", ()),
    ],
)
def test_wrong_shapes_are_refused(task: Task, shapes: Any) -> None:
    with pytest.raises(ValueError, match=task):
        write_answer(task, [Instance("x", shapes)], WH)


@given(st.integers(1, 20_000), st.data())
def test_inverse_is_within_half_a_bin(size: int, data: st.DataObject) -> None:
    x = data.draw(st.floats(0, size))
    (q,) = quantise((x,), (size, 1))
    (back,) = dequantise((q,), (size, 1))
    assert 0 <= q <= 999
    assert abs(back - x) <= size / 2000 * (1 + 1e-9)


@given(st.integers(1, 20_000))
def test_bins_survive_the_inverse(size: int) -> None:
    """Writing what was parsed must not drift: every bin's centre is in that bin."""
    every = [q for q in range(1000) for _ in "xy"]
    assert list(quantise(dequantise(every, (size, size)), (size, size))) == every


def test_outside_the_frame_goes_to_its_edge() -> None:
    assert quantise((-5.0, -0.01, 640.0, 1e9), WH) == (0, 0, 999, 999)


def test_library_disagrees_only_where_the_inverse_is_whole(processor: Any) -> None:
    """The library's single precision may fall just below a whole pixel: known, and never by more than that."""
    import torch

    bins = [q for q in range(1000) for _ in "xy"]
    for size in (144, 333, 480, 500, 640, 1024, 1040, 4032):
        theirs = processor.post_processor.dequantize(torch.tensor(bins).reshape(-1, 2), (size, size)).flatten().tolist()
        ours = dequantise(bins, (size, size))
        wrong = [(a, b) for a, b in zip(theirs, ours, strict=True) if a != int(b)]
        assert all(b == int(b) and a == b - 1 for a, b in wrong)
        assert not wrong or size in (144, 1040)


@settings(max_examples=200)
@given(
    st.sampled_from(list(TASKS)),
    st.lists(st.sampled_from(["cat", "<loc_5>", "<loc_9999>", "<poly>", "</poly>", "<sep>", "<", "\n"])),
)
def test_parser_takes_any_string(task: Task, parts: list[str]) -> None:
    """A student may generate anything; whatever is read must be drawable."""
    for instance in parse_answer(task, "".join(parts), WH):
        assert instance.shapes
        assert all(len(shape) >= 4 and len(shape) % 2 == 0 for shape in instance.shapes)


@pytest.mark.parametrize(
    "label", ["x" * 10_000, "<" * 10_000, "\n" * 10_000, "🚗" * 10_000, "a\n" * 5_000, "</poly>", "{input}"]
)
@pytest.mark.parametrize(
    "task", ["<OD>", "<CAPTION_TO_PHRASE_GROUNDING>", "<OCR_WITH_REGION>", "<OPEN_VOCABULARY_DETECTION>"]
)
def test_hostile_label_spoils_no_neighbour(processor: Any, task: Task, label: str) -> None:
    """One bad label must cost itself at most: the labels beside it keep their places."""
    shape = (10.0, 10.0, 20.0, 10.0, 20.0, 20.0, 10.0, 20.0)[: 8 if task == "<OCR_WITH_REGION>" else 4]
    target = check(processor, task, [Instance(name, (shape,)) for name in ("cat", label, "a dog")])
    assert target.startswith("cat<loc_")
    assert "a dog<loc_" in target


def test_answer_of_hundreds_of_boxes_is_read_whole(processor: Any) -> None:
    rng = random.Random(0)
    items = [Instance(f"thing {i}", ((rng.uniform(0, 300), 0.0, rng.uniform(300, 640), 480.0),)) for i in range(500)]
    check(processor, "<OD>", items)
