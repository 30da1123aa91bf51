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
        isolation = isolate(isolation, lost, "killed", losses)
    assert {span.start for span, _ in isolation.condemned} == poison
    assert all(reason == "killed_worker" for _, reason in isolation.condemned)


def test_a_single_image_is_condemned_by_two_careful_losses_and_no_less() -> None:
    span = Span(step="s", start=3, stop=4)
    losses = Counter[Span]()
    first = isolate(Isolation(), span, "hung", losses)
    assert first == Isolation(careful=True, suspects=(span,))
    losses[span] += 1
    second = isolate(first, span, "hung", losses)
    assert second.condemned == ()
    losses[span] += 1
    assert isolate(second, span, "hung", losses).condemned == ((span, "hung_worker"),)


def test_a_worker_lost_with_its_last_words_unheard_is_followed_by_a_careful_one() -> None:
    assert isolate(Isolation(), None, "killed", Counter()) == Isolation(careful=True)
