"""The console command. It is here, and not where the commands are, so that something is seen while they load."""

from __future__ import annotations

from fld_engine.flows.loading import loading


def main() -> None:
    """Run `fld`."""
    with loading():
        from fld_engine.flows.cli import main as commands

    commands()
