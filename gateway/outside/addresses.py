"""Which addresses may be called when a customer names the URL: public ones, and the networks that an operator allows.

A name proves nothing: it may resolve to a private address now, or from the second lookup on (rebinding). So the check
is made where the socket is created, for the very address that it connects to, whatever the URL or the resolver said.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import re
import socket
import threading
import unicodedata
from dataclasses import dataclass
from typing import TypeAlias
from urllib.parse import unquote

from aiohttp import TCPConnector
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network
Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address

URL_MAX = 2000

_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
_UNICAST = ipaddress.IPv6Network("2000::/3")  # all IPv6 unicast space that has been allocated
# IANA's special-purpose registries. `is_global` uses them too, but which edition depends on the Python version.
_SPECIAL = tuple(
    ipaddress.ip_network(text)
    for text in (
        "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24",
        "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24",
        "224.0.0.0/4", "240.0.0.0/4", "2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20",
        "168.63.129.16/32",  # Azure's own services, on an address that looks public
    )
)  # fmt: skip
_IPV4_MASK = 0xFFFFFFFF
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*", re.ASCII)
_HTTPS = "must start with https:// and be a URL in ASCII"
_NOT_PUBLIC = "must resolve to a public address"
_NO_HOST = "must have a valid host name or IP address"
_PRIVATE_NAMES = (".localhost", ".local", ".localdomain", ".internal", ".intranet", ".lan", ".home.arpa")
_LOOPBACK: tuple[Network, ...] = (ipaddress.IPv4Network("127.0.0.0/8"), ipaddress.IPv6Network("::1/128"))
_PRIVATE: tuple[Network, ...] = tuple(
    ipaddress.ip_network(text)
    # The last two: carriers' and overlay networks, and unique local addresses.
    for text in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "fc00::/7")
)
_METADATA = tuple(
    ipaddress.ip_network(text)
    for text in (
        "100.100.100.200/32",  # Alibaba
        "fd00:ec2::/32",  # Amazon
        "fd20:ce::254/128",  # Google
        "fd00:42::42/128",  # Scaleway
        "fd00:a9fe:a9fe::1/128",  # Akamai
        "fd00:c1::a9fe:a9fe/128",  # Oracle
    )
)
"""Where clouds serve a machine's credentials within networks that are otherwise private. No setting admits them."""


class AddressRefused(OSError):
    """A URL leads to an address that must not be called. The text is always the same: it names no address."""

    def __init__(self) -> None:
        """Use one fixed text, so that errors of several tried addresses collapse into one."""
        super().__init__("the address is not public")


def parse_networks(text: str) -> tuple[Network, ...]:
    """Networks from `10.0.0.0/8,fd00::/8`; ValueError names an invalid one."""
    return tuple(ipaddress.ip_network(part.strip()) for part in text.split(",") if part.strip())


def is_public(address: Address) -> bool:
    """Whether it is a public internet address: not private, loopback, link-local, shared, multicast or reserved."""
    if isinstance(address, ipaddress.IPv6Address):
        inner = address.ipv4_mapped
        if inner is None and address in _NAT64:
            inner = ipaddress.IPv4Address(int(address) & _IPV4_MASK)
        if inner is None and address not in _UNICAST:
            return False
        address = inner or address
    return address.is_global and not within(address, _SPECIAL)


def written_address(host: str) -> Address | None:
    """A URL's host as an address, in any notation that a client may accept; None: it is a name.

    `2130706433`, `0x7f.1`, `0177.0.0.1` and `127.1` are all 127.0.0.1 for clients that parse hosts as C does.
    ValueError if it ends in a number and is not an address: clients differ in how they read such a host.
    """
    host = _plain_host(host)
    with contextlib.suppress(ValueError):
        return ipaddress.ip_address(host.partition("%")[0])
    if ":" in host:
        raise ValueError(host)
    if not _NUMBER.fullmatch(host.rpartition(".")[2]):
        return None
    try:
        return ipaddress.IPv4Address(socket.inet_aton(host))
    except OSError:
        raise ValueError(host) from None


def _plain_host(host: str) -> str:
    """The host with escapes and full-width characters decoded, and without the root's dot, as some clients read it."""
    host = unicodedata.normalize("NFKC", unquote(host)).lower().replace("\u3002", ".")
    return host.strip("[]").rstrip(".")


def unmapped(address: Address) -> Address:
    """The IPv4 address in an IPv4-mapped IPv6 one, as dual-stack sockets report it; others unchanged."""
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address


def within(address: Address, networks: tuple[Network, ...]) -> bool:
    """Whether the address is in one of the networks."""
    return any(address.version == network.version and address in network for network in networks)


@dataclass(frozen=True, slots=True)
class AddressGuard:
    """Allows public addresses over `https:`, and those in `networks` over `http:` too."""

    networks: tuple[Network, ...] = ()
    plain_anywhere: bool = False  # `http:` also to public addresses
    setting: str | None = None  # the setting with `networks`, named in refusals

    @classmethod
    def beside(cls, host: str | None) -> AddressGuard:
        """For URLs named by an operator's server: public and private addresses; loopback if the server is on loopback.

        Never link-local addresses or others where clouds serve a machine's credentials.
        """
        try:
            near = host == "localhost" or unmapped(ipaddress.ip_address(host or "")).is_loopback
        except ValueError:
            near = False
        return cls((*_PRIVATE, *_LOOPBACK) if near else _PRIVATE, plain_anywhere=True)

    def admits(self, address: str, *, plain: bool = False) -> bool:
        """Whether a socket may be connected to this address; `plain`: without TLS."""
        known = ipaddress.ip_address(address.partition("%")[0])
        if within(unmapped(known), _METADATA):
            return False
        return within(unmapped(known), self.networks) or ((self.plain_anywhere or not plain) and is_public(known))

    def problem(self, url: str) -> str | None:
        """What is wrong with a URL to be called, as far as its text shows; None: nothing."""
        if len(url) > URL_MAX:
            return f"must have at most {URL_MAX:,} characters"
        try:
            parsed = URL(url)
            host, _ = parsed.host, parsed.port
        except ValueError:
            return "must be a URL, such as https://example.com/hooks"
        if parsed.scheme not in {"https", "http"} or not host or not all("!" <= mark <= "~" for mark in url):
            return f"{_HTTPS}, such as https://example.com/hooks"
        if parsed.user is not None or parsed.password is not None or parsed.raw_fragment:
            return "must not have a user, a password or a fragment"
        plain = parsed.scheme == "http"
        problem = self._problem_of_host(host, plain=plain)
        if problem is None and plain and not self.networks and not self.plain_anywhere:
            return _HTTPS + (f". Plain http: is only allowed in networks of {self.setting}" if self.setting else "")
        return problem

    def problem_of_input(self, url: str) -> str | None:
        """What is wrong with an `https:` URL that others will fetch, as far as its text shows; None: nothing.

        Names for this machine, or for one in a private network, are rejected unless networks are allowed: names are
        not resolved here, so it is unknown which network they belong to.
        """
        try:
            host = _plain_host(URL(url).host or "")
        except ValueError:
            return _NO_HOST
        problem = self._problem_of_host(host)
        if problem is not None or self.networks or ":" in host:
            return problem
        private = written_address(host) is None and ("." not in host or host.endswith(_PRIVATE_NAMES))
        return (
            _NOT_PUBLIC + (f". {self.setting} can allow your own networks" if self.setting else "") if private else None
        )

    def _problem_of_host(self, host: str, *, plain: bool = False) -> str | None:
        try:
            address = written_address(host)
        except ValueError:
            return _NO_HOST
        if address is None or self.admits(str(address), plain=plain):
            return None
        if is_public(unmapped(address)):
            return _HTTPS
        # No hint for addresses at which clouds serve a machine's credentials.
        hint = self.setting is not None and not address.is_link_local and not within(unmapped(address), _METADATA)
        return _NOT_PUBLIC + (f". {self.setting}={address}/{address.max_prefixlen} would allow it" if hint else "")

    def connector(self, *, plain: bool = False, limit: int = 100, keepalive_seconds: float = 15) -> TCPConnector:
        """A connector that only reaches admitted addresses; `plain`: for `http:` URLs. Do not follow redirects with it.

        A refused address ends in aiohttp's ClientConnectorError with AddressRefused as its `os_error`.
        """

        def checked(info: tuple[int, int, int, str, tuple[object, ...]]) -> socket.socket:
            family, kind, protocol, _, target = info
            if not self.admits(str(target[0]), plain=plain):
                raise AddressRefused
            return socket.socket(family, kind, protocol)

        return TCPConnector(
            resolver=PatientResolver(), socket_factory=checked, limit=limit, keepalive_timeout=keepalive_seconds
        )


def is_refusal(error: BaseException | None) -> bool:
    """Whether a client's error was caused by a refused address."""
    while error is not None and not isinstance(error, AddressRefused):
        error = error.__cause__
    return error is not None


class PatientResolver(AbstractResolver):
    """Resolves each name in its own thread, so that a hung name server delays no other call, nor the process's exit.

    The event loop's resolver shares a few threads with everything else: a few hung names would block them all.
    """

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """All addresses of a name; OSError if there are none."""
        loop = asyncio.get_running_loop()
        found: asyncio.Future[list[ResolveResult]] = loop.create_future()

        def finish(results: list[ResolveResult], error: Exception | None) -> None:
            if found.done():
                return  # the caller has given up
            found.set_exception(error) if error is not None else found.set_result(results)

        def look_up() -> None:
            results: list[ResolveResult] = []
            failed: Exception | None = None
            try:
                results = _look_up(host, port, family)
            except Exception as error:  # noqa: BLE001 - raised again in the loop
                failed = error
            with contextlib.suppress(RuntimeError):  # the loop may be closed by now
                loop.call_soon_threadsafe(finish, results, failed)

        threading.Thread(target=look_up, name="look up a name", daemon=True).start()
        return await found

    async def close(self) -> None:
        """Nothing to do: threads still resolving end by themselves."""


def _look_up(host: str, port: int, family: socket.AddressFamily) -> list[ResolveResult]:
    flags = socket.AI_NUMERICHOST | socket.AI_NUMERICSERV
    results = []
    for found_family, _, protocol, _, target in socket.getaddrinfo(
        host, port, family=family, type=socket.SOCK_STREAM, flags=socket.AI_ADDRCONFIG
    ):
        results.append(
            ResolveResult(
                hostname=host, host=str(target[0]), port=port, family=found_family, proto=protocol, flags=flags
            )
        )
    if not results:
        raise OSError("no addresses")
    return results
