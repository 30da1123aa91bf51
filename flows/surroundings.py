"""The environment of a run, made fit for Prefect, Ray and clients before any of them starts."""

from __future__ import annotations

import atexit
import logging
import os
import shutil
import tempfile
from pathlib import Path

from fld_engine.flows.places import is_writable

log = logging.getLogger(__name__)

LOOPBACK = ("localhost", "127.0.0.1", "::1")
PROXIES = ("http_proxy", "https_proxy", "all_proxy")
NO_PROXIES = ("NO_PROXY", "no_proxy")
PREFECT_HOME = "PREFECT_HOME"
QUIET = {
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "DO_NOT_TRACK": "1",
    "RAY_USAGE_STATS_ENABLED": "0",
}
"""What libraries would say or send by themselves; a user's own settings stand."""


def prepare() -> None:
    """Set what is missing in the environment of this process and of those that it starts. Twice is as once."""
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    pass_by_proxy()
    give_prefect_a_home()


def pass_by_proxy() -> None:
    """Where a proxy is set, let nobody ask it for this machine: loopback joins `NO_PROXY` and `no_proxy`.

    Both, for libraries read one or the other; a value of either that the user set is kept in both.
    """
    if not any(os.environ.get(name) or os.environ.get(name.upper()) for name in PROXIES):
        return
    given = [one.strip() for name in NO_PROXIES for one in os.environ.get(name, "").split(",") if one.strip()]
    if "*" in given:
        return
    for name in NO_PROXIES:
        os.environ[name] = ",".join(dict.fromkeys((*given, *LOOPBACK)))


def give_prefect_a_home() -> None:
    """Where Prefect could not keep its files at home, let it keep them in a temporary folder that ends with us.

    They are needed for the time of a run alone, unless the user says where they are to be.
    """
    if os.environ.get(PREFECT_HOME):
        return
    home = Path(os.path.expanduser("~")) / ".prefect"
    if home.is_absolute() and is_writable(home):
        return
    folder = tempfile.mkdtemp(prefix="fld-prefect-")
    owner = os.getpid()  # forked processes end, too
    atexit.register(lambda: shutil.rmtree(folder, ignore_errors=True) if os.getpid() == owner else None)
    os.environ[PREFECT_HOME] = folder
    log.info("%s cannot be written: Prefect keeps its files in %s; PREFECT_HOME says otherwise", home, folder)
