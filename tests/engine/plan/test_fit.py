"""How many workers run side by side is arithmetic, and what fits nowhere is refused."""

from __future__ import annotations

import pytest

from fld_engine.engine.plan.fit import fit_workers
from fld_engine.engine.plan.protocols import Resources
from fld_engine.engine.run.local import gpus_in_turn
from fld_engine.schemas.errors import RunnerError


def node(cpus: float, gpus: float = 0, memory_mb: int = 8000) -> Resources:
    return Resources(cpus=cpus, gpus=gpus, memory_mb=memory_mb)


def within(least: int, most: int) -> Resources:
    return Resources(cpus=1, memory_mb=1, min_workers=least, max_workers=most)


@pytest.mark.parametrize(
    ("nodes", "requests", "limit", "expected"),
    [
        ([node(4)], [node(1, memory_mb=100)], 0, [4]),  # as many as there are cores
        ([node(4)], [node(1, memory_mb=3000)], 0, [2]),  # memory is the bound
        ([node(4)], [node(1, memory_mb=100)], 3, [3]),  # the user's bound
        ([node(2), node(2)], [node(1.5, memory_mb=100)], 0, [2]),  # what is left on two nodes is no place for a third
        ([node(4, gpus=1)], [node(1, gpus=0.5), node(1, memory_mb=100)], 0, [1, 0]),  # memory is gone: the second waits
        ([node(4, gpus=1)], [node(1, 0.5, 100), node(1, 0, 100)], 0, [2, 2]),  # in turn, until the cores are gone
        ([node(1)], [node(1, memory_mb=100), node(1, memory_mb=100)], 0, [1, 0]),  # one after another
        ([node(4)], [node(1, memory_mb=1)] * 3, 2, [1, 1, 0]),  # fewer places than lanes
        ([node(8)], [within(1, 2), node(1, memory_mb=1)], 0, [2, 6]),  # no more than wanted; the rest for others
        ([node(4)], [node(1, memory_mb=1), within(4, 0)], 0, [4, 0]),  # less than it needs is left: it waits
        ([node(4)], [within(3, 0), node(1, memory_mb=1)], 0, [3, 1]),
    ],
)
def test_workers_are_placed_in_turn(
    nodes: list[Resources], requests: list[Resources], limit: int, expected: list[int]
) -> None:
    assert fit_workers(nodes, requests, limit) == expected


def test_a_request_that_fits_no_node_is_refused_though_the_cluster_has_it_in_sum() -> None:
    with pytest.raises(RunnerError, match="needs 3 CPU"):
        fit_workers([node(2), node(2)], [node(3)])


@pytest.mark.parametrize("limit", [0, 4])
def test_fewer_workers_than_asked_for_are_refused_before_any_work(limit: int) -> None:
    with pytest.raises(RunnerError, match=r"at least 5 workers .* and 4 fit"):
        fit_workers([node(4)], [within(5, 0)], limit)


@pytest.mark.parametrize(
    ("given", "wanted", "expected"),
    [
        (0.0, 1.0, "4"),  # the first worker
        (1.0, 1.0, "5"),  # the next device
        (4.0, 1.0, "4"),  # more workers than devices: round again
        (0.5, 0.5, "4"),  # the second half of the first device
        (1.0, 0.5, "5"),
        (2.0, 2.0, "6,7"),  # two devices for one worker
    ],
)
def test_local_workers_take_gpus_in_turn(given: float, wanted: float, expected: str) -> None:
    assert gpus_in_turn(["4", "5", "6", "7"], given, wanted) == expected
