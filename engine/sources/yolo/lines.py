"""YOLO: a text file of lines beside each image, with class numbers and fractions of the image as it is shown.

Lines of five numbers are boxes (Darknet; ultralytics `detect`). Longer ones are polygons (`segment`), four corners of a
turned box (`obb`), or a box with its keypoints (`pose`); a number more is the score of a model. Which they are is told
from how many numbers the lines of the whole source have, where that leaves one answer.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import yaml

from fld_engine.engine.sources.item import PassedOver, Rejected
from fld_engine.engine.sources.regions.marks import Mark
from fld_engine.engine.sources.regions.place import xywh_of
from fld_engine.engine.sources.texts import clean_text
from fld_engine.engine.sources.values import finite, whole
from fld_engine.schemas.annotations import Source

Task = Literal["detect", "segment", "obb", "pose"]
NAME_FILES = ("classes.txt", "obj.names", "classes.names", "_darknet.labels")
"""Files with a class a line: of labelImg and Label Studio, of CVAT, of Darknet, of Roboflow."""
SIDES = 5
"""Numbers of a line that is a box: its class, centre and size."""
CORNERS = 9
"""Numbers of a line that is either a turned box or a polygon of four corners."""
BEYOND = 0.01
"""How far a fraction may leave 0 to 1, which is then cut: what rounding and drawing over the edge come to."""


@dataclass(frozen=True, slots=True)
class Lines:
    """How lines are to be read; `keypoints` are (how many, numbers of each), `scored` that a score ends each line."""

    task: Task
    scored: bool = False
    keypoints: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True)
class DataFile:
    """What a `data.yaml` says: class names by number, keypoints of a pose."""

    names: Mapping[int, str]
    keypoints: tuple[int, int] | None = None


def parse_data_file(text: str) -> DataFile:
    """A `data.yaml`. Raises `ValueError` where it is none that names classes."""
    try:
        tree = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ValueError(f"not YAML: {error}") from error
    names = tree.get("names") if isinstance(tree, dict) else None
    if isinstance(names, list):
        names = dict(enumerate(names))
    if not isinstance(names, dict):
        raise ValueError("it has no names: expected a list of classes, or their names by number")
    shape = tree.get("kpt_shape")
    is_shape = isinstance(shape, list) and len(shape) == 2 and all(type(value) is int for value in shape)
    numbered = {whole(key): clean_text(str(name)) for key, name in names.items()}
    return DataFile(
        {key: name for key, name in numbered.items() if key is not None and name},
        (shape[0], shape[1]) if is_shape else None,
    )


def parse_names(text: str) -> dict[int, str]:
    """A class a line, numbered from 0; empty lines count."""
    return {index: name for index, line in enumerate(text.splitlines()) if (name := clean_text(line))}


def how_written(
    widths: Collection[int], task: Task | Literal[""], keypoints: tuple[int, int] | None, *, scored: bool
) -> Lines:
    """How lines that have so many numbers are to be read; `scored` says that they are a model's.

    `widths` are all that occur in the source. Raises `ValueError` with what to set where that is not certain.
    """
    given: Task | Literal[""] = task or ("pose" if keypoints else "")
    if given == "pose" and keypoints is None:
        raise ValueError("lines of a pose need kpt_shape in the data.yaml, which says how many keypoints a box has")
    extra = 1 if scored else 0
    plain = {width - extra for width in widths}
    if given:
        return Lines(given, _has_score(widths, given, keypoints, scored=scored), keypoints)
    if plain <= {SIDES}:
        return Lines("detect", scored)
    if set(widths) <= {SIDES, SIDES + 1} and not scored:
        raise ValueError(
            "lines have a sixth number, the score of a model: set made_by on the source to its name, so that its "
            "boxes are not taken for a person's"
        )
    if all(width % 2 for width in plain) and min(plain) >= SIDES:
        if plain <= {SIDES, CORNERS}:
            raise ValueError(
                "lines of nine numbers are polygons of four corners or turned boxes: set params.task to segment or obb"
            )
        return Lines("segment", scored)
    counts = ", ".join(map(str, sorted(widths)))
    raise ValueError(
        f"lines have {counts} numbers, which no task alone explains: set params.task to one of detect, segment, obb, "
        "pose, and made_by on the source where the last number is the score of a model"
    )


def _has_score(widths: Collection[int], task: Task, keypoints: tuple[int, int] | None, *, scored: bool) -> bool:
    """Whether lines of a known task end in a score. Raises `ValueError` where they do, and nobody is named."""
    plain = {"detect": SIDES, "obb": CORNERS, "pose": SIDES + keypoints[0] * keypoints[1] if keypoints else SIDES}
    with_score = any(width % 2 == 0 for width in widths) if task == "segment" else plain[task] + 1 in widths
    if with_score and not scored:
        raise ValueError(
            f"lines of task {task} have a number more than it needs, the score of a model: set params.made_by to its "
            "name, so that what it found is not taken for a person's"
        )
    return with_score


def parse_lines(
    text: str, uri: str, lines: Lines, names: Mapping[int, str], image_wh: tuple[int, int], source: Source
) -> Iterator[Mark | Rejected | PassedOver]:
    """The marks of one label file in pixels of an image of `image_wh`, and why a line is none."""
    for line_number, line in enumerate(text.splitlines(), 1):
        if values := line.split():
            yield from _line(values, f"{uri}#line/{line_number}", lines, names, image_wh, source)


def _line(
    values: Sequence[str],
    uri: str,
    lines: Lines,
    names: Mapping[int, str],
    image_wh: tuple[int, int],
    source: Source,
) -> Iterator[Mark | Rejected | PassedOver]:
    name = names.get(-1 if (index := whole(values[0])) is None else index)
    if name is None:
        detail = f"class {values[0]!r} is not among the {len(names)} that are named"
        yield Rejected(uri=uri, reason="dangling_id", detail=detail, what="annotation")
        return
    try:
        numbers = [finite(value) for value in values[1:]]
        score = numbers.pop() if lines.scored else 1.0
        record, num_keypoints = _record(numbers, lines, image_wh)
    except (ValueError, IndexError) as error:
        yield Rejected(uri=uri, reason="box_malformed", detail=f"{name!r}: {error}", what="annotation")
        return
    if num_keypoints:
        yield PassedOver(uri=uri, reason="form_not_read", detail="keypoints", what="annotation", number=num_keypoints)
    if lines.task == "obb":
        yield PassedOver(uri=uri, reason="box_rotated_as_outline", what="annotation")
    yield Mark(uri, name, record, source, score, score)


def _record(numbers: list[float], lines: Lines, image_wh: tuple[int, int]) -> tuple[dict[str, Any], int]:
    """COCO's fields of a line without its class and score, and how many keypoints it has. Raises `ValueError`."""
    width, height = image_wh
    num_points, num_values = lines.keypoints or (0, 0)
    is_box = len(numbers) == SIDES - 1 and lines.task in ("detect", "segment")
    if not is_box and lines.task == "detect":
        raise ValueError(f"{len(numbers) + 1} numbers; a box has {SIDES}")
    if lines.task == "pose" and len(numbers) != SIDES - 1 + num_points * num_values:
        raise ValueError(
            f"{len(numbers) + 1} numbers; {num_points} keypoints of {num_values} numbers need another count"
        )
    if lines.task == "obb" and len(numbers) != CORNERS - 1:
        raise ValueError(f"{len(numbers) + 1} numbers; a turned box has {CORNERS}")
    places = numbers[: SIDES - 1] if lines.task == "pose" else numbers
    if any(not -BEYOND <= value <= 1 + BEYOND for value in places):
        raise ValueError(f"{places} are no fractions of the image's size")
    if is_box or lines.task == "pose":
        x, y, w, h = places
        corners = (x - w / 2) * width, (y - h / 2) * height, (x + w / 2) * width, (y + h / 2) * height
        return {"bbox": xywh_of(corners)}, num_points if lines.task == "pose" else 0
    if len(places) % 2 or len(places) < 6:
        raise ValueError(f"{len(places)} numbers are no polygon of three or more x y pairs")
    points = [value * (height if index % 2 else width) for index, value in enumerate(places)]
    return {"segmentation": [points]}, 0
