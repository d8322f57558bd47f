"""The client's address, if reverse proxies are in front of the gateway.

Clients can send any header, so it proves nothing by itself. Each proxy appends the address it was called from, so the
list is read from its end, through the proxies an operator has named (FAREBOX_TRUSTED_PROXIES): the first address that
is not one of theirs is the client's. Only one header is read (FAREBOX_PROXY_HEADER): a proxy that writes one of the two
passes the other on as the client sent it.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from gateway.outside.addresses import Address, Network, unmapped, within

ProxyHeader = Literal["X-Forwarded-For", "Forwarded"]

_CLIENT_BITS_V6 = 64  # the least that one subscriber gets
_HOPS_READ = 32
_FORWARDED_FOR = re.compile(r'(?:^|;)\s*for=(?:"([^"]*)"|([^;"\s]*))', re.IGNORECASE)
_WITH_PORT = re.compile(r"\[([^\]]*)\](?::\d+)?|([^:]*):\d+", re.ASCII)


@dataclass(frozen=True, slots=True)
class Proxies:
    """The proxies an operator trusts to report the client's address, and the header they use for it."""

    networks: tuple[Network, ...] = ()
    header: ProxyHeader = "X-Forwarded-For"

    def trusts(self, address: str) -> bool:
        """Whether connections from here come from one of the proxies."""
        known = parse(address)
        return known is not None and within(known, self.networks)

    def client(self, peer: str, said: Sequence[str]) -> str:
        """The client's address, for a connection from `peer` whose request has the header's values `said`."""
        nearest = parse(peer)
        if nearest is None or not within(nearest, self.networks):
            return str(nearest or peer)
        for hop in self._hops(said):
            address = parse(hop)
            if address is None:
                break  # "unknown", an obfuscated name: entries before it cannot be trusted either
            nearest = address
            if not within(address, self.networks):
                break
        return str(nearest)

    def _hops(self, said: Sequence[str]) -> Iterable[str]:
        """The addresses in the header, the nearest first."""
        listed = ",".join(said).rsplit(",", _HOPS_READ)[-_HOPS_READ:] if said else []
        for one in reversed(listed):
            if self.header == "Forwarded":
                found = _FORWARDED_FOR.search(one)
                yield (found[1] or found[2] or "") if found else ""
            else:
                yield one


def parse(text: str) -> Address | None:
    """An address as proxies write it, with or without a port and brackets; None if it is not an address."""
    text = text.strip()
    with_port = _WITH_PORT.fullmatch(text)
    if with_port is not None:
        text = with_port[1] or with_port[2] or ""
    try:
        return unmapped(ipaddress.ip_address(text.partition("%")[0]))
    except ValueError:
        return None


def one_client(address: str) -> str:
    """The unit that limits are counted by: an IPv4 address, or the /64 network of an IPv6 one."""
    known = parse(address)
    if isinstance(known, ipaddress.IPv6Address):
        return str(ipaddress.ip_network((known, _CLIENT_BITS_V6), strict=False))
    return address if known is None else str(known)
