"""Have an autoscaling cluster start this many GPU workers, and wait until they are there; 0 lets them go when idle.

`python workers.py 8`, on a node of the cluster. The wish stands until it is changed: ask for 0 after the run.
"""

from __future__ import annotations

import argparse
import sys
import time

import ray
from ray.autoscaler.sdk import request_resources


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("workers", type=int)
    parser.add_argument("--resource", default="GPU", help="what each worker has one of, or more")
    parser.add_argument("--wait-s", type=float, default=1800.0, help="nodes of a cloud take minutes")
    given = parser.parse_args()
    ray.init(address="auto", log_to_driver=False)
    request_resources(bundles=[{given.resource: 1.0}] * given.workers)
    deadline = time.monotonic() + given.wait_s
    while (there := _living(given.resource)) < given.workers:
        if time.monotonic() > deadline:
            print(f"{there} of {given.workers} workers came within {given.wait_s:.0f} s: see the autoscaler's log")
            return 1
        time.sleep(1)
    print(f"{there} workers are there")
    return 0


def _living(resource: str) -> int:
    return sum(bool(node["Alive"] and node["Resources"].get(resource)) for node in ray.nodes())


if __name__ == "__main__":
    sys.exit(main())
