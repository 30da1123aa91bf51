"""Errors that are not ours, as sentences with the cure: of disks, of connections, of libraries that are not here.

Whoever stands at a boundary, the command line or a worker, asks `translated` of what came through; what nobody knows
here is a fault of the engine, and `fault` says so. Messages hold no traceback, unless `FLD_DEBUG` asks for it.
"""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path

from fld_engine.schemas.errors import ConfigError, FldError, MachineError, RootError, RunnerError

DEBUG_VARIABLE = "FLD_DEBUG"
"""Anything but nothing and 0: tracebacks are shown, in workers, too."""
FULL_BYTES = 50 << 20
"""A disk with less than this is named where a write does not say what it wrote to."""
DAMAGED = "not what was written there: "
"""Begins the note that names the file which a parser could not read."""
NO_ROOM = {errno.ENOSPC, errno.EDQUOT}
NO_ACCESS = {errno.EACCES, errno.EPERM}


def translated(error: BaseException) -> FldError | None:
    """The sentence for an error that people can do something about; None for one that is not known here.

    What an error was raised from is looked at, too: libraries wrap what the system says.
    """
    for one in _with_causes(error):
        if isinstance(one, FldError):
            return one
        for tell in TELLERS:
            if (told := tell(one)) is not None:
                told.__cause__ = error
                return told
    return None


def fault(error: BaseException) -> str:
    """What is said of an error that nobody foresaw: what it is, where it was raised, and whom to tell."""
    place = _place(error)
    what = " ".join(str(error).split())[:300]
    where = f" (at {place})" if place else ""
    return (
        f"this is a fault of fld: {type(error).__name__}{f': {what}' if what else ''}{where}. "
        "Run the same command again with --debug, and report what it prints; what is recorded in the root stays"
    )


def said(error: BaseException) -> str:
    """An error as a worker reports it: a sentence, and its traceback only where `FLD_DEBUG` asks for it."""
    known = translated(error)
    told = str(known) if known is not None else fault(error)
    return f"{told}\n{''.join(traceback.format_exception(error))}" if debugging() else told


def name_file(error: Exception, url: str) -> None:
    """Note on what a parser raises which file of a root it could not read."""
    error.add_note(f"{DAMAGED}{url}")


def debugging() -> bool:
    """Whether tracebacks are asked for."""
    return os.environ.get(DEBUG_VARIABLE, "") not in ("", "0")


def _with_causes(error: BaseException) -> Iterator[BaseException]:
    seen: list[BaseException] = []
    at: BaseException | None = error
    while at is not None and at not in seen:
        yield at
        seen.append(at)
        at = at.__cause__ or (None if at.__suppress_context__ else at.__context__)


def _place(error: BaseException) -> str:
    """The innermost line of our own code that an error came through, else the innermost of all."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if f"{os.sep}fld_engine{os.sep}" in frame.filename]
    if not (ours or frames):
        return ""
    frame = (ours or frames)[-1]
    return f"{'/'.join(Path(frame.filename).parts[-3:])}:{frame.lineno}, in {frame.name}"


# ---------------------------------------------------------------------- what each kind of error says


def _of_parsers(error: BaseException) -> FldError | None:
    """A file of a root that is cut off, or that something else wrote."""
    files = [note.removeprefix(DAMAGED) for note in getattr(error, "__notes__", ()) if note.startswith(DAMAGED)]
    if not files:
        return None
    listed = getattr(error, "errors", None)
    first = listed()[0] if callable(listed) else None  # pydantic's
    what = (
        ".".join(map(str, first["loc"])) + ": " * bool(first["loc"]) + first["msg"]
        if first
        else " ".join(str(error).split())[:200]
    )
    return RootError(
        f"{files[0]} is damaged, or something else wrote it ({what}): put it back from a copy of the root, or make the "
        "root anew"
    )


def _of_disk(error: BaseException) -> FldError | None:
    if not isinstance(error, OSError) or isinstance(error, ConnectionError):
        return None
    where = str(error.filename) if error.filename is not None else ""
    number = error.errno
    if number in NO_ROOM:
        why = "the disk is full" if number == errno.ENOSPC else "the quota is used up"
        return MachineError(
            f"no space is left for {where or _full_places()}: {why}. Free some, or put the root (--root), what is "
            "temporary (TMPDIR) and models (FLD_CACHE) on another disk; what is recorded stays, and the same command "
            "goes on"
        )
    if number == errno.EROFS:
        return MachineError(
            f"{where or 'a folder'} cannot be written, its file system is read-only: give a --root that can be, "
            "TMPDIR, FLD_CACHE and PREFECT_HOME say where else something is written"
        )
    if number in NO_ACCESS and where:
        return MachineError(
            f"{where} may not be read or written by this user (uid {os.getuid()}): {error.strerror}; change its rights "
            "or owner, or give another place (--root; TMPDIR, FLD_CACHE and PREFECT_HOME for what lies elsewhere)"
        )
    if number in (errno.EMFILE, errno.ENFILE):
        return MachineError(
            "too many files are open at once: raise the limit (`ulimit -n 65536`), or run fewer workers"
        )
    if number == errno.EADDRINUSE:
        return MachineError(f"a port is in use already ({error}): end what listens there, or give another port")
    if number == errno.EFBIG:
        return MachineError(f"{where or 'a file'} grows past the limit of this process or disk: raise it (`ulimit -f`)")
    if number in (errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG, errno.ELOOP) and where:
        return MachineError(f"{where}: {str(error.strerror).lower()}; check that this is the path that was meant")
    if number in (errno.EIO, errno.ESTALE, errno.ENODEV):
        return MachineError(
            f"{where or 'a disk'} failed ({error.strerror}): look at the disk or its mount, and run again; what "
            "is recorded stays"
        )
    return None


def _of_memory(error: BaseException) -> FldError | None:
    if isinstance(error, MemoryError) or (isinstance(error, OSError) and error.errno == errno.ENOMEM):
        return MachineError(
            "there is no memory left on this machine: end what else runs, run fewer workers (--workers), or cut "
            "smaller pieces (--set partitions.max_images=N); what is recorded stays, and the same command goes on"
        )
    return None


def _of_imports(error: BaseException) -> FldError | None:
    """A library that an extra brings, or that is simply not here."""
    if not isinstance(error, ImportError):
        return None
    from fld_engine.engine.data.extras import missing_sentence  # as in `cure_of`

    if lacking := missing_sentence(error):
        return ConfigError(lacking)
    name = (error.name or "").partition(".")[0]
    if isinstance(error, ModuleNotFoundError) and name and name != "fld_engine":
        return MachineError(
            f"library {name} is not installed here: pip install {name.replace('_', '-')}, then run again"
        )
    if not name or name == "fld_engine":
        return None
    return MachineError(
        f"library {name} is installed here and cannot be imported ({error}): install it again, with the versions of "
        "constraints.txt"
    )


def _of_credentials(error: BaseException) -> FldError | None:
    """Libraries of stores that were asked outside of `engine.data.transport`."""
    name = type(error).__name__
    if name in ("NoCredentialsError", "PartialCredentialsError", "DefaultCredentialsError", "TokenRetrievalError"):
        return MachineError(f"the store has no credentials to go by ({error}): {CREDENTIALS_CURE}")
    return None


def _of_connections(error: BaseException) -> FldError | None:
    kinds = {kind.__name__ for kind in type(error).__mro__}
    lost = isinstance(error, ConnectionError | TimeoutError) or {"ConnectError", "gaierror", "ConnectTimeout"} & kinds
    if not lost or isinstance(error, BrokenPipeError):
        return None
    return RunnerError(
        f"a connection could not be made or broke ({type(error).__name__}: {str(error)[:200]}): see whether what is "
        f"asked runs and can be reached from here{proxy_note()}, then run again; what is recorded stays"
    )


def _of_prefect_and_ray(error: BaseException) -> FldError | None:
    """What their own errors say, which reach us where a server or a cluster is not well."""
    library = type(error).__module__.partition(".")[0]
    if library not in ("prefect", "httpx", "ray"):
        return None
    what = f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
    if library == "ray":
        return RunnerError(
            f"the Ray cluster is not well ({what}): look at its nodes and logs (`ray status`), and run again, with the "
            "same command: what is recorded stays"
        )
    return RunnerError(
        f"the Prefect server is not well ({what}): look at its log and whether it is of the version that is "
        f"installed here (`prefect version`){proxy_note()}, or unset PREFECT_API_URL, and run again: what is recorded "
        "stays"
    )


def _of_yaml(error: BaseException) -> FldError | None:
    if type(error).__module__.partition(".")[0] == "yaml":
        return ConfigError(f"what should be YAML is not: {' '.join(str(error).split())[:300]}; mend it there")
    return None


def _of_threads(error: BaseException) -> FldError | None:
    if isinstance(error, RuntimeError) and "can't start new thread" in str(error):
        return MachineError("no more threads can be started: raise the limit (`ulimit -u`), or run fewer workers")
    if isinstance(error, RuntimeError) and "determine home directory" in str(error):
        return MachineError(
            "this user has no home folder: set HOME to a folder that can be written, or FLD_CACHE (models) and "
            "PREFECT_HOME (Prefect) to one each"
        )
    return None


TELLERS: tuple[Callable[[BaseException], FldError | None], ...] = (
    _of_memory,
    _of_parsers,
    _of_disk,
    _of_imports,
    _of_credentials,
    _of_connections,
    _of_prefect_and_ray,
    _of_yaml,
    _of_threads,
)

CREDENTIALS_CURE = (
    "set or renew them where the run is driven and where its workers run (S3: AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY "
    "and AWS_SESSION_TOKEN, or AWS_PROFILE; Google: GOOGLE_APPLICATION_CREDENTIALS), and run again"
)


def cure_of(library: str) -> str:
    """What is to be done for a library: the extra of this package that brings it, else its own name."""
    from fld_engine.engine.data.extras import extra_for, needs_extra  # they know libraries by stores, so come later

    name = library.replace("_", "-")
    extra = extra_for([library])
    return needs_extra(extra) if extra else f"needs {name}: pip install {name}"


def proxy_note() -> str:
    """Half a sentence where a proxy is set, which is asked for every address that NO_PROXY does not name."""
    names = [
        name
        for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")
        if os.environ.get(name, os.environ.get(name.lower()))
    ]
    return (
        f" ({' and '.join(names)} is set: a host that the proxy does not reach belongs into NO_PROXY)" if names else ""
    )


def _full_places() -> str:
    """Folders on disks without room, of those that are written without being named."""
    places = {tempfile.gettempdir(): "temporary files", os.getcwd(): "the working directory"}
    full = [f"{path} ({what})" for path, what in places.items() if shutil.disk_usage(path).free < FULL_BYTES]
    return " and ".join(full) or "what was to be written"
