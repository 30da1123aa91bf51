"""What the annotators of a group cost is told apart, and nothing of it is lost or counted twice."""

from __future__ import annotations

import copy
import pickle
from concurrent.futures import ThreadPoolExecutor

import pytest

from fld_engine.annotators.composed.fake import FakeAnnotator
from fld_engine.engine.data.traffic import Moved, Traffic
from fld_engine.engine.stages.annotate.spending import Spending


class Chat(FakeAnnotator):
    """An annotator that asks a service."""

    num_requests = 0


def test_shares_make_up_the_whole() -> None:
    traffic = Traffic()
    traffic.add(read_bytes=1000)  # of an earlier task
    spending = Spending(["a", "b", "c"], traffic)
    chat = Chat()
    chat.num_requests = 40  # asked in an earlier task
    with spending.of("a"):
        traffic.add(read_bytes=5, requests=1)
    spending.begin("a", chat)
    traffic.add(read_bytes=100)  # images, which all of them see
    chat.num_requests = 47
    spending.end("a", chat, seconds=0.0)
    spending.end("b", FakeAnnotator(), seconds=0.0)
    with spending.of("b"):
        traffic.add(written_bytes=9)
    shares = spending.shares()
    assert {name: share.read_bytes for name, share in shares.items()} == {"a": 5 + 34, "b": 33, "c": 33}
    assert sum(share.read_bytes for share in shares.values()) == 105
    assert {name: share.written_bytes for name, share in shares.items()} == {"a": 0, "b": 9, "c": 0}
    assert {name: share.questions for name, share in shares.items()} == {"a": 7, "b": 0, "c": 0}
    assert {name: share.requests for name, share in shares.items()} == {"a": 1, "b": 0, "c": 0}


def test_traffic_of_threads_adds_up_and_a_copy_elsewhere_begins_at_nothing() -> None:
    traffic = Traffic()
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: [traffic.add(read_bytes=1) for _ in range(1000)], range(4)))
    assert traffic.moved() == Moved(read_bytes=4000)
    assert pickle.loads(pickle.dumps(traffic)).moved() == copy.copy(traffic).moved() == Moved()


@pytest.mark.parametrize("annotator", [FakeAnnotator()])
def test_an_annotator_that_asks_nobody_has_asked_nothing(annotator: FakeAnnotator) -> None:
    spending = Spending(["a"], Traffic())
    spending.begin("a", annotator)
    spending.end("a", annotator, seconds=2.0)
    assert spending.shares()["a"].questions == 0
