"""How a group of annotators goes through a partition: what is decoded when, and how much of it is held."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence

import numpy as np
import pytest

from fld_engine.annotators.composed.fake import FakeAnnotator
from fld_engine.engine.data.images import RGB
from fld_engine.engine.plan.protocols import Sample
from fld_engine.engine.plan.tasks import Isolation
from fld_engine.engine.stages.annotate.batches import Run, annotate_group
from fld_engine.engine.stages.annotate.decode import AHEAD_BYTES
from fld_engine.schemas.annotations import Annotations

LIMIT_S = 10.0


class Images:
    """A partition of `num` images of a stated size that remembers which were decoded; all are shown 2 px high."""

    def __init__(self, num: int, wh: tuple[int, int] = (3, 2)) -> None:
        self._num, self._wh = num, wh
        self.decoded: set[int] = set()
        self.changed = threading.Condition()

    def __len__(self) -> int:
        return self._num

    def identity(self, index: int) -> tuple[str, int, int]:
        return f"{index:032x}", *self._wh

    def twin_group(self, index: int) -> str:
        return self.identity(index)[0]

    def pixels(self, index: int) -> RGB:
        with self.changed:
            self.decoded.add(index)
            self.changed.notify_all()
        return np.zeros((2, 3, 3), dtype=np.uint8)


class Watching(FakeAnnotator):
    """Looks at what is decoded while it has a batch."""

    def __init__(self, batch_size: int, look: Callable[[Sequence[Sample]], None]) -> None:
        super().__init__(FakeAnnotator.Params())
        self.batch_size, self._look = batch_size, look

    def annotate(self, batch: Sequence[Sample]) -> Sequence[Annotations]:
        self._look(batch)
        return super().annotate(batch)


def annotate(annotator: FakeAnnotator, images: Images) -> None:
    run = Run("watching", annotator, {}, {})
    annotate_group([run], images, 0, Isolation(), lambda span, done: None)  # type: ignore[arg-type]
    assert {outcome.status for outcome in run.outcomes.values()} == {"done"}, run.outcomes[0].reason


@pytest.mark.parametrize("size", [1, 5, 20])
def test_the_next_batch_is_decoded_while_the_model_has_one(size: int) -> None:
    """The model waits for it: otherwise a device would stand still while a batch is decoded."""
    images = Images(3 * size)

    def look(batch: Sequence[Sample]) -> None:
        next_but_one = min(len(images), int(batch[-1].id, 16) + size)  # but one: it is decoded when asked for
        with images.changed:
            assert images.changed.wait_for(lambda: len(images.decoded) >= next_but_one, LIMIT_S)

    annotate(Watching(size, look), images)


def test_large_images_are_decoded_ahead_only_as_far_as_memory_has_room() -> None:
    """Two of a quarter of it each, beyond which comes what makes it full: never a whole batch of them."""
    side = int((AHEAD_BYTES / 4 / 3) ** 0.5)
    images = Images(40, (side, side))

    def look(batch: Sequence[Sample]) -> None:
        time.sleep(0.05)
        assert len(images.decoded) <= int(batch[-1].id, 16) + 1 + 5

    annotate(Watching(10, look), images)


class Cramped(FakeAnnotator):
    """Runs out of memory at its second batch, and goes on with smaller ones."""

    batches = 0

    @property
    def reduced(self) -> bool:
        return self.batches > 1

    def annotate(self, batch: Sequence[Sample]) -> Sequence[Annotations]:
        self.batches += 1
        return super().annotate(batch)


def test_images_of_batches_that_were_cut_for_want_of_memory_are_told_apart() -> None:
    """Another batch size may change the last digits: whoever compares two runs must know which images it was."""
    run = Run("cramped", Cramped(FakeAnnotator.Params(batch_size=2)), {}, {})
    annotate_group([run], Images(4), 0, Isolation(), lambda span, done: None)  # type: ignore[arg-type]
    assert [run.outcomes[index].isolated for index in range(4)] == [False, False, True, True]
