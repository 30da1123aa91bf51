"""The console command. It is here, and not where the commands are, so that it can be interrupted while they load."""

from __future__ import annotations

import gc
import logging
import sys

from fld_engine.engine.run.interrupt import end_at_any_signal, end_at_once, interruptible
from fld_engine.engine.run.logs import OURS, writes_json
from fld_engine.flows.loading import loading
from fld_engine.schemas.errors import Interrupted


def main() -> None:
    """Run `fld`, and end with one line where a signal asks for it."""
    try:
        with interruptible(end_at_once):
            with loading():
                from fld_engine.flows.cli import main as commands

            commands()
    except Interrupted as stopped:
        if is_told := writes_json():
            logging.getLogger(OURS).error("%s", stopped)
        sys.stdout.flush()
        end_at_once(
            stopped, is_told=is_told
        )  # all that matters is written; Ray, half started, does not always end well
    finally:
        end_at_any_signal()
        gc.freeze()  # else Python goes through all that was imported once more, which took 1.5 s here
