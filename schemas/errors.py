"""Every error a user can meet, in one tree.

FldError
├── ConfigError        a recipe, an option or an annotator graph is wrong        (exit code 2)
├── SourceError        a source does not exist, or holds nothing to read         (exit code 2)
├── RootError          a dataset root cannot be used                             (exit code 1)
│   └── LeaseError     another driver holds the root
├── TransportError     bytes could not be had; says nothing about what they are  (exit code 1)
├── ModelError         a model cannot be fetched, verified or loaded             (exit code 1)
├── RunnerError        workers cannot be had, or do not come up                  (exit code 1)
├── MachineError       the machine does not allow it: a full disk, no rights...  (exit code 1)
├── AccountingError    a stage lost or invented images; the run stops            (exit code 1)
├── ReportError        a page of a report cannot be made; the others are written (exit code 1)
├── VerificationError  an export does not hold what its manifest promises        (exit code 1)
└── UnreadableImage    bytes that are not an image we accept; becomes a quarantine row

Beside it stands `Interrupted`, a `KeyboardInterrupt`: somebody asked the run to stop (exit code 130 or 143).
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Literal

from fld_engine.schemas.masking import masked

Trouble = Literal["gone", "forbidden", "credentials", "unavailable", "interrupted", "damaged"]
"""Why bytes could not be had, see `TransportError`."""


class FldError(Exception):
    """Base of all errors raised on purpose; the command line prints its message without a traceback.

    Messages are what people paste into tickets: addresses in them show no credentials.
    """

    exit_code = 1

    def __init__(self, message: str = "") -> None:
        super().__init__(masked(message))


class ConfigError(FldError):
    exit_code = 2


class SourceError(FldError):
    exit_code = 2


class RootError(FldError):
    pass


class LeaseError(RootError):
    pass


class TransportError(FldError):
    """Bytes could not be had, though they may be all right: no verdict on what they hold may come of it.

    `kind`: `gone` (listed, and not there now), `forbidden` (access to it is refused), `credentials` (expired, wrong or
    missing), `unavailable` (the store answers that it cannot: errors of its own, throttling), `interrupted` (no
    connection, one that broke, no answer in time, fewer bytes than there are) or `damaged` (a member of an archive that
    was had whole cannot be unpacked).
    """

    def __init__(self, message: str, kind: Trouble = "unavailable") -> None:
        super().__init__(message)
        self.kind = kind


class ModelError(FldError):
    pass


class RunnerError(FldError):
    pass


class MachineError(FldError):
    """What a run needs of its machine is not to be had: room, rights, memory, a port, a library."""


class AccountingError(FldError):
    pass


class ReportError(FldError):
    pass


class VerificationError(FldError):
    pass


class UnreadableImage(FldError):
    """Raised by the safe decoder. `reason` is a short, countable code such as `truncated`."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


class Interrupted(KeyboardInterrupt):
    """SIGINT or SIGTERM asked the run to stop, and it has; what is recorded stays.

    No `FldError`, nor an `Exception`: who handles errors and goes on does not go on after this. `where` names the work
    that went on, such as `in annotate at 61 %`; it is empty where that has no name, as before the first stage.
    """

    def __init__(self, signum: int, where: str = "") -> None:
        super().__init__(f"{f'interrupted {where}'.rstrip()}; the same command goes on")
        self.signum, self.where = signum, where

    @property
    def exit_code(self) -> int:
        """As a shell has it: 128 and the number of the signal."""
        return 128 + self.signum


def unknown_name(what: str, given: str, available: Iterable[str], *, under: str = "") -> str:
    """Message for a name that does not exist, with the nearest one that does; all are written with `under` before."""
    names = sorted(available)
    near = difflib.get_close_matches(given, names, n=1)
    listed = f"did you mean {under + near[0]!r}? Available" if near else "available"
    return f"{what} {under + given!r} is not known; {listed}: {', '.join(under + name for name in names) or 'none'}"
