"""What a run sets in the environment before Prefect, Ray and clients start, and what stays as a user set it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from fld_engine.flows.errors import arguments_of
from fld_engine.flows.surroundings import give_prefect_a_home, pass_by_proxy


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.mark.parametrize("name", ["http_proxy", "HTTPS_PROXY", "all_proxy"])
def test_no_proxy_is_asked_for_this_machine(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(name, "http://proxy:3128")
    monkeypatch.setenv("no_proxy", "intern.example, 10.0.0.1")
    monkeypatch.setenv("NO_PROXY", "other.example")
    pass_by_proxy()
    pass_by_proxy()
    assert os.environ["no_proxy"] == os.environ["NO_PROXY"]
    assert set(os.environ["NO_PROXY"].split(",")) == {
        "other.example", "intern.example", "10.0.0.1", "localhost", "127.0.0.1", "::1",
    }  # fmt: skip


def test_without_a_proxy_nothing_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    pass_by_proxy()
    assert "NO_PROXY" not in os.environ
    monkeypatch.setenv("http_proxy", "http://proxy:3128")
    monkeypatch.setenv("NO_PROXY", "*")
    pass_by_proxy()
    assert os.environ["NO_PROXY"] == "*", "which is all hosts already"


@pytest.mark.parametrize("home", ["/dev/null/none", "/proc/none"])
def test_a_home_that_cannot_be_written_is_not_prefects(monkeypatch: pytest.MonkeyPatch, home: str) -> None:
    monkeypatch.setenv("PREFECT_HOME", "")
    monkeypatch.setenv("HOME", home)
    give_prefect_a_home()
    folder = Path(os.environ["PREFECT_HOME"])
    (folder / "file").write_text("can be written")
    give_prefect_a_home()
    assert Path(os.environ["PREFECT_HOME"]) == folder, "which serves the processes that this one starts, too"


def test_a_home_that_can_be_written_stays(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("PREFECT_HOME")
    monkeypatch.setenv("HOME", str(tmp_path / "new"))
    give_prefect_a_home()
    assert "PREFECT_HOME" not in os.environ
    monkeypatch.setenv("PREFECT_HOME", "/dev/null/theirs")
    give_prefect_a_home()
    assert os.environ["PREFECT_HOME"] == "/dev/null/theirs", "what a user asks for is not put aside"


def test_debug_is_heeded_before_a_double_dash_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLD_DEBUG", "")
    assert arguments_of(["explain", "--", "--debug"]) == ["explain", "--", "--debug"]
    assert not os.environ["FLD_DEBUG"]
    assert arguments_of(["explain", "--debug", "x"]) == ["explain", "x"]
    assert os.environ["FLD_DEBUG"] == "1"
