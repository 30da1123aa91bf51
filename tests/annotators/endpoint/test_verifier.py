from __future__ import annotations

import base64
import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from fld_engine.annotators.endpoint.answers import GarbledAnswer
from fld_engine.schemas.annotations import Annotations, Source
from tests.annotators.endpoint.cases import answered, asked, scene, verifier
from tests.annotators.endpoint.server import Reply, said, serving


def image_of(request: dict[str, Any]) -> np.ndarray[Any, Any]:
    url = request["messages"][0]["content"][0]["image_url"]["url"].removeprefix("data:image/jpeg;base64,")
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(url))), dtype=int)


def test_every_region_and_phrase_is_asked_about_once(tmp_path: Path) -> None:
    with serving(answered) as server:
        model = verifier(server, tmp_path)
        found = model.annotate([scene()])
    assert [(c.subject_id, c.question, c.score) for c in found[0].checks] == [
        ("r0", "holds", 0.75),  # 0.6 / (0.6 + 0.2), the surest region first
        ("line REX", "holds", 0.75),
        ("r1", "holds", 0.75),
        ("p0", "complete", 0.75),
    ]
    questions = "\n".join(sorted(map(asked, server.requests)))
    assert questions.count('{"label": "dog"}') == 1
    assert questions.count('{"text": "REX"}') == 1
    assert questions.count('{"phrase": "a dog"}') == 1
    assert all(request["max_tokens"] == 1 for request in server.requests)


def test_a_region_is_marked_in_its_surroundings(tmp_path: Path) -> None:
    with serving(answered) as server:
        verifier(server, tmp_path, questions=["holds"], max_regions=1).annotate([scene()])
    image = image_of(server.requests[0])
    assert image.shape == (100, 85, 3)  # half of 50 × 60 px on every side, as far as there is image
    red = (image[..., 0] > 180) & (image[..., 1] < 90)
    assert red[50, 8:11].any()  # the left side, at x = 10
    assert red[50, 59:62].any()
    assert not red[50, 20:50].any()  # nothing is drawn over what it is about


def test_a_phrase_has_all_its_boxes_marked_on_the_whole_image(tmp_path: Path) -> None:
    with serving(answered) as server:
        verifier(server, tmp_path, questions=["complete"]).annotate([scene()])
    assert image_of(server.requests[0]).shape == (100, 100, 3)


@pytest.mark.parametrize(
    ("reply", "score"),
    [
        (said("No", ("No", 0.5), (" no", 0.25), ("Yes", 0.25)), 0.25),  # ways to write the same count together
        (said("Yes", ("Yes", 0.9), ("Maybe", 0.1)), 1.0),
        (said("no."), 0.0),  # without probabilities, the answer itself
        (said(" Yes"), 1.0),
    ],
)
def test_score(reply: Reply, score: float, tmp_path: Path) -> None:
    with serving(lambda request, before: reply) as server:
        found = verifier(server, tmp_path, questions=["complete"]).annotate([scene()])
    assert found[0].checks[0].score == score


@pytest.mark.parametrize("reply", [said("Perhaps", ("Perhaps", 0.9), ("It", 0.1)), said("Perhaps")])
def test_neither_yes_nor_no_is_a_failure(reply: Reply, tmp_path: Path) -> None:
    with (
        serving(lambda request, before: reply) as server,
        pytest.raises(GarbledAnswer, match="expected yes or no as the first word of the answer, got 'perhaps'"),
    ):
        verifier(server, tmp_path).annotate([scene()])


def test_work_set(tmp_path: Path) -> None:
    """What people said is not doubted; at most so many questions are asked; no question, no request."""
    known = scene().known
    person = Source(annotator="human", model="human", revision="")
    drawn = known.regions[1].model_copy(update={"source": person})
    shown = known.model_copy(update={"regions": (known.regions[0], drawn, known.regions[2])})
    with serving(answered) as server:
        model = verifier(server, tmp_path, max_regions=1, max_phrases=0)
        found = model.annotate([scene(known=shown), scene("b", Annotations())])
        assert [[c.subject_id for c in of_image.checks] for of_image in found] == [["line REX"], []]
        assert len(server.requests) == 1
        only = verifier(server, tmp_path, questions=["complete"])
    assert (model.requires, only.requires) == ({"pixels", "objects", "groundings"}, {"pixels", "groundings"})
    assert (model.optional, only.optional) == ({"scene_text"}, set())
