"""Names of hosts, resolved to addresses that may be asked."""

from __future__ import annotations

import socket

from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.resolver import ThreadedResolver

from fld_engine.engine.stages.fetch.reach import Networks


class PrivateAddress(OSError):
    """A host whose every address is private, local or link-local, and not allowed."""


class CheckedResolver(AbstractResolver):
    """Resolves names, and hands on only addresses that may be asked: what is connected to is what was looked at.

    Names that do not resolve are remembered. Raises `PrivateAddress` where no address of a host may be asked.
    """

    def __init__(self, networks: Networks) -> None:
        self._networks, self._threads = networks, ThreadedResolver()
        self._unknown: dict[str, tuple[int, str]] = {}

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        if host in self._unknown:
            raise socket.gaierror(*self._unknown[host])
        try:
            found = await self._threads.resolve(host, port, family)
        except socket.gaierror as error:
            if error.errno != socket.EAI_AGAIN:
                self._unknown[host] = (error.errno or socket.EAI_NONAME, "no such host")
            raise
        except UnicodeError as error:  # a label that no name can have
            raise socket.gaierror(socket.EAI_NONAME, str(error)) from error
        if allowed := [one for one in found if self._networks.may_ask(one["host"])]:
            return allowed
        raise PrivateAddress(f"{host} is {', '.join(one['host'] for one in found)}")

    async def close(self) -> None:
        await self._threads.close()
