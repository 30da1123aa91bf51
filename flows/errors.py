"""What a user sees of an error: a sentence and an exit code; a traceback only where `--debug` asks for it."""

from __future__ import annotations

import logging
import os
import sys
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from rich.console import Console

from fld_engine.engine.data.foreign import DEBUG_VARIABLE, debugging, fault, translated
from fld_engine.engine.run.logs import writes_json
from fld_engine.schemas.masking import masked

log = logging.getLogger(__name__)

DEBUG = "--debug"


def arguments_of(given: Sequence[str]) -> list[str]:
    """The arguments of a command without `--debug`, which may stand anywhere before `--`; it is heeded from here on."""
    end = given.index("--") if "--" in given else len(given)
    if DEBUG in given[:end]:
        os.environ[DEBUG_VARIABLE] = "1"  # workers show theirs, too
    return [one for i, one in enumerate(given) if one != DEBUG or i >= end]


@contextmanager
def told_to_people() -> Iterator[None]:
    """End the process, where an error comes through, with a sentence on standard error and the error's exit code."""
    try:
        yield
    except BrokenPipeError:  # whoever read along has seen enough, as `head` has
        _close_output()
        sys.exit(1)
    except Exception as error:  # noqa: BLE001 - the last boundary: nobody above could tell the user
        known = translated(error)
        console = Console(stderr=True, soft_wrap=True, highlight=False)
        if debugging() and not writes_json():
            console.print(masked("".join(traceback.format_exception(error))), markup=False)
        told = str(known) if known is not None else masked(fault(error))
        if writes_json():
            log.error("%s", told)
        else:
            console.print(f"error: {told}", style="red", markup=False)
        sys.exit(known.exit_code if known is not None else 1)


def _close_output() -> None:
    """Let what is still to be flushed at the end of the process go nowhere."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
