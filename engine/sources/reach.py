"""How far a name in a file may lead: to the files of that file's own folder, unless its source allows more."""

from __future__ import annotations

import os
import posixpath

from fsspec.implementations.local import LocalFileSystem

from fld_engine.engine.data.secrets import referring, refers
from fld_engine.engine.sources.files import locate
from fld_engine.engine.sources.texts import printable

OUTSIDE = "it leads out of the source's folder; set allow_outside: true on the source if it may"


def resolve(name: str, folder: str, *, allow_outside: bool) -> tuple[str, str]:
    """(URL, why it may not be followed) of a name in a file of `folder`, a URL.

    Names are relative to the folder, absolute, or URLs of its own file system. Without `allow_outside`, whatever lies
    out of the folder is refused: by an absolute name, `..`, another file system, or a link.
    """
    if refers(name):
        return "", "a name with a reference to a variable is not followed"
    if printable(name) != name:
        return "", "a name that is not UTF-8 is not followed"
    protocol, separator, _ = name.partition("://")
    if separator and protocol != (folder.partition("://")[0] if "://" in folder else "file"):
        return (name, "") if allow_outside else ("", OUTSIDE)
    fs, base = locate(folder)
    base, local = base.rstrip("/"), isinstance(fs, LocalFileSystem)
    if not separator and "\\" in name:
        return "", "a name with a backslash is not followed"
    path = locate(name)[1] if separator else name if name.startswith("/") else f"{base}/{name}"
    if local or ".." in path.split("/"):
        path = posixpath.normpath(path)
    if not allow_outside and not _is_under(path, base, local=local):
        return "", OUTSIDE
    return referring(fs.unstrip_protocol(path), folder), ""


def _is_under(path: str, base: str, *, local: bool) -> bool:
    """Whether a path is below a folder; on this machine, by where links really lead."""
    if local:
        return os.path.realpath(path).startswith(os.path.join(os.path.realpath(base), ""))
    return path.startswith(f"{base}/")
