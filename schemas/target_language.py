"""The Florence-2 target language, both ways; no other module writes a location token.

Coordinates are pixels of the upright image, `x y` alternating: a box is 4 numbers, a quadrilateral 8 (clockwise from
the top left), a polygon 6 or more. Each axis has 1,000 bins; the quantiser is Florence-2's floor mode:

    bin = clamp(floor(x / (size / 1000)), 0, 999)        x = (bin + 0.5) * size / 1000

so a coordinate inside the frame comes back within half a bin. `Florence2Processor.post_process_generation` gives the
same instances in the same order, with `int(x)` for every coordinate: its inverse ends in an integer. (It computes in
single precision: where `x` is a whole number, at 40 of the sizes up to 5,000 pixels, it can land on the one below.)

What cannot be said is left out and never altered into something else: a text that holds a token, and a label with a
`<` or with letters that have no spelling in ASCII, of which the post-processor keeps none. Words of scene text keep all
their letters, as they do there. Nor is anything cut: an answer that is too long is not written.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from fld_engine.schemas.spelling import in_ascii
from fld_engine.schemas.tasks import BANNED_PHRASES, TASKS, Task
from fld_engine.schemas.tokens import NUM_BINS, TokenCount, holds_token, num_tokens

Form = Literal["box", "quad", "polygons"]
UNLABELLED = ("boxes", "polygons")
NOT_REPRESENTABLE: Literal["not_representable"] = "not_representable"
"""Reason of an annotation that a target leaves out because the language has no words for it."""

_LINE_BREAK = re.compile(r"\r\n|[\n\r\v\f\x1c-\x1e\x85\u2028\u2029]")
_SENTENCE_MARKS = re.compile(r"</?s>|<pad>")
_LOCATION = re.compile(r"<loc_(\d{1,3})>")
_PLACES = re.compile(r"(?:<loc_\d{1,3}>|<sep>|</?poly>)+")
_POLY = re.compile(r"<poly>(.*?)</poly>")


@dataclass(frozen=True, slots=True)
class Instance:
    """One thing in an answer: its label, empty where the task has none, and where it is.

    `shapes` holds one box, one quadrilateral, or the polygons of one mask.
    """

    label: str
    shapes: tuple[tuple[float, ...], ...]


@dataclass(frozen=True, slots=True)
class Written:
    """A target and what became of the instances it was written from.

    A parser gives back instance `spoken[0]` of the input first, then `spoken[1]`, and so on; those in `left_out` are
    `NOT_REPRESENTABLE`. Where the target would be longer than asked for there is none, and the others are `too_long`.
    """

    target: str
    spoken: tuple[int, ...]
    left_out: tuple[int, ...]
    too_long: tuple[int, ...] = ()


# ---------------------------------------------------------------------------------------------------- coordinates

_LOCATION_TOKENS = tuple(f"<loc_{q}>" for q in range(NUM_BINS))


def quantise(coordinates: Sequence[float], image_wh: tuple[int, int]) -> tuple[int, ...]:
    """Bins in 0..999 of alternating x y pixels; coordinates outside the frame go to its edge."""
    return _quantise(tuple(coordinates), image_wh)


@lru_cache(maxsize=1024)
def _quantise(coordinates: tuple[float, ...], image_wh: tuple[int, int]) -> tuple[int, ...]:
    """The same: several tasks say, order and prompt with each shape of an image."""
    steps = (image_wh[0] / NUM_BINS, image_wh[1] / NUM_BINS)
    last = NUM_BINS - 1
    bins = [int(v / steps[i % 2]) for i, v in enumerate(coordinates)]  # what is rounded up is below 0, and goes to 0
    return tuple([0 if q < 0 else last if q > last else q for q in bins])


def dequantise(bins: Sequence[int], image_wh: tuple[int, int]) -> tuple[float, ...]:
    """Pixels at the centres of alternating x y bins."""
    return tuple((q + 0.5) * image_wh[i % 2] / NUM_BINS for i, q in enumerate(bins))


def location_tokens(coordinates: Sequence[float], image_wh: tuple[int, int]) -> str:
    """Location tokens of a shape; those of a box are also how a prompt names a region."""
    return "".join([_LOCATION_TOKENS[q] for q in quantise(coordinates, image_wh)])


# ---------------------------------------------------------------------------------------------------------- words


def normalise_text(text: str) -> str:
    """A text as one line without outer spaces; empty where it cannot be said, for it holds a token."""
    return "" if holds_token(text) else _LINE_BREAK.sub(" ", text).strip()


def normalise_label(label: str) -> str:
    """A label of objects and phrases as the post-processor gives it back: one line, spelt in ASCII.

    Empty where it cannot be said: it holds a `<`, or a letter that has no such spelling.
    """
    spelt = in_ascii(normalise_text(label))
    return "" if "<" in spelt else spelt


def join_queries(labels: Iterable[str]) -> str:
    """Normalised labels as the input of one `<OPEN_VOCABULARY_DETECTION>` prompt."""
    return "<and>".join(labels)


def write_prompt(task: Task, input_: str = "") -> str:
    """The question of a task. `input_` is normalised text, joined queries or the location tokens of a box.

    Raises `ValueError` where the task needs an input and gets none, or the other way round.
    """
    spec = TASKS[task]
    if spec.takes_input != bool(input_):
        needs = "needs an input" if spec.takes_input else "takes no input"
        raise ValueError(f"task {task} {needs}, got {input_!r}")
    return spec.prompt.replace("{input}", input_)


# -------------------------------------------------------------------------------------------------------- writing


def write_answer(
    task: Task,
    instances: Sequence[Instance],
    image_wh: tuple[int, int],
    max_tokens: int | None = None,
    *,
    count: TokenCount = num_tokens,
) -> Written:
    """The target of a task that answers with locations; empty where nothing can be said.

    Instances stand in raster order: by the top, then the left bin of their bounds, then as given. Boxes of one label
    follow it together, at the place of the first. The phrases of a caption keep the order they are given in, and only
    neighbours share a phrase. Polygons are written clockwise. A target longer than `max_tokens`, as `count` has them,
    is not written: an answer that names some of what it is asked for would call itself complete.

    Raises `ValueError` for shapes that the task has no form for.
    """
    form = _form(task, instances)
    labels = [_label(task, instance.label) for instance in instances]
    if TASKS[task].answer == "grounded_phrases":
        labels = ["" if label in BANNED_PHRASES else label for label in labels]
    order = _order(task, instances, labels, image_wh)
    wrap = form == "polygons" and (len(order) > 1 or TASKS[task].answer == "boxes_or_polygons")
    parts: list[str] = []
    spoken_label = ""
    length = 0
    for i in order:
        label = "" if form != "quad" and labels[i] == spoken_label else labels[i]
        shapes = map(_clockwise, instances[i].shapes) if form == "polygons" else instances[i].shapes
        locations = "<sep>".join(location_tokens(shape, image_wh) for shape in shapes)
        part = f"{label}<poly>{locations}</poly>" if wrap else label + locations
        length += count(label) + part.count("<") - label.count("<")
        spoken_label = labels[i]
        parts.append(part)
    left_out = tuple(sorted(set(range(len(instances))) - set(order)))
    if max_tokens is not None and length > max_tokens:
        return Written(target="", spoken=(), left_out=left_out, too_long=tuple(sorted(order)))
    return Written(target="".join(parts), spoken=tuple(order), left_out=left_out)


def _form(task: Task, instances: Sequence[Instance]) -> Form:
    """What the shapes of an answer are; raises `ValueError` where they are something else."""
    answer = TASKS[task].answer
    sizes = [len(shape) for instance in instances for shape in instance.shapes]
    form: Form = "box"
    if answer == "quads":
        form = "quad"
    elif answer == "polygons" or (answer == "boxes_or_polygons" and any(size != 4 for size in sizes)):
        form = "polygons"
    if form == "polygons":
        fits = all(instance.shapes for instance in instances) and all(n >= 6 and n % 2 == 0 for n in sizes)
    else:
        fits = all(len(i.shapes) == 1 for i in instances) and set(sizes) <= {4 if form == "box" else 8}
    if answer == "text" or not fits:
        raise ValueError(f"task {task} answers with {answer}, got shapes of {sizes} numbers")
    return form


def _label(task: Task, label: str) -> str:
    """What is said of a label, and heard."""
    answer = TASKS[task].answer
    if answer in UNLABELLED:
        return ""
    return normalise_text(label) if answer == "quads" else normalise_label(label)


def _order(task: Task, instances: Sequence[Instance], labels: Sequence[str], image_wh: tuple[int, int]) -> list[int]:
    """Indices of the instances that can be said, in the order they are."""
    answer = TASKS[task].answer
    order = [i for i, label in enumerate(labels) if label or answer in UNLABELLED]
    if answer == "grounded_phrases":
        return order
    order.sort(key=lambda i: _top_left(instances[i], image_wh))
    if answer in ("labelled_boxes", "boxes_or_polygons"):
        first = {labels[i]: rank for rank, i in reversed(list(enumerate(order)))}
        order.sort(key=lambda i: first[labels[i]])
    return order


def _top_left(instance: Instance, image_wh: tuple[int, int]) -> tuple[int, int]:
    bins = [q for shape in instance.shapes for q in quantise(shape, image_wh)]
    return min(bins[1::2]), min(bins[::2])


def _clockwise(polygon: tuple[float, ...]) -> tuple[float, ...]:
    """The polygon from the same first vertex, clockwise as seen on screen (y points down: shoelace area positive)."""
    points = list(zip(polygon[::2], polygon[1::2], strict=True))
    area = sum(x1 * y2 - x2 * y1 for (x1, y1), (x2, y2) in zip(points, points[1:] + points[:1], strict=True))
    if area < 0:
        points[1:] = points[:0:-1]
    return tuple(v for point in points for v in point)


# -------------------------------------------------------------------------------------------------------- parsing


def parse_text(answer: str) -> str:
    """The words of an answer without sentence marks."""
    return _SENTENCE_MARKS.sub("", answer).strip()


@dataclass(frozen=True, slots=True)
class Heard:
    """An instance, and which characters [start, end) of the answer say its label and its location."""

    instance: Instance
    label_span: tuple[int, int]
    location_span: tuple[int, int]


def parse_answer(task: Task, answer: str, image_wh: tuple[int, int]) -> tuple[Instance, ...]:
    """Instances of an answer with locations, in order; whatever is incomplete in it is passed over.

    Made for what a model generates as well as for what `write_answer` wrote: any string is accepted.
    """
    return tuple(heard.instance for heard in hear_answer(task, _SENTENCE_MARKS.sub("", answer), image_wh))


def hear_answer(task: Task, answer: str, image_wh: tuple[int, int]) -> tuple[Heard, ...]:
    """The same with the place of each instance in an answer without sentence marks."""
    kind = TASKS[task].answer
    polygons = kind == "polygons" or (kind == "boxes_or_polygons" and "<poly>" in answer)
    found: list[Heard] = []
    said = 0
    for match in _PLACES.finditer(answer):
        words = answer[said : match.start()]
        first = said + (words.rfind("\n") if kind == "quads" else words.rfind("<")) + 1
        said = match.end()
        label = _label(task, answer[first : match.start()])
        if not label and kind not in UNLABELLED:
            continue
        if polygons:
            located = _parse_polygons(match[0], image_wh)
        elif kind == "quads":
            located = _cut(match[0], 8, image_wh)[:1]
        else:
            located = _cut(match[0], 4, image_wh)
        for shapes, (start, end) in located:
            place = (match.start() + start, match.start() + end)
            found.append(Heard(Instance(label, shapes), (first, match.start()), place))
    return tuple(found)


_Located = tuple[tuple[tuple[float, ...], ...], tuple[int, int]]
"""The shapes of one instance in pixels, and the characters of a run of tokens that say them."""


def _cut(run: str, size: int, image_wh: tuple[int, int]) -> list[_Located]:
    """The whole shapes of `size` numbers in a run of location tokens."""
    tokens = list(_LOCATION.finditer(run))
    wholes = [tokens[i : i + size] for i in range(0, len(tokens) - size + 1, size)]
    return [
        ((dequantise([int(token[1]) for token in of_shape], image_wh),), (of_shape[0].start(), of_shape[-1].end()))
        for of_shape in wholes
    ]


def _parse_polygons(run: str, image_wh: tuple[int, int]) -> list[_Located]:
    """Polygons of each instance in a run: of every `<poly>` pair, or of the run where there is none."""
    instances: list[_Located] = []
    for wrapped, place in [(match[1], match.span()) for match in _POLY.finditer(run)] or [(run, (0, len(run)))]:
        bins = [[int(q) for q in _LOCATION.findall(part)] for part in wrapped.split("<sep>")]
        polygons = tuple(dequantise(b[: len(b) // 2 * 2], image_wh) for b in bins if len(b) >= 6)
        if polygons:
            instances.append((polygons, place))
    return instances
