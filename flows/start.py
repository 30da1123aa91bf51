"""Where the console command begins: a word on the terminal before all that a command may need is imported."""

from __future__ import annotations

import os
import sys

LINE = "fld: loading…"


def main() -> None:
    """Entry point of the console command. Imports take seconds on a busy machine; until then a terminal has `LINE`."""
    shown = sys.stderr.isatty() and os.environ.get("TERM") != "dumb" and not _is_for_programs()
    if shown:
        sys.stderr.write(f"{LINE}\r")
        sys.stderr.flush()
    from fld_engine.flows.cli import main as run

    if shown:
        sys.stderr.write("\x1b[K")
        sys.stderr.flush()
    run()


def _is_for_programs() -> bool:
    """Whether a shell asks for completions, or every line of standard error is to be JSON."""
    return "_FLD_COMPLETE" in os.environ or bool(os.environ.get("FLD_LOG_FORMAT")) or "--log-format" in sys.argv
