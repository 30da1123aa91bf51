from __future__ import annotations

from pathlib import Path

from tests.annotators.endpoint.cases import ONE, SOON, answered, badly, captioner, run, scene
from tests.annotators.endpoint.server import failed, said, serving


def test_a_spent_budget_fails_images_until_it_is_raised(tmp_path: Path) -> None:
    with serving(answered) as server:
        outcomes = run(captioner(server, tmp_path, max_requests=3, concurrency=2, **ONE), "abcdefgh")
        assert len(server.requests) == 3  # not one more, however many at once
        failures = {name for name, outcome in outcomes.items() if outcome.status == "failed"}
        assert len(failures) == 5
        assert all("budget max_requests=3 is spent (3)" in outcomes[name].reason for name in failures)
        again = run(captioner(server, tmp_path, max_requests=8, **ONE), "abcdefgh")  # `fld replay` with more
        assert all(outcome.status == "done" for outcome in again.values())
        assert len(server.requests) == 8  # what was answered is not asked again


def test_a_budget_of_tokens(tmp_path: Path) -> None:
    with serving(answered) as server:  # 100 tokens each
        model = captioner(server, tmp_path, max_tokens=250, concurrency=1, **ONE)
        outcomes = run(model, "abcdefgh")
        assert len(server.requests) == 3  # the request that reaches the limit is the last
    assert "budget max_tokens=250 is spent (300)" in outcomes["h"].reason


def test_workers_share_a_budget(tmp_path: Path) -> None:
    """Each reads what others have spent before a batch; retries count."""
    with serving(badly("a", failed(500, **SOON), times=1)) as server:
        first, second = (captioner(server, tmp_path, max_requests=4, **ONE) for _ in range(2))
        first.annotate([scene("a")])  # two requests
        second.annotate([scene("b")])
        outcomes = run(first, "cdef")
    assert sorted(outcome.status for outcome in outcomes.values()) == ["done", "failed", "failed", "failed"]
    assert len(server.requests) == 4
    assert len(list((tmp_path / "spent").iterdir())) == 2


def test_a_budget_of_tokens_needs_an_endpoint_that_counts(tmp_path: Path) -> None:
    with serving(lambda request, before: said("A dog.", num_tokens=None)) as server:
        outcomes = run(captioner(server, tmp_path, max_tokens=10**6, concurrency=1, **ONE), "abcd")
        assert len(server.requests) == 1
        assert [outcomes[name].status for name in "abcd"] == ["done", "failed", "failed", "failed"]  # one was paid for
        assert "set max_requests instead" in outcomes["b"].reason
        assert run(captioner(server, tmp_path, **ONE), "d")["d"].status == "done"


def test_a_bad_answer_costs_its_tokens(tmp_path: Path) -> None:
    with serving(lambda request, before: said(" ", num_tokens=200)) as server:
        run(captioner(server, tmp_path, max_tokens=250, concurrency=1, **ONE), "abcdefgh")
        assert len(server.requests) == 2
