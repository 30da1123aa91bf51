"""One driver at a time; a dead one does not block the next."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from fld_engine.engine.data.lease import EXPIRE_S, LEASE_FILE, Lease, LeaseHolder
from fld_engine.engine.data.store import Store
from fld_engine.schemas.errors import LeaseError


def test_a_second_driver_is_refused_and_told_who_holds_the_root(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    with LeaseHolder(store), pytest.raises(LeaseError, match="held by another driver"), LeaseHolder(store):
        pass
    with LeaseHolder(store):  # released at the end
        pass
    assert not store.exists(LEASE_FILE)


def test_the_lease_of_a_killed_driver_on_this_host_is_taken_over_at_once(tmp_path: Path) -> None:
    code = f"""
import os
from fld_engine.engine.data.lease import LeaseHolder
from fld_engine.engine.data.store import Store
LeaseHolder(Store({str(tmp_path)!r})).__enter__()
os.kill(os.getpid(), 9)
"""
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == -9
    store = Store(str(tmp_path))
    assert store.exists(LEASE_FILE)
    with LeaseHolder(store):
        pass


@pytest.mark.parametrize(
    ("age_s", "refused"),
    [
        (EXPIRE_S / 2, True),  # another host renewed lately: it lives
        (EXPIRE_S * 2, False),  # another host fell silent: it is gone
    ],
)
def test_the_lease_of_another_host_goes_by_its_age(tmp_path: Path, age_s: float, refused: bool) -> None:
    store = Store(str(tmp_path))
    lease = Lease(owner="x", host="elsewhere", pid=1, started=0.0, renewed=time.time() - age_s)
    store.write_model(LEASE_FILE, lease)
    if refused:
        with pytest.raises(LeaseError, match="elsewhere"), LeaseHolder(store):
            pass
    else:
        with LeaseHolder(store):
            pass
