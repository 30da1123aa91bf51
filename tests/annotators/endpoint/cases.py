"""What annotators that ask an endpoint are shown in tests, and what they are asked for."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from fld_engine.annotators.endpoint.captioner import EndpointCaptioner
from fld_engine.annotators.endpoint.verifier import EndpointVerifier
from fld_engine.engine.data.images import RGB
from fld_engine.engine.plan.protocols import Annotator, Sample
from fld_engine.engine.plan.tasks import Isolation
from fld_engine.engine.stages.annotate.batches import Outcome, Run, annotate_group
from fld_engine.schemas.annotations import Annotations, Phrase, PhraseRegion, RegionText
from tests.annotators.builders import line, text, thing
from tests.annotators.endpoint.server import MODEL, Reply, Server, said

Answering = Callable[[dict[str, Any], int], Reply]
SOON = {"retry_after_ms": "5"}
ONE = {"granularities": ["detailed"]}
DOG, BALL = (10.0, 20.0, 60.0, 80.0), (70.0, 60.0, 90.0, 80.0)


def answered(request: dict[str, Any], before: int) -> Reply:
    """A description, or yes to a question."""
    if request["max_tokens"] == 1:
        return said("Yes", ("Yes", 0.6), ("No", 0.2))
    words = "A dog on grass." if "30 words" in asked(request) else "A brown dog lies on grass. A ball is beside it."
    return said(words, *[(token, 0.25) for token in words.split()])


def asked(request: dict[str, Any]) -> str:
    content = request["messages"][0]["content"]
    return str(content if isinstance(content, str) else content[-1]["text"])


def about(request: dict[str, Any], name: str) -> bool:
    """Whether a request tells of the image of that name."""
    return f"Picture {name}." in asked(request)


def scene(name: str = "a", known: Annotations | None = None) -> Sample:
    """A dog and a ball on an image of 100 × 100 px."""
    pixels = np.full((100, 100, 3), 90, dtype=np.uint8)
    pixels[20:80, 10:60] = (120, 80, 40)
    return Sample(id=name, width=100, height=100, pixels=pixels, known=known or all_known(name))


def all_known(name: str = "a") -> Annotations:
    phrase = Phrase(
        id="p0", text_id="t", phrase="a dog", start=0, end=5, score=0.9,
        regions=(PhraseRegion(box_xyxy=DOG, score=0.9),),
    )  # fmt: skip
    return Annotations(
        texts=(text(f"Picture {name}."), text("An old description.", "d", "detailed")),
        regions=(thing("ball", BALL, 0.5, "r1"), thing("dog", DOG, 0.9, "r0"), line("REX", (20, 30, 40, 36), 0.8)),
        region_texts=(RegionText(region_id="r0", kind="brief", text="a brown dog", score=1.0),),
        phrases=(phrase,),
    )


def captioner(server: Server, root: Path | str | None, **params: Any) -> EndpointCaptioner:
    given = {"base_url": server.url, "model": MODEL, "max_retries": 2, **params}
    built = EndpointCaptioner(EndpointCaptioner.Params.model_validate(given))
    if root is not None:
        built.remember_at(str(root))
    built.load()
    return built


def verifier(server: Server, root: Path | str | None, **params: Any) -> EndpointVerifier:
    given = {"base_url": server.url, "model": MODEL, "max_retries": 2, **params}
    built = EndpointVerifier(EndpointVerifier.Params.model_validate(given))
    if root is not None:
        built.remember_at(str(root))
    built.load()
    return built


def names_in(text: str) -> list[str]:
    return [character for character in text if character.isalpha()]


class Images:
    """A partition of small images named by letters."""

    def __init__(self, names: str) -> None:
        self._names = names_in(names)

    def __len__(self) -> int:
        return len(self._names)

    def identity(self, index: int) -> tuple[str, int, int]:
        return self._names[index], 100, 100

    def twin_group(self, index: int) -> str:
        return self._names[index]

    def pixels(self, index: int) -> RGB:
        pixels = scene().pixels
        assert pixels is not None
        return pixels


def run(annotator: Annotator, names: str) -> dict[str, Outcome]:
    """What the engine makes of an annotator on a partition of images: outcomes by name."""
    done = Run("caption", annotator, {name: all_known(name) for name in names_in(names)}, {})
    annotate_group([done], Images(names), 0, Isolation(), lambda span, finished: None)  # type: ignore[arg-type]
    return dict(zip(names_in(names), (done.outcomes[i] for i in range(len(names))), strict=True))


def badly(bad: str, reply: Reply, times: int = 10**6) -> Answering:
    """The first `times` requests about one image get that reply; all else is answered."""

    def answer(request: dict[str, Any], before: int) -> Reply:
        return reply if about(request, bad) and before < times else answered(request, before)

    return answer
