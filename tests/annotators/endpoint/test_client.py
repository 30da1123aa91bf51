"""What an endpoint may do to us, and what it costs."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest

from fld_engine.annotators.endpoint.answers import GarbledAnswer
from fld_engine.annotators.endpoint.captioner import EndpointCaptioner
from fld_engine.schemas.errors import ModelError
from tests.annotators.endpoint.cases import (
    ONE,
    SOON,
    about,
    all_known,
    answered,
    badly,
    captioner,
    run,
    scene,
    verifier,
)
from tests.annotators.endpoint.server import Reply, Server, failed, said, serving
from tests.waiting import PATIENCE_S

LIMIT_S = 3.0
"""For a request. The one that is answered at once must keep it on a busy machine too."""


@pytest.mark.parametrize(
    "reply",
    [
        failed(408, **SOON),
        failed(409, **SOON),
        failed(429, **SOON),
        failed(500, **SOON),
        failed(503, **SOON),
        Reply(close=True),  # the connection breaks
        Reply(wait_s=2 * LIMIT_S),  # slower than the limit
        Reply(body="x" * 200, drip_s=LIMIT_S / 50),  # never silent for long, and yet not done in time
    ],
    ids=["408", "409", "429", "500", "503", "broken", "slow", "dripping"],
)
def test_what_passes_is_tried_again(reply: Reply, tmp_path: Path) -> None:
    with serving(badly("a", reply, times=1)) as server:
        found = captioner(server, tmp_path, timeout_s=LIMIT_S, **ONE).annotate([scene()])
        assert len(server.requests) == 2
    assert [text.text for text in found[0].texts] == ["A dog on grass."]


def test_retry_after_is_waited_for_and_has_a_ceiling(tmp_path: Path) -> None:
    """A server that wants to be left alone for an hour fails its image now; it does not stop a worker for an hour."""
    with serving(badly("a", failed(429, "slow down", retry_after="3600"))) as server:
        outcomes = run(captioner(server, tmp_path, **ONE), "ab")
        assert len([r for r in server.requests if about(r, "a")]) == 1
    assert outcomes["a"].reason.startswith("NoAnswer: RateLimitError: ")
    assert "slow down" in outcomes["a"].reason
    assert outcomes["b"].status == "done"


@pytest.mark.parametrize(
    ("reply", "num_tries", "reason"),
    [
        (failed(503, "overloaded", **SOON), 3, "NoAnswer: InternalServerError: Error code: 503"),
        (failed(400, "too long"), 1, "NoAnswer: BadRequestError: Error code: 400"),
        (Reply(body="<html>"), 1, "GarbledAnswer: not JSON"),
        (Reply(body='{"choices": ['), 1, "GarbledAnswer: not JSON"),
        (Reply(body='{"choices": [], "x": NaN}'), 1, "GarbledAnswer: not JSON (NaN is no JSON number)"),
        (Reply(body="[]"), 1, "GarbledAnswer: not a chat completion: '[]'"),
        (Reply(body='{"error": "oops"}'), 1, "GarbledAnswer: not a chat completion: choices: Field required"),
        (
            Reply(body='{"choices": [{"message": {"content": 7}}]}'),
            1,
            "GarbledAnswer: not a chat completion: choices.0",
        ),
        (said("x", ("x", 1e300)), 1, "GarbledAnswer: not a chat completion: choices.0.logprobs.content.0.logprob"),
        (said("  \n", finish="content_filter"), 1, "GarbledAnswer: empty answer (finish_reason 'content_filter')"),
    ],
    ids=["503", "400", "html", "half", "nan", "list", "error", "number", "logprob", "empty"],
)
def test_a_bad_answer_is_the_failure_of_one_image(reply: Reply, num_tries: int, reason: str, tmp_path: Path) -> None:
    """The engine halves a batch until the guilty image stands alone: that must not cost a single request."""
    with serving(badly("c", reply)) as server:
        model = captioner(server, tmp_path, **ONE)
        outcomes = run(model, "abcdefgh")
        assert {name for name, outcome in outcomes.items() if outcome.status == "failed"} == {"c"}
        assert outcomes["c"].reason.startswith(reason)
        assert [len([r for r in server.requests if about(r, name)]) for name in "abcdefgh"] == [
            num_tries if name == "c" else 1 for name in "abcdefgh"
        ]
        server.answer = answered  # a replay in the same worker tries again
        assert run(model, "c")["c"].status == "done"


def test_equal_questions_are_sent_once(tmp_path: Path) -> None:
    """Phrases of several texts often are the same words on the same boxes."""
    phrase = all_known().phrases[0]
    same = tuple(phrase.model_copy(update={"id": f"p{i}"}) for i in range(4))
    with serving(answered) as server:
        known = all_known().model_copy(update={"phrases": same})
        found = verifier(server, tmp_path, questions=["complete"]).annotate([scene(known=known)])
        assert len(server.requests) == 1
    assert [check.subject_id for check in found[0].checks] == ["p0", "p1", "p2", "p3"]


def test_requests_are_sent_side_by_side_and_no_more_than_allowed(tmp_path: Path) -> None:
    three = threading.Barrier(3)

    def slowly(request: dict[str, Any], before: int) -> Reply:
        three.wait(timeout=PATIENCE_S)  # until as many are under way
        reply = answered(request, before)
        reply.wait_s = 0.05  # time for one too many to arrive
        return reply

    with serving(slowly) as server:
        captioner(server, tmp_path, concurrency=3).annotate([scene(name) for name in "abcdef"])
    assert server.most_at_once == 3


def test_a_failure_raises_after_all_others_were_answered(tmp_path: Path) -> None:
    """What was paid for is kept, though the batch as a whole fails."""
    with serving(badly("a", Reply(body="{}"))) as server:
        model = captioner(server, tmp_path, **ONE)
        with pytest.raises(GarbledAnswer):
            model.annotate([scene(name) for name in "abcde"])
        assert sorted(path.name for path in tmp_path.iterdir()) == ["b", "c", "d", "e", "spent"]


# ------------------------------------------------------------------------------------------ an endpoint that refuses


def refusal(server: Server, root: Path, **params: Any) -> str:
    with pytest.raises(ModelError) as caught:
        captioner(server, root, **params)
    return str(caught.value)


def test_what_is_wrong_is_said_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WRONG_KEY", "sk-wrong")
    monkeypatch.delenv("NO_KEY", raising=False)
    with serving(answered) as server:
        assert "does not serve model 'org/chta'; it serves: org/chat, org/other" in refusal(
            server, tmp_path, model="org/chta"
        )
        server.key = "sk-right"
        said_of_no_key = refusal(server, tmp_path)
        said_of_wrong = refusal(server, tmp_path, key_variable="WRONG_KEY")
        assert "environment variable NO_KEY, which key_variable names, is not set" in refusal(
            server, tmp_path, key_variable="NO_KEY"
        )
    assert "name a variable with a key as key_variable" in said_of_no_key
    assert "401" in said_of_wrong
    assert "check the key in environment variable WRONG_KEY" in said_of_wrong
    assert "sk-wrong" not in said_of_wrong  # though the server repeats it
    assert f"endpoint {server.url} cannot be used: APIConnectionError" in refusal(server, tmp_path)
    assert not server.requests


def test_a_refusal_on_the_way_costs_one_request(tmp_path: Path) -> None:
    """A key that is taken away, a model that is replaced: every image fails with the reason, none is asked about."""
    with serving(lambda request, before: failed(404, "gone")) as server:
        outcomes = run(captioner(server, tmp_path, concurrency=1), "abcdefgh")
        assert len(server.requests) == 1
    assert all("does not serve model 'org/chat'; it serves: org/chat" in o.reason for o in outcomes.values())


def test_an_image_that_is_moderated_does_not_stop_the_others(tmp_path: Path) -> None:
    with serving(badly("c", failed(403, "flagged"))) as server:
        outcomes = run(captioner(server, tmp_path, concurrency=1, **ONE), "abcd")
    assert [outcomes[name].status for name in "abcd"] == ["done", "done", "failed", "done"]
    assert "403" in outcomes["c"].reason


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"base_url": "host:8000/v1"}, "expected an address such as"),
        ({"base_url": "http://user:secret@host/v1"}, "an address holds no secrets"),
        ({"key_variable": "sk-proj-1234"}, "should match pattern"),  # a key where the name of a variable belongs
    ],
)
def test_parameters_that_cannot_be_meant(given: dict[str, str], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        EndpointCaptioner.Params.model_validate({"base_url": "http://host/v1", "model": "m", **given})
