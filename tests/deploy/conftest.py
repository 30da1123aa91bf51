"""The root that a shell made, once for all that is compared with it."""

from __future__ import annotations

import pytest

from tests.deploy.by_shell import ByShell, run_in_a_shell


@pytest.fixture(scope="session")
def by_shell(tmp_path_factory: pytest.TempPathFactory) -> ByShell:
    return run_in_a_shell(tmp_path_factory.mktemp("by-shell"))
