"""Whose address a request comes from where reverse proxies stand in front of the gateway.

A header that a client can send is no evidence. Each proxy appends the address it was called from, so the list is read
from its end, and only as far as the proxies an operator has named (FAREBOX_TRUSTED_PROXIES): the first address that is
none of theirs is the client's. Only one header is read (FAREBOX_PROXY_HEADER): a proxy that writes one of the two
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

_CLIENT_BITS_V6 = 64  # what one subscriber is given at least
_HOPS_READ = 32
_FORWARDED_FOR = re.compile(r'(?:^|;)\s*for=(?:"([^"]*)"|([^;"\s]*))', re.IGNORECASE)
_WITH_PORT = re.compile(r"\[([^\]]*)\](?::\d+)?|([^:]*):\d+", re.ASCII)


@dataclass(frozen=True, slots=True)
class Proxies:
    """The proxies an operator trusts to say whom they speak for, and the header they say it in."""

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
                break  # "unknown", an obfuscated name: what stands before it cannot be believed either
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
    """An address as proxies write it, with or without a port and brackets; None if it is none."""
    text = text.strip()
    with_port = _WITH_PORT.fullmatch(text)
    if with_port is not None:
        text = with_port[1] or with_port[2] or ""
    try:
        return unmapped(ipaddress.ip_address(text.partition("%")[0]))
    except ValueError:
        return None


def one_client(address: str) -> str:
    """What counts as one client: an IPv4 address, or the /64 network of an IPv6 one."""
    known = parse(address)
    if isinstance(known, ipaddress.IPv6Address):
        return str(ipaddress.ip_network((known, _CLIENT_BITS_V6), strict=False))
    return address if known is None else str(known)
