"""How many workers of each size fit side by side."""

from __future__ import annotations

from collections.abc import Sequence

from fld_engine.engine.plan.protocols import Resources
from fld_engine.schemas.errors import RunnerError


def fit_workers(nodes: Sequence[Resources], requests: Sequence[Resources], limit: int = 0) -> list[int]:
    """Workers of each request that fit on the nodes together: `min_workers` of each first, in order, then more in turn.

    A request that no longer fits beside the earlier ones gets 0, and so do all after it: they wait. `limit` bounds the
    sum; 0 is no bound. Raises `RunnerError` when a request fits no node even alone, or fewer than its `min_workers` do.
    """
    for request in requests:
        if not any(_holds(node, request) for node in nodes):
            have = "; ".join(f"{n.cpus:g} CPU, {n.gpus:g} GPU, {n.memory_mb} MB" for n in nodes) or "nothing"
            raise RunnerError(
                f"one worker needs {request.cpus:g} CPU, {request.gpus:g} GPU and {request.memory_mb} MB, and no node "
                f"has that: {have}; lower the annotators' resources, or add a node"
            )
        alone = _free(nodes)
        for number in range(request.min_workers):
            if number == (limit or request.min_workers) or not _place(alone, request):
                raise RunnerError(
                    f"at least {request.min_workers} workers of {request.cpus:g} CPU, {request.gpus:g} GPU and "
                    f"{request.memory_mb} MB are asked for, and {number} fit; lower min_workers, or add nodes"
                )
    free = _free(nodes)
    counts = [0] * len(requests)
    for index, request in enumerate(requests):
        before = [list(node) for node in free]
        fits = not limit or sum(counts) + request.min_workers <= limit
        if not fits or not all(_place(free, request) for _ in range(request.min_workers)):
            free = before
            break
        counts[index] = request.min_workers
    grows = True
    while grows:
        grows = False
        for index, request in enumerate(requests):
            full = counts[index] == request.max_workers or (limit and sum(counts) >= limit)
            if counts[index] and not full and _place(free, request):
                counts[index] += 1
                grows = True
    return counts


def _free(nodes: Sequence[Resources]) -> list[list[float]]:
    return [[node.cpus, node.gpus, float(node.memory_mb)] for node in nodes]


def _holds(node: Resources, request: Resources) -> bool:
    return node.cpus >= request.cpus and node.gpus >= request.gpus and node.memory_mb >= request.memory_mb


def _place(free: list[list[float]], request: Resources) -> bool:
    """Take a worker's share from the first node that has it."""
    need = (request.cpus, request.gpus, float(request.memory_mb))
    for node in free:
        if all(have >= want for have, want in zip(node, need, strict=True)):
            node[:] = [have - want for have, want in zip(node, need, strict=True)]
            return True
    return False


def holds(have: Resources, wanted: Resources) -> bool:
    """Whether workers of one size can do the tasks of another."""
    return have.cpus >= wanted.cpus and have.gpus >= wanted.gpus and have.memory_mb >= wanted.memory_mb
