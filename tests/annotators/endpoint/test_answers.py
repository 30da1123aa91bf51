"""What was answered once is kept, and never asked for again."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest

from fld_engine.annotators.endpoint.service import NoAnswer
from tests.annotators.endpoint.cases import ONE, answered, captioner, scene
from tests.annotators.endpoint.server import serving


def test_answers_are_kept_and_given_again_without_a_network(tmp_path: Path) -> None:
    scenes = [scene(name) for name in "abcde"]
    with serving(answered) as server:
        first = captioner(server, tmp_path).annotate(scenes)
        assert len(server.requests) == 10
        assert captioner(server, tmp_path).annotate(scenes) == first
        assert len(server.requests) == 10
    offline = captioner(server, tmp_path)  # the server is gone
    assert offline.annotate(scenes) == first
    with pytest.raises(NoAnswer, match="APIConnectionError"):
        offline.annotate([scene("f")])


def test_another_request_is_another_answer(tmp_path: Path) -> None:
    """Whatever could change the answer asks anew: what is known, the prompt's limits, seed, view, what is served."""
    with serving(answered) as server:
        captioner(server, tmp_path, **ONE).annotate([scene()])
        for change in ({"seed": 1}, {"max_regions": 1}, {"max_side": 64}, {"revision": "b"}, {"extra": {"top_k": 1}}):
            before = len(server.requests)
            captioner(server, tmp_path, **ONE, **change).annotate([scene()])
            assert len(server.requests) == before + 1, change
        before = len(server.requests)
        captioner(server, tmp_path, **ONE, concurrency=2, timeout_s=9, max_tokens=10**6).annotate([scene()])
        assert len(server.requests) == before


def test_what_is_kept_is_whole_and_holds_neither_image_nor_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    monkeypatch.setenv("ENDPOINT_KEY", "sk-secret")
    monkeypatch.setenv("OPENAI_API_KEY", "sk-other")
    monkeypatch.setenv("OPENAI_ADMIN_KEY", "sk-admin")
    monkeypatch.setenv("OPENAI_ORG_ID", "org-other")
    monkeypatch.setenv("OPENAI_PROJECT_ID", "project-other")
    with serving(answered) as server:
        server.key = "sk-secret"
        model = captioner(server, tmp_path, key_variable="ENDPOINT_KEY", **ONE)
        model.annotate([scene("0123abcd")])
    assert not [
        value for headers in server.headers for value in headers.values() if "other" in value or "admin" in value
    ]
    (kept,) = (tmp_path / "0123abcd").iterdir()
    stored = json.loads(kept.read_text())
    assert stored["request"]["image"] == {"image": "0123abcd", "max_side": 1024, "crop_xyxy": None, "marks_xyxy": []}
    assert stored["answer"]["choices"][0]["message"]["content"] == "A dog on grass."
    assert stored["usage"]["total_tokens"] == 100
    written = "".join(path.read_text() for path in tmp_path.rglob("*") if path.is_file())
    assert "base64" not in written
    for text in (written, model.params.model_dump_json(), model.model.model_dump_json(), caplog.text):
        assert "sk-secret" not in text


def test_a_kept_answer_that_cannot_be_read_is_asked_for_again(tmp_path: Path) -> None:
    with serving(answered) as server:
        captioner(server, tmp_path, **ONE).annotate([scene()])
        (kept,) = (tmp_path / "a").iterdir()
        kept.write_text("{")
        found = captioner(server, tmp_path, **ONE).annotate([scene()])
        assert len(server.requests) == 2
    assert found[0].texts[0].text == "A dog on grass."
    assert json.loads(kept.read_text())["usage"]


def test_answers_are_kept_on_an_object_store() -> None:
    """Anything that fsspec opens; here its own file system in memory."""
    with serving(answered) as server:
        first = captioner(server, "memory://answers-of-a-root").annotate([scene()])
        assert captioner(server, "memory://answers-of-a-root").annotate([scene()]) == first
        assert len(server.requests) == 2
