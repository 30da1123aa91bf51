"""Runner `ray`: actors on a Ray cluster, each with its own models; only descriptors pass through the driver."""

from __future__ import annotations

import logging
import os
import signal
import threading
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import ray
from ray.autoscaler.sdk import request_resources
from ray.exceptions import (
    ActorUnavailableError,
    LocalRayletDiedError,
    NodeDiedError,
    OutOfMemoryError,
    RayActorError,
    RayError,
)
from ray.util.metrics import Counter, Gauge, Histogram

from fld_engine.engine.data.foreign import DEBUG_VARIABLE, proxy_note
from fld_engine.engine.plan.fit import fit_workers
from fld_engine.engine.plan.protocols import Resources
from fld_engine.engine.plan.tasks import Task
from fld_engine.engine.run.backend import WorkerHandle
from fld_engine.engine.run.children import children, kill_children
from fld_engine.engine.run.interrupt import interrupts
from fld_engine.engine.run.logs import LEVEL_VARIABLE
from fld_engine.engine.run.messages import Cause, Event, Lost
from fld_engine.engine.run.metrics import METRICS, ROOT, Metric, Sink
from fld_engine.engine.run.ray_actor import RemoteWorker
from fld_engine.engine.run.ray_head import Head, check_reachable, check_token, token_cure
from fld_engine.engine.run.worker import worker_environment
from fld_engine.schemas.errors import RunnerError

log = logging.getLogger(__name__)

LONG_POLL_S = 1.0
VERDICT_S = 30.0
"""How long Ray may take to say what became of an actor that cannot be reached; a node's health is checked for 15 s."""
DOUBT_PACE_S = 0.1
START_TRIES = 3
MAX_WANTED = 256
"""Workers that an autoscaler is asked for at most, where the run has no bound of its own."""
TOO_LATE = "timed out during startup"
"""What Ray says when a node of its own has not started within 30 s (`node.py`), as on a machine that is busy."""
NODE_DIED = "its node has died"
"""What Ray says of an actor that went with its node (`gcs_actor_manager.cc`)."""


class RayWorker:
    """An actor seen from the driver. `pending` is the question that is always under way.

    `doubted_since` is when it could first not be reached: what becomes of it is waited for.
    """

    def __init__(self, actor: Any, head: Head) -> None:
        self.actor, self._head = actor, head
        self._working: Any = None
        self.peak_mb = 0
        self.doubted_since: float | None = None
        self.pending: Any
        self.ask()

    def ask(self) -> None:
        self.pending = self.actor.events.options(concurrency_group="control").remote(LONG_POLL_S)

    def submit(self, task: Task) -> None:
        name = " ".join([task.stage, task.label, "+".join(task.units)]).strip()  # as Ray's dashboard lists it
        self._working = self.actor.work.options(name=name).remote(task)

    def kill(self) -> None:
        if not self._head.lost:  # nobody could do it, and Ray would wait until it ends this process
            ray.kill(self.actor, no_restart=True)


class RayBackend:
    """A Ray cluster: `address` of a running one (`auto` finds it), or none for a cluster on this machine.

    A running cluster is joined or refused with `RunnerError`; it is never silently replaced by a private one.
    """

    def __init__(self, address: str = "", workers: int = 0) -> None:
        self._workers, self._joined = workers, bool(address)
        self._wanted: list[dict[str, float]] = []
        self._join(address)
        self._head = Head(ray.get_runtime_context().gcs_address)

    def _join(self, address: str) -> None:
        if ray.is_initialized():
            return
        logging.getLogger("ray").handlers.clear()  # what it says goes where all that is said goes, in the same lines
        logging.getLogger("ray").propagate = True
        try:
            check_reachable(address)
            check_token(address)
            with interrupts().at("while Ray starts"), _our_signals():
                _start(address)
                interrupts().check()  # Ray passes over what is raised while its C++ waits
        except (OSError, RayError, RuntimeError, ValueError) as error:
            if "uthenticat" in str(error):
                raise RunnerError(f"cannot join a Ray cluster at {address!r}: {error}; {token_cure()}") from error
            raise RunnerError(
                f"cannot join a Ray cluster at {address!r}: {error}; start one with `ray start --head`, give its "
                f"address{proxy_note()}, or leave --ray-address out for a cluster of this machine alone"
            ) from error

    @property
    def grows(self) -> bool:
        """Nodes join a cluster that was joined; one of this machine alone stays as it is."""
        return self._joined

    def want(self, wanted: Sequence[tuple[Resources, int]]) -> None:
        """Ask the autoscaler for room, up to the workers that the run may have; without one, nobody hears it."""
        left = self._workers or MAX_WANTED
        bundles: list[dict[str, float]] = []
        for resources, number in wanted:
            bundle = {"CPU": resources.cpus, "GPU": resources.gpus, "memory": resources.memory_mb * 2**20}
            bundles += [{name: value for name, value in bundle.items() if value}] * min(number, left - len(bundles))
        if bundles != self._wanted and not self._head.lost:
            self._wanted = bundles
            request_resources(bundles=bundles)

    def fit(self, requests: Sequence[Resources]) -> list[int]:
        """By what the cluster's living nodes have in all; the run is taken to be alone on it."""
        listed: list[dict[str, Any]] = ray.nodes()  # type: ignore[no-untyped-call]  # Ray leaves it untyped
        nodes = []
        for node in listed:
            have = node["Resources"]
            if node["Alive"] and have.get("CPU", 0) > 0:
                memory_mb = int(have.get("memory", 0)) // 2**20
                nodes.append(Resources(cpus=have["CPU"], gpus=have.get("GPU", 0), memory_mb=max(1, memory_mb)))
        return fit_workers(nodes, requests, limit=self._workers)

    def sink(self) -> Sink | None:
        """The metrics of the cluster, which its node agents export. Without `ray[default]` there are no agents."""
        here = ray.get_runtime_context().get_node_id()
        listed: list[dict[str, Any]] = ray.nodes()  # type: ignore[no-untyped-call]  # Ray leaves it untyped
        if any(node["NodeID"] == here and node.get("MetricsAgentPort", 0) > 0 for node in listed):
            return RayMetrics()
        log.log(
            logging.WARNING if self._joined else logging.INFO,
            "no metrics and no dashboard: this node of the Ray cluster was started without ray[default]; install "
            "fld-engine[cluster] on every node before `ray start`, or have the driver serve metrics: --metrics-port",
        )
        return None

    def start(self, resources: Resources, *, lane: str = "") -> WorkerHandle:
        environment = worker_environment(resources.cpus)
        environment |= {name: os.environ[name] for name in (LEVEL_VARIABLE, DEBUG_VARIABLE) if os.environ.get(name)}
        remote: Any = ray.remote  # its stubs do not know concurrency groups
        actor = remote(concurrency_groups={"control": 1})(RemoteWorker).options(
            name=f"{lane or 'worker'} {uuid.uuid4().hex[:6]}",  # names must differ, also from those of actors that went
            num_cpus=resources.cpus,
            num_gpus=resources.gpus,
            memory=resources.memory_mb * 2**20,
            max_restarts=0,
            runtime_env={"env_vars": environment},
        )
        return RayWorker(actor.remote(), self._head)

    def poll(self, workers: Sequence[WorkerHandle], timeout_s: float) -> list[tuple[WorkerHandle, Event]]:
        self._head.check()
        asked = {w.pending: w for w in workers if isinstance(w, RayWorker)}
        ready, _ = ray.wait(list(asked), num_returns=1, timeout=timeout_s) if asked else ([], [])
        if ready:  # whatever else is there already
            ready, _ = ray.wait(list(asked), num_returns=len(asked), timeout=0)
        events: list[tuple[WorkerHandle, Event]] = []
        for reference in ready:
            worker = asked[reference]
            try:
                worker.peak_mb, found = ray.get(reference)
            except RayError as error:
                if (lost := self._lost(worker, error)) is not None:
                    events.append((worker, lost))
                continue
            if worker.doubted_since is not None:  # an answer that never came may have taken events along
                events.append((worker, Lost(cause="node", detail="it could not be reached for a while")))
                continue
            events.extend((worker, event) for event in found)
            worker.ask()
        return events

    def _lost(self, worker: RayWorker, error: RayError) -> Lost | None:
        """Why a worker does not answer; `None` where Ray does not know yet whether it, or its node, is gone.

        A removed node is first told of as an actor that is unavailable, up to some seconds before the verdict.
        """
        now = time.monotonic()
        if isinstance(error, ActorUnavailableError):
            worker.doubted_since = worker.doubted_since or now
            if now - worker.doubted_since < VERDICT_S:
                time.sleep(DOUBT_PACE_S)  # asked at once, it fails at once
                worker.ask()
                return None
        log.info("actor lost: %s", error)
        return Lost(cause=cause_of(error), detail=str(error).splitlines()[-1], peak_mb=worker.peak_mb)


class RayMetrics:
    """Metrics of a Ray cluster. It counts in its own process; the agent of the node exports, a little later."""

    def __init__(self) -> None:
        self._made: dict[str, Counter | Gauge | Histogram] = {}
        for metric in METRICS:
            labels = (ROOT, *metric.labels)
            if metric.kind == "counter":
                self._made[metric.name] = Counter(metric.name, metric.help, labels)
            elif metric.kind == "gauge":
                self._made[metric.name] = Gauge(metric.name, metric.help, labels)
            else:
                self._made[metric.name] = Histogram(metric.name, metric.help, list(metric.buckets), labels)

    def add(self, metric: Metric, labels: Mapping[str, str], value: float) -> None:
        made, tags = self._made[metric.name], dict(labels)
        if isinstance(made, Gauge):
            made.set(value, tags)
        elif isinstance(made, Histogram):
            made.observe(value, tags)
        elif value > 0:  # Ray refuses to count nothing
            made.inc(value, tags)

    def close(self) -> None: ...


def cause_of(error: RayError) -> Cause:
    """Why an actor does not answer any more."""
    if isinstance(error, OutOfMemoryError):
        return "memory"
    left = isinstance(error, ActorUnavailableError | NodeDiedError | LocalRayletDiedError)
    if left or (isinstance(error, RayActorError) and (error.preempted or NODE_DIED in str(error))):
        return "node"
    return "process"


def _start(address: str) -> None:
    """Join the cluster at an address, or start one on this machine. Raises what Ray raises, and `RunnerError`."""
    for number in range(1, START_TRIES + 1):
        before = children()
        try:
            ray.init(
                address=address or "local",
                log_to_driver=False,
                logging_level=logging.WARNING,
                include_dashboard=False if not address else None,
            )
            return
        except Exception as error:
            if TOO_LATE not in str(error):  # Ray has no class of its own for it
                raise
            kill_children(but=before)
            if number == START_TRIES:
                raise RunnerError(
                    f"Ray did not start on this machine in {START_TRIES} tries of 30 s each: it is too busy, or short "
                    "of memory. Run again when it is not, or with --runner local"
                ) from error
            log.warning("Ray did not start on this machine within 30 s, which is all it waits: it is started again")


@contextmanager
def _our_signals() -> Iterator[None]:
    """Put our handler of SIGTERM back: Ray puts its own in the place of it, which ends the process by `SystemExit`."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    ours = signal.getsignal(signal.SIGTERM)
    ended = False
    try:
        yield
    except SystemExit:  # Ray's handler has cleaned up; now it is for ours
        ended = True
    finally:
        signal.signal(signal.SIGTERM, ours)
        signal.alarm(0)  # which its C++ sets on SIGTERM, to abort a process that takes longer than 3 s to end
    if ended:
        os.kill(os.getpid(), signal.SIGTERM)
