"""From lost workers to the guilty sample, however often workers die and wherever the poison is."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from fld_engine.engine.plan.tasks import Isolation, Span
from fld_engine.engine.run.isolation import isolate


def attempt(num_images: int, batch: int, poison: set[int], isolation: Isolation) -> Span | None:
    """A worker that dies on poison: where it was lost, or None. Suspects go first, then the whole batches."""
    condemned = {span.start for span, _ in isolation.condemned}
    spans = [
        *isolation.suspects,
        *(Span(step="s", start=a, stop=min(a + batch, num_images)) for a in range(0, num_images, batch)),
    ]
    done: set[int] = set()
    for span in spans:
        todo = set(range(span.start, span.stop)) - condemned - done
        if todo & poison:
            return Span(step="s", start=min(todo), stop=max(todo) + 1)
        done |= todo
    return None


@given(st.integers(1, 40), st.integers(1, 16), st.sets(st.integers(0, 39), max_size=4))
def test_exactly_the_poison_is_condemned(num_images: int, batch: int, poison: set[int]) -> None:
    poison = {p for p in poison if p < num_images}
    isolation, losses = Isolation(), Counter[Span]()
    for _ in range(500):
        lost = attempt(num_images, batch, poison, isolation)
        if lost is None:
            break
        losses[lost] += isolation.careful
        isolation = isolate(isolation, lost, "process", losses)
    assert {span.start for span, _ in isolation.condemned} == poison
    assert all(reason == "killed_worker" for _, reason in isolation.condemned)


@given(st.integers(1, 40), st.integers(1, 16), st.integers(0, 39), st.data())
def test_what_was_heard_last_before_the_first_loss_changes_nothing(
    num_images: int, batch: int, poison: int, data: st.DataObject
) -> None:
    """A dying actor takes its last words along, a pipe keeps them: both runners must end with the same rows."""
    ends = []
    for _ in range(2):
        isolation, losses = Isolation(), Counter[Span]()
        while (lost := attempt(num_images, batch, {poison}, isolation)) is not None:
            heard = lost
            if not isolation.careful:
                start = data.draw(st.integers(0, num_images - 1))
                heard = Span(step="s", start=start, stop=min(start + batch, num_images))
            losses[heard] += isolation.careful
            isolation = isolate(isolation, heard, "process", losses)
        ends.append(isolation)
    assert ends[0] == ends[1]


def test_a_single_image_is_condemned_by_two_careful_losses_and_no_less() -> None:
    span = Span(step="s", start=3, stop=4)
    losses = Counter[Span]()
    first = isolate(Isolation(), span, "hung", losses)
    assert first == Isolation(careful=True)
    losses[span] += 1
    second = isolate(first, span, "hung", losses)
    assert second == Isolation(careful=True, suspects=(span,))
    losses[span] += 1
    assert isolate(second, span, "hung", losses).condemned == ((span, "hung_worker"),)


def test_a_loss_outside_of_any_image_blames_none() -> None:
    careful = isolate(Isolation(), None, "process", Counter())
    assert careful == Isolation(careful=True)
    assert isolate(careful, None, "process", Counter()) == careful
