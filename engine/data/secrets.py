"""Secrets by reference: `${NAME}` in an address stands for an environment variable, looked up where it is opened.

What is written down, in a config, a journal, a task or a table, has the reference; the value is nowhere but in the
environment of the process that opens the address.
"""

from __future__ import annotations

import os
import re
from typing import Any

import fsspec

from fld_engine.engine.data.foreign import cure_of
from fld_engine.schemas.errors import ConfigError

PROTOCOLS = {"s3": "s3fs", "s3a": "s3fs", "gs": "gcsfs", "gcs": "gcsfs", "abfs": "adlfs", "az": "adlfs"}
"""Protocol → the library that reads it, where people meet it without one."""

_REFERENCE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")


def resolved(address: str) -> str:
    """An address with the values of its references. Raises `ConfigError` where one is not set in this process."""
    for name in _REFERENCE.findall(address):
        if name not in os.environ:
            raise ConfigError(
                f"{address} refers to environment variable {name}, which is not set in this process: set it where the "
                "run is driven and where its workers run"
            )
    return _REFERENCE.sub(lambda found: os.environ[found[1]], address)


def refers(name: str) -> bool:
    """Whether a name that came out of data would be taken for a reference: such a name must not be opened."""
    return _REFERENCE.search(name) is not None


def referring(address: str, given: str) -> str:
    """An address that was made from `given`, resolved, with the references of `given` again."""
    for name in _REFERENCE.findall(given):
        if value := os.environ.get(name):
            address = address.replace(value, f"${{{name}}}")
    return address


def url_to_fs(address: str, **options: Any) -> tuple[Any, str]:
    """The file system of an address with references, and the path on it.

    Raises `ConfigError` as `resolved` does, and where nothing here can read such addresses.
    """
    try:
        fs, path = fsspec.core.url_to_fs(resolved(address), **options)
    except ImportError as error:
        library = PROTOCOLS.get(address.partition("://")[0], error.name or "")
        raise ConfigError(
            f"{address} cannot be opened: {error}; this {cure_of(library) if library else 'needs that'}, where "
            "the run is driven and where its workers run"
        ) from error
    except ValueError as error:
        if "rotocol not known" not in str(error):
            raise
        protocol = address.partition("://")[0]
        raise ConfigError(
            f"{address} cannot be opened: protocol {protocol!r} is not known; give a folder, or an address that begins "
            "with s3://, gs:// or another protocol of fsspec"
        ) from error
    return fs, path
