"""Log lines for people and for programs: what they are about, at the level asked for, without credentials."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest

from fld_engine.engine.run.logs import OURS, PROGRESS, JsonLines, TextLines, about, context
from fld_engine.engine.run.messages import Said
from fld_engine.engine.run.said import MAX_ALIKE, retell, tell_driver
from tests.waiting import PATIENCE_S

SAY = """
import logging
from fld_engine.engine.run.logs import configure_logging
from fld_engine.schemas.errors import FldError
try:
    configure_logging()
except FldError as error:
    raise SystemExit(str(error))
for name in ("fld_engine.progress", "fld_engine.x", "someone.else", "httpx", "prefect.flow_runs"):
    for level in ("DEBUG", "INFO", "WARNING"):
        logging.getLogger(name).log(logging.getLevelName(level), "%s", level)
"""


def said(**environment: str) -> list[str]:
    """What a process says at three levels by five loggers: `LEVEL NAME` a line."""
    done = subprocess.run(
        [sys.executable, "-c", SAY], capture_output=True, text=True, env=environment, timeout=PATIENCE_S, check=False
    )
    return done.stderr.splitlines()


def test_progress_is_heard_and_all_else_warns_unless_a_level_is_asked_for() -> None:
    assert [line.split()[2:4] for line in said()] == [
        ["INFO", "fld_engine.progress"],
        ["WARNING", "fld_engine.progress"],
        ["WARNING", "fld_engine.x"],
        ["WARNING", "someone.else"],
        ["WARNING", "httpx"],
    ]


def test_a_level_is_everybodys_but_requests_are_told_of_in_debug_alone() -> None:
    heard = {
        tuple(json.loads(line)[key] for key in ("logger", "level"))
        for line in said(FLD_LOG_LEVEL="info", FLD_LOG_FORMAT="json")
    }
    assert {("fld_engine.x", "INFO"), ("someone.else", "INFO"), ("httpx", "WARNING")} <= heard
    assert not {("httpx", "INFO"), ("fld_engine.x", "DEBUG"), ("prefect.flow_runs", "WARNING")} & heard
    assert said(FLD_LOG_LEVEL="error") == []


@pytest.mark.parametrize("variable", ["FLD_LOG_LEVEL", "FLD_LOG_FORMAT"])
def test_what_is_no_level_or_format_is_refused_by_name(variable: str) -> None:
    (line,) = said(**{variable: "jsn"})
    assert variable in line
    assert "'jsn' is not known" in line


def record(message: str, **what: object) -> logging.LogRecord:
    made = logging.makeLogRecord({"msg": message, "levelname": "WARNING", "levelno": 30, "name": "fld_engine.x"})
    made.__dict__.update(about(**what))
    return made


def test_a_line_ends_with_what_it_is_about() -> None:
    with context(partition="p000003"):
        line = TextLines(head="").format(record("odd", specialist="ocr", images=tuple("abcdef")))
    assert line == "odd (partition p000003, specialist ocr, images a, b, c, d and 2 more)"


def test_json_is_one_line_with_every_image_and_no_password() -> None:
    line = JsonLines().format(record("cannot read\ns3://me:secret@bucket/key", images=("a", "b", "c", "d", "e")))
    told = json.loads(line)
    assert "\n" not in line
    assert "secret" not in line
    assert told["message"].startswith("cannot read\ns3://")
    assert told["images"] == ["a", "b", "c", "d", "e"]


def test_a_context_ends_where_it_ends_and_is_of_its_thread_alone() -> None:
    lines: list[str] = []
    with context(specialist="ocr"):
        thread = threading.Thread(target=lambda: lines.append(TextLines(head="").format(record("other"))))
        thread.start()
        thread.join()
    assert [*lines, TextLines(head="").format(record("after"))] == ["other", "after"]


@pytest.fixture
def told() -> Iterator[list[Said]]:
    """What this process tells its driver, as a worker does."""
    root, found = logging.getLogger(), list[Said]()
    handlers, levels = root.handlers[:], {name: logging.getLogger(name).level for name in (None, OURS, PROGRESS)}
    tell_driver(found.append, lambda: {"stage": "annotate", "partition": "p000001"})
    yield found
    root.handlers[:] = handlers
    logging.captureWarnings(False)
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)


def test_a_worker_that_says_the_same_of_every_image_does_not_flood_its_driver(told: list[Said]) -> None:
    for number in range(1000):
        logging.getLogger("plugin").warning("odd image %d", number)
    logging.getLogger("plugin").warning("something else, at s3://me:secret@bucket")
    assert len(told) == MAX_ALIKE + 1
    assert told[0].about["partition"] == "p000001"
    assert "secret" not in told[-1].message


def test_the_driver_says_it_in_the_workers_name(told: list[Said], caplog: pytest.LogCaptureFixture) -> None:
    try:
        raise ValueError("bad")
    except ValueError:
        logging.getLogger("plugin").exception("went wrong")
    logging.getLogger().addHandler(caplog.handler)
    retell(told[0].model_copy(update={"pid": 4711}))
    again = caplog.records[-1]
    assert (again.name, again.process, again.levelname, again.created) == ("plugin", 4711, "ERROR", told[0].created)
    assert "ValueError: bad" in again.getMessage()
