"""How long a plan takes: images times seconds per image, on nodes that are there or only on paper."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from fld_engine.engine.plan.fit import fit_workers
from fld_engine.engine.plan.graph import lanes_of, together
from fld_engine.engine.plan.plan import Plan
from fld_engine.engine.plan.protocols import Resources
from fld_engine.schemas.annotations import Frozen


class LaneEstimate(Frozen):
    """What one lane of a plan costs.

    `resources` is what one of its workers needs, `workers` how many fit on the nodes when the lane has them to itself,
    `hours` what they take then. `seconds_per_image` is one worker's, over all annotators of the lane; it and the hours
    are None where the rate of an annotator that has images to do is not known: `unknown` names these.
    """

    annotators: tuple[str, ...]
    resources: Resources
    workers: int
    images: int
    seconds_per_image: float | None
    worker_hours: float | None
    hours: float | None
    unknown: tuple[str, ...] = ()

    @property
    def gpu_hours(self) -> float | None:
        return None if self.worker_hours is None else self.worker_hours * self.resources.gpus

    @property
    def core_hours(self) -> float | None:
        return None if self.worker_hours is None else self.worker_hours * self.resources.cpus


def estimate(
    plan: Plan, images: Mapping[str, int], rates: Mapping[str, float], nodes: Sequence[Resources], limit: int = 0
) -> list[LaneEstimate]:
    """Lanes in the order they run. `images` to do by annotator; `rates` in images per second of one worker.

    `limit` bounds the workers that run side by side; 0 is no bound.
    Lanes share nodes or follow one another, so the whole takes about the sum of their hours. Raises `RunnerError` where
    a worker fits no node.
    """
    estimates = []
    for groups in lanes_of(plan.graph.groups, plan.config.runner.lane_memory_mb):
        names = tuple(name for group in groups for name in group.names)
        request = together(groups)
        workers = fit_workers(nodes, [request], limit)[0]
        unknown = tuple(name for name in names if images[name] and name not in rates)
        seconds = sum(images[name] / rates[name] for name in names if name in rates)
        most = max(images[name] for name in names)
        estimates.append(
            LaneEstimate(
                annotators=names,
                resources=request,
                workers=workers,
                images=most,
                seconds_per_image=None if unknown or not most else seconds / most,
                worker_hours=None if unknown else seconds / 3600,
                hours=None if unknown else seconds / 3600 / workers,
                unknown=unknown,
            )
        )
    return estimates
