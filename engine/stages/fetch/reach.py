"""Which hosts and networks may be asked: none that is private unless it is allowed, and none that has opted out."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Iterable, Sequence
from functools import lru_cache

from fld_engine.engine.sources.fetch_settings import FetchSettings
from fld_engine.engine.sources.files import read_whole
from fld_engine.schemas.errors import ConfigError

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_NAT64 = ipaddress.ip_network("64:ff9b::/96")


class Networks:
    """Public addresses, and those of the networks that are allowed by name."""

    def __init__(self, allowed: Iterable[str]) -> None:
        self._allowed: tuple[Network, ...] = tuple(ipaddress.ip_network(one, strict=False) for one in allowed)

    def may_ask(self, address: str) -> bool:
        """Whether an IP address may be connected to."""
        ip = _inner(ipaddress.ip_address(address.partition("%")[0]))
        if any(ip.version == network.version and ip in network for network in self._allowed):
            return True
        return ip.is_global and not ip.is_multicast and not ip.is_reserved

    def refuses(self, host: str) -> bool:
        """Whether a host is written as an IP address that may not be asked; names are looked at once resolved.

        Also as resolvers read one: `2130706433`, `0x7f.1` and `127.0.0.1.` are 127.0.0.1.
        """
        given = host.strip("[]").rstrip(".")
        try:
            return not self.may_ask(given)
        except ValueError:
            pass
        try:
            return not self.may_ask(socket.inet_ntoa(socket.inet_aton(given)))
        except (OSError, ValueError):
            return False


def _inner(ip: Address) -> Address:
    """The IPv4 address that an IPv6 address leads to: mapped, 6to4, Teredo and NAT64 ones do."""
    if isinstance(ip, ipaddress.IPv4Address):
        return ip
    inner = ip.ipv4_mapped or ip.sixtofour or (ip.teredo[1] if ip.teredo else None)
    if inner is None and ip in _NAT64:
        inner = ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
    return inner or ip


class OptedOut:
    """Hosts that are never asked, with all below them."""

    def __init__(self, hosts: Iterable[str]) -> None:
        cleaned = (host.split("#")[0].strip().lower().strip(".") for host in hosts)
        self._hosts = frozenset(host.removeprefix("*.") for host in cleaned if host)
        self.has = lru_cache(100_000)(self._has)

    def _has(self, host: str) -> bool:
        parts = host.lower().strip(".").split(".")
        return bool(self._hosts) and any(".".join(parts[start:]) in self._hosts for start in range(len(parts)))


def opted_out_hosts(fetch: FetchSettings) -> OptedOut:
    """The hosts that settings and their list name. Raises `ConfigError` for a list of something else."""
    hosts: Sequence[str] = fetch.opted_out_hosts
    if fetch.opted_out_list:
        hosts = [*hosts, *read_whole(fetch.opted_out_list).decode("utf-8", "replace").splitlines()]
        if any("/" in host for host in hosts):
            raise ConfigError(
                f"fetch.opted_out_list: {fetch.opted_out_list} has lines with a slash: expected a host a line, "
                "such as example.org"
            )
    return OptedOut(hosts)
