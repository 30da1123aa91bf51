"""The expressions of the Grafana dashboard, and what they name."""

from __future__ import annotations

import json
import re
from pathlib import Path

DASHBOARD = Path(__file__).parents[1] / "deploy/grafana/fld-engine.json"
SERIES = re.compile(r'__name__=~"\(ray_\)\?(\w+)"')


def expressions(*, root: str = ".*", interval: str = "1m") -> list[str]:
    """What the panels ask Prometheus, as Grafana would fill it in."""
    panels = json.loads(DASHBOARD.read_text())["panels"]
    asked = [target["expr"] for panel in panels for target in panel.get("targets", ())]
    return [one.replace("$root", root).replace("$__rate_interval", interval) for one in asked]


def labels_of(expression: str) -> set[str]:
    """Labels that it groups or matches by."""
    grouped = {name.strip() for by in re.findall(r"by \(([^)]*)\)", expression) for name in by.split(",")}
    return grouped | set(re.findall(r"[{,](\w+)=", expression))
