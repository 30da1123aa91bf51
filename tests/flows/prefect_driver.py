"""The flows beside a real server, as a process of its own: `python -m tests.flows.prefect_driver FOLDER`.

Prefect leaves threads behind that a process which forks later, as readers of shards do, does not survive.
Writes what it found to `FOLDER/found.json`, for `test_pipeline.py`.
"""

from __future__ import annotations

import json
import sys
import urllib.request
from pathlib import Path
from typing import Any

from prefect.settings import PREFECT_API_URL
from prefect.testing.utilities import prefect_test_harness

from fld_engine.engine.data.store import Store
from fld_engine.flows.pipeline import STAGE_FLOWS, run_flow
from fld_engine.schemas.errors import SourceError
from tests.roots import fake_config, write_photographs
from tests.waiting import PATIENCE_S


def known_to_the_server(what: str) -> list[dict[str, Any]]:
    request = urllib.request.Request(
        f"{PREFECT_API_URL.value()}/{what}/filter", data=b"{}", headers={"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=PATIENCE_S) as response:
        return list(json.load(response))


def new_root(folder: Path) -> str:
    Store(str(folder)).open_root(create=True)
    return str(folder)


def main(folder: Path) -> None:
    write_photographs(folder / "photos", 5)
    (folder / "empty").mkdir()
    config = fake_config(folder / "photos").model_dump(mode="json")
    found: dict[str, Any] = {}

    whole = run_flow(config, new_root(folder / "whole"))
    found["whole"] = whole.model_dump(mode="json")
    found["artifacts"] = {artifact["key"]: artifact["data"] for artifact in known_to_the_server("artifacts")}

    root = new_root(folder / "staged")
    found["staged"] = {stage: flow(config, root, stage).model_dump(mode="json") for stage, flow in STAGE_FLOWS.items()}
    found["again"] = STAGE_FLOWS["annotate"](config, root, "annotate").model_dump(mode="json")

    try:
        run_flow(fake_config(folder / "empty").model_dump(mode="json"), new_root(folder / "refused"))
    except SourceError as error:
        found["refused"] = str(error)
    found["tries"] = max(run["run_count"] for run in known_to_the_server("task_runs"))
    (folder / "found.json").write_text(json.dumps(found), encoding="utf-8")


if __name__ == "__main__":
    with prefect_test_harness(server_startup_timeout=int(PATIENCE_S)):
        main(Path(sys.argv[1]))
