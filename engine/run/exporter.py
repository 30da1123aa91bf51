"""A small exporter for Prometheus in the driver's own process, for runs that no cluster counts for."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from threading import Thread
from wsgiref.simple_server import WSGIServer

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
    start_http_server,
)

from fld_engine.engine.plan.config import RunnerConfig
from fld_engine.engine.run.metrics import METRICS, ROOT, Metric

log = logging.getLogger(__name__)

PORT_VARIABLE = "FLD_METRICS_PORT"
_INSTEAD = f"give another port (--metrics-port, runner.metrics_port, {PORT_VARIABLE}). The run goes on without"


class Exporter:
    """The metrics of a driver, at `http://HOST:PORT/metrics`."""

    def __init__(self, host: str, port: int) -> None:
        """Raises `OSError` where the port cannot be had."""
        disable_created_metrics()  # type: ignore[no-untyped-call]  # a gauge beside each counter, of which nothing here makes use
        registry = CollectorRegistry()
        self._made: dict[str, Counter | Gauge | Histogram] = {}
        for metric in METRICS:
            labels = (ROOT, *metric.labels)
            if metric.kind == "counter":
                self._made[metric.name] = Counter(metric.name, metric.help, labels, registry=registry)
            elif metric.kind == "gauge":
                self._made[metric.name] = Gauge(metric.name, metric.help, labels, registry=registry)
            else:
                self._made[metric.name] = Histogram(
                    metric.name, metric.help, labels, registry=registry, buckets=metric.buckets
                )
        served: tuple[WSGIServer, Thread] = start_http_server(port, addr=host, registry=registry)
        self._server, self._thread = served

    def add(self, metric: Metric, labels: Mapping[str, str], value: float) -> None:
        made = self._made[metric.name].labels(**labels)
        if isinstance(made, Counter):
            made.inc(value)
        elif isinstance(made, Gauge):
            made.set(value)
        else:
            made.observe(value)

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def exporter_of(runner: RunnerConfig) -> Exporter | None:
    """The exporter that the config asks for, or `FLD_METRICS_PORT` where it says nothing; no port is no exporter.

    What cannot be had is a warning: metrics end no run.
    """
    port = runner.metrics_port
    if port is None:
        said = os.environ.get(PORT_VARIABLE, "").strip() or "0"
        if not said.isdecimal() or int(said) > 65535:
            log.warning("no metrics: %s is %r, which is no port from 1 to 65535; %s", PORT_VARIABLE, said, _INSTEAD)
            return None
        port = int(said)
    if not port:
        return None
    try:
        exporter = Exporter(runner.metrics_host, port)
    except OSError as error:
        log.warning("no metrics: %s:%d cannot be opened (%s); %s", runner.metrics_host, port, error.strerror, _INSTEAD)
        return None
    log.info("metrics: http://%s:%d/metrics", runner.metrics_host, port)
    return exporter
