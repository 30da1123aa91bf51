"""What work cost, as it is kept in a root's `run.json`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from pydantic import Field

from fld_engine.schemas.annotations import Frozen


class Cost(Frozen):
    """What workers were held for, and what they asked for, on `images` images.

    `cpu_s` and `gpu_s` are seconds of a worker times the cores and GPUs that it holds, whether it makes use of them or
    waits. `questions` were sent to a chat endpoint, `requests` to an object store.
    """

    cpu_s: float = 0.0
    gpu_s: float = 0.0
    questions: int = 0
    requests: int = 0
    read_bytes: int = 0
    written_bytes: int = 0
    images: int = 0

    def __add__(self, other: Cost) -> Cost:
        return Cost(**{name: getattr(self, name) + getattr(other, name) for name in Cost.model_fields})


class Costs(Frozen):
    """By specialist, and by stage what no specialist takes: other stages, and attempts that came to nothing."""

    specialists: Mapping[str, Cost] = Field(default_factory=dict)
    stages: Mapping[str, Cost] = Field(default_factory=dict)

    def total(self) -> Cost:
        return sum([*self.specialists.values(), *self.stages.values()], Cost())


def add_costs(parts: Iterable[Costs]) -> Costs:
    """The sum of several runs."""
    specialists: dict[str, Cost] = {}
    stages: dict[str, Cost] = {}
    for part in parts:
        for total, more in ((specialists, part.specialists), (stages, part.stages)):
            for name, cost in more.items():
                total[name] = total.get(name, Cost()) + cost
    return Costs(specialists=specialists, stages=stages)
