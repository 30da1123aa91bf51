"""The temporary server of a run is told all of it, and nothing is left that would look for it afterwards."""

from __future__ import annotations

import json
import multiprocessing
import os
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest
from prefect import flow, task
from prefect.settings import PREFECT_API_URL

from fld_engine.flows.prefect_server import prefect_api
from tests.waiting import PATIENCE_S, wait_until

pytestmark = pytest.mark.long


@task(name="counted")
def counted() -> None:
    """A task whose end is an event."""


@flow
def counting() -> None:
    counted()


def num_ended() -> int:
    """Ends of that task of which the server in use was told; it keeps them in its home, as the next server does."""
    asked = {"filter": {"event": {"name": ["prefect.task-run.Completed"]}, "resource": {"labels": {}}}}
    request = urllib.request.Request(
        f"{PREFECT_API_URL.value()}/events/filter",
        data=json.dumps(asked).encode(),
        headers={"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=PATIENCE_S) as response:
        events = json.load(response)["events"]
    return sum(str(event["resource"]["prefect.resource.name"]).startswith("counted") for event in events)


def test_each_run_of_a_process_is_told_to_its_own_server() -> None:
    """What the first run leaves to be sent would go to a server that is gone, and so would all of the second."""
    told = []
    for number in (1, 2):
        with prefect_api():
            counting()
            told.append(wait_until(lambda number=number: num_ended() >= number and num_ended()))  # type: ignore[misc]
    assert told == [1, 2], "each event once"


STARTS = """
from fld_engine.flows.prefect_server import prefect_api
from prefect.settings import PREFECT_API_URL
with prefect_api():
    print(PREFECT_API_URL.value())
"""


def test_the_first_runs_on_a_machine_may_start_at_once(tmp_path: Path) -> None:
    """They share a home without a database: of two that make its tables at the same moment, one would die."""
    environment = {**os.environ, "PREFECT_HOME": str(tmp_path)}
    starts = [
        subprocess.Popen(
            [sys.executable, "-c", STARTS], env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        for _ in range(2)
    ]
    said = [start.communicate(timeout=PATIENCE_S) for start in starts]
    assert [start.returncode for start in starts] == [0, 0], said
    assert len({url for url, _ in said}) == 2, "a server each"
    assert [problems for _, problems in said] == ["", ""]


def test_a_process_that_ran_a_flow_can_be_forked() -> None:
    """A trainer's loader forks its workers; with what some versions of Prefect leave behind, each ended with 1."""
    with prefect_api():
        counting()
    child = multiprocessing.get_context("fork").Process(target=num_ended.__name__.upper)
    child.start()
    child.join(PATIENCE_S)
    assert child.exitcode == 0
