"""The graph of annotators: who needs what from whom, and in which order they run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from fld_engine.engine.plan.protocols import Annotator, Resources
from fld_engine.schemas.errors import ConfigError
from fld_engine.schemas.kinds import NOT_STORED, Kind


@dataclass(frozen=True, slots=True)
class Group:
    """Annotators with equal resource requests and no dependency between them: each image is decoded once for all."""

    names: tuple[str, ...]
    resources: Resources
    needs_pixels: bool


@dataclass(frozen=True, slots=True)
class Graph:
    """`order` is a topological order, by config order where free; `upstream` names the direct producers of each."""

    order: tuple[str, ...]
    upstream: Mapping[str, tuple[str, ...]]
    groups: tuple[Group, ...]


def build_graph(annotators: Mapping[str, Annotator], from_sources: frozenset[Kind] = frozenset()) -> Graph:
    """Order annotators by what they require and produce.

    `from_sources` are kinds that the sources bring. Raises `ConfigError` for a required kind that nothing produces,
    and for a cycle, naming the annotators on it.
    """
    producers: dict[Kind, list[str]] = {}
    for name, annotator in annotators.items():
        for kind in annotator.produces:
            producers.setdefault(kind, []).append(name)
    upstream: dict[str, tuple[str, ...]] = {}
    for name, annotator in annotators.items():
        for kind in sorted(annotator.requires - NOT_STORED - from_sources):
            if kind not in producers:
                raise ConfigError(
                    f"annotator {name!r} requires {kind!r}, and no annotator of this config produces it: add one that "
                    f"does, or remove {name!r}; produced are: {', '.join(sorted(producers)) or 'none'}"
                )
        read = annotator.requires | annotator.optional
        upstream[name] = tuple(n for n in annotators if n != name and annotators[n].produces & read)
        if annotator.produces & annotator.requires:
            raise ConfigError(
                f"annotator {name!r} requires what it produces: {annotator.produces & annotator.requires}"
            )
    order = _sort(upstream)
    return Graph(order=order, upstream=upstream, groups=_group(order, upstream, annotators))


def _sort(upstream: Mapping[str, Sequence[str]]) -> tuple[str, ...]:
    order: list[str] = []
    waiting = list(upstream)
    while waiting:
        ready = [n for n in waiting if all(u in order for u in upstream[n])]
        if not ready:
            raise ConfigError(f"annotators depend on each other in a circle: {', '.join(waiting)}")
        order.append(ready[0])
        waiting.remove(ready[0])
    return tuple(order)


def _group(
    order: Sequence[str], upstream: Mapping[str, Sequence[str]], known: Mapping[str, Annotator]
) -> tuple[Group, ...]:
    level: dict[str, int] = {}
    for name in order:
        level[name] = 1 + max((level[u] for u in upstream[name]), default=-1)
    groups: dict[tuple[int, str], list[str]] = {}
    for name in order:
        request = known[name].resources
        groups.setdefault((level[name], f"{request.cpus}/{request.gpus}"), []).append(name)
    made = []
    for key in sorted(groups):
        names = groups[key]
        made.append(
            Group(
                names=tuple(names),
                resources=side_by_side([known[n].resources for n in names]),
                needs_pixels=any("pixels" in known[n].requires for n in names),
            )
        )
    return tuple(made)


def side_by_side(requests: Sequence[Resources]) -> Resources:
    """What a worker needs that holds all models at once: their memory in sum, and workers within everyone's range."""
    bounds = [request.max_workers for request in requests if request.max_workers]
    return requests[0].model_copy(
        update={
            "memory_mb": sum(request.memory_mb for request in requests),
            "min_workers": max(request.min_workers for request in requests),
            "max_workers": min(bounds, default=0),
        }
    )


def lanes_of(groups: Sequence[Group], memory_mb: int) -> list[list[Group]]:
    """Groups that one worker runs one after another on a partition, with their models side by side.

    Groups on processors share a lane while they ask for the same and fit in `memory_mb`; a group on a GPU has its own.
    """
    lanes: list[list[Group]] = []
    for group in groups:
        last = lanes[-1] if lanes else []
        same = last and last[0].resources.cpus == group.resources.cpus and last[0].resources.gpus == 0
        if same and group.resources.gpus == 0 and together([*last, group]).memory_mb <= memory_mb:
            last.append(group)
        else:
            lanes.append([group])
    return lanes


def together(groups: Sequence[Group]) -> Resources:
    """What one worker of a lane needs: the models of its groups side by side."""
    return side_by_side([group.resources for group in groups])
