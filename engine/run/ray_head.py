"""The head of a Ray cluster, seen from a driver: whether it lets us in, and whether it is still there.

Ray itself ends a driver's process a minute after the head is gone, without an error that anybody could catch; and what
it says of a token that is missing goes to standard error alone, again and again for 20 s.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
import time

from fld_engine.engine.data.foreign import proxy_note
from fld_engine.schemas.errors import RunnerError

CONNECT_LIMIT_S = 10.0
ASK_LIMIT_S = 20.0
PACE_S = 5.0
LOST_AFTER_S = 30.0
"""Half of the time after which Ray ends the process."""

REFUSES = "InvalidAuthToken"
_ASK = """
import sys
from ray._private.services import canonicalize_bootstrap_address_or_die as found
from ray._raylet import GcsClient
GcsClient(address=found(sys.argv[1]))
"""


def check_reachable(address: str) -> None:
    """Raise `OSError` when nothing listens at `host:port`; Ray itself would try for minutes."""
    host, colon, port = address.rpartition("://")[2].rpartition(":")
    if colon and port.isdigit():
        socket.create_connection((host, int(port)), timeout=CONNECT_LIMIT_S).close()


def check_token(address: str) -> None:
    """Raises `RunnerError` where the cluster wants another token than this process has. Asked in a process of its own.

    Whatever else is wrong there is for `ray.init` to say.
    """
    if not address or address.startswith("ray://"):
        return
    command = [sys.executable, "-P", "-c", _ASK, address]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as asking:
        assert asking.stderr is not None
        limit = threading.Timer(ASK_LIMIT_S, asking.kill)
        limit.start()
        refused = any(REFUSES in line for line in asking.stderr)
        limit.cancel()
        asking.kill()
    if refused:
        raise RunnerError(f"the Ray cluster at {address!r} does not accept this driver: {token_cure()}")


def token_cure() -> str:
    """What this process says of itself to a cluster with token authentication, and what it should."""
    mode = os.environ.get("RAY_AUTH_MODE", "")
    has_token = any(os.environ.get(name) for name in ("RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"))
    what = (
        f"RAY_AUTH_MODE is {mode or 'not set'} here" if mode != "token" else
        "its token is another one" if has_token else "no token is given here"
    )  # fmt: skip
    return (
        f"{what}. Set RAY_AUTH_MODE=token, and RAY_AUTH_TOKEN (or RAY_AUTH_TOKEN_PATH, a file) to the cluster's token, "
        "for every driver and on every node"
    )


class Head:
    """Watches that the head of a running cluster is there, from time to time."""

    def __init__(self, address: str, *, pace_s: float = PACE_S, lost_after_s: float = LOST_AFTER_S) -> None:
        self._address, self.lost = address, False
        self._pace_s, self._lost_after_s = pace_s, lost_after_s
        self._seen = self._asked = time.monotonic()

    def check(self) -> None:
        """Raises `RunnerError` where nothing has listened there for `lost_after_s`; looks once in `pace_s`."""
        now = time.monotonic()
        if now - self._asked < self._pace_s:
            return
        self._asked = now
        try:
            check_reachable(self._address)
        except OSError as error:
            if time.monotonic() - self._seen < self._lost_after_s:
                return
            self.lost = True
            raise RunnerError(
                f"the head of the Ray cluster at {self._address} has not answered for {self._lost_after_s:.0f} s "
                f"({error}): see whether it runs (`ray status`) and can be reached from here{proxy_note()}. Start it "
                "again, and run the same command: what is recorded stays"
            ) from error
        self._seen = time.monotonic()
