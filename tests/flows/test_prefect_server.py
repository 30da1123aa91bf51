"""The temporary server of a run is told all of it, and nothing is left that would look for it afterwards."""

from __future__ import annotations

import json
import multiprocessing
import urllib.request

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
    for number in (1, 2):
        with prefect_api():
            counting()
            wait_until(lambda number=number: num_ended() == number)  # type: ignore[misc]


def test_a_process_that_ran_a_flow_can_be_forked() -> None:
    """A trainer's loader forks its workers; with what some versions of Prefect leave behind, each ended with 1."""
    with prefect_api():
        counting()
    child = multiprocessing.get_context("fork").Process(target=num_ended.__name__.upper)
    child.start()
    child.join(PATIENCE_S)
    assert child.exitcode == 0
