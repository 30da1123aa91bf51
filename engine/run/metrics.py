"""What a run counts for whoever watches it: one table of metrics, and the sinks that they go to.

Prometheus sees a counter as NAME_total, a histogram as NAME_bucket, NAME_sum and NAME_count. Ray puts `ray_` before
each name and labels of its own beside ours.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, Protocol, runtime_checkable

ROOT = "root"
"""Label of every metric: the address of the dataset root, without credentials. A root has one driver at a time."""
BATCH_S = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0)
"""Bounds of the buckets in seconds: from arithmetic on a few images to `limits.batch_timeout_s` (ours)."""


@dataclass(frozen=True, slots=True)
class Metric:
    """`labels` come after `root`, which all have; `buckets` are the upper bounds of a histogram."""

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    labels: tuple[str, ...]
    help: str
    buckets: tuple[float, ...] = ()

    @property
    def series(self) -> tuple[str, ...]:
        """Names that Prometheus knows it by."""
        endings = {"counter": ("_total",), "gauge": ("",), "histogram": ("_bucket", "_sum", "_count")}
        return tuple(f"{self.name}{ending}" for ending in endings[self.kind])


IMAGES = Metric(
    "fld_images",
    "counter",
    ("specialist", "status"),
    "Images that a specialist has answered for in this run, once their output is recorded, by what became of them.",
)
UNITS = Metric(
    "fld_units",
    "counter",
    ("step",),
    "Units that workers say they have done, as they say it: images of a specialist, items of a scan. Work that is done "
    "again after a loss counts again.",
)
BATCH_SECONDS = Metric(
    "fld_batch_seconds",
    "histogram",
    ("specialist",),
    "Seconds from the begin of a batch to its end, in the specialist alone.",
    BATCH_S,
)
SPECIALIST_SECONDS = Metric(
    "fld_specialist_seconds",
    "counter",
    ("specialist",),
    "Seconds of workers that recorded outputs took: loading, the model, and the specialist's part of reading, decoding "
    "and writing.",
)
MODELS_LOADED = Metric("fld_models_loaded", "counter", ("specialist",), "How often a worker loaded the specialist.")
QUESTIONS = Metric(
    "fld_questions", "counter", ("specialist",), "Requests sent to a chat endpoint, those made again included."
)
TASKS = Metric("fld_tasks", "counter", ("stage",), "Tasks done.")
QUEUE = Metric("fld_queue", "gauge", ("lane",), "Tasks that no worker has been given yet.")
WORKERS_WANTED = Metric("fld_workers_wanted", "gauge", ("lane",), "Workers that the lane is to have.")
WORKERS_WAITING = Metric(
    "fld_workers_waiting",
    "gauge",
    ("lane",),
    "Workers that were asked for and are not up: starting, or without a place.",
)
WORKERS_ALIVE = Metric("fld_workers_alive", "gauge", ("lane",), "Workers that are up.")
WORKERS_BUSY = Metric("fld_workers_busy", "gauge", ("lane",), "Workers that are at a task.")
ATTEMPTS_LOST = Metric(
    "fld_attempts_lost",
    "counter",
    ("lane", "cause"),
    "Attempts at a task that came to nothing: the worker died (process), of memory, hung, its device or its node was "
    "lost; or the task raised (error).",
)
CPU_SECONDS = Metric(
    "fld_cpu_seconds", "counter", ("lane",), "Seconds that workers were at a task, times the cores that each holds."
)
GPU_SECONDS = Metric(
    "fld_gpu_seconds", "counter", ("lane",), "Seconds that workers were at a task, times the GPUs that each holds."
)
READ_BYTES = Metric("fld_read_bytes", "counter", ("stage",), "Bytes that tasks read, of sources and of the root.")
WRITTEN_BYTES = Metric("fld_written_bytes", "counter", ("stage",), "Bytes that tasks wrote into the root.")
STORE_REQUESTS = Metric(
    "fld_store_requests",
    "counter",
    ("stage",),
    "Requests of tasks to the root's object store; none where it is a disk.",
)
QUARANTINED = Metric(
    "fld_quarantined", "gauge", ("reason",), "Items of sources that are no image we accept, in the root by now."
)
REFUSED_ANNOTATIONS = Metric(
    "fld_refused_annotations", "gauge", ("reason",), "Annotations of people that cannot be used, in the root by now."
)

METRICS = (
    IMAGES,
    UNITS,
    BATCH_SECONDS,
    SPECIALIST_SECONDS,
    MODELS_LOADED,
    QUESTIONS,
    TASKS,
    QUEUE,
    WORKERS_WANTED,
    WORKERS_WAITING,
    WORKERS_ALIVE,
    WORKERS_BUSY,
    ATTEMPTS_LOST,
    CPU_SECONDS,
    GPU_SECONDS,
    READ_BYTES,
    WRITTEN_BYTES,
    STORE_REQUESTS,
    QUARANTINED,
    REFUSED_ANNOTATIONS,
)
"""All of them, in the order in which they are told."""


class Sink(Protocol):
    """Where metrics go: an exporter of this process, or those of a Ray cluster."""

    def add(self, metric: Metric, labels: Mapping[str, str], value: float) -> None:
        """Count `value` (counter), let it be the value from now on (gauge), or take it for one of many (histogram)."""
        ...

    def close(self) -> None: ...


@runtime_checkable
class Counting(Protocol):
    """A backend with a sink of its own."""

    def sink(self) -> Sink | None:
        """None where what is counted there would be seen by nobody."""
        ...


def reference() -> str:
    """A table of all metrics in Markdown."""
    rows = [
        f"| `{metric.name}` | {metric.kind} | {', '.join(f'`{label}`' for label in metric.labels)} | {metric.help} |"
        for metric in METRICS
    ]
    return "\n".join(["| metric | kind | labels beside `root` | what it says |", "|---|---|---|---|", *rows]) + "\n"
