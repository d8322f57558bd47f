"""Listening addresses: who can reach them, and which address clients and this machine use."""

from __future__ import annotations

import errno
import ipaddress
import socket
from functools import cache

from gateway.errors import SettingsError
from gateway.outside.addresses import unmapped

# Two addresses reserved for documentation: nothing is sent there, they only select the default route.
_FAR_AWAY = ((socket.AF_INET, "192.0.2.1"), (socket.AF_INET6, "2001:db8::1"))


@cache
def is_loopback(host: str) -> bool:
    """Whether only this machine can connect to `host`; a name that does not resolve counts as reachable by others."""
    found = _addresses(host)
    return bool(found) and all(address.is_loopback for address in found)


@cache
def is_every_address(host: str) -> bool:
    """Whether it means all addresses of this machine: `0.0.0.0`, `::` or an empty host."""
    found = _addresses(host)
    return not host or any(address.is_unspecified for address in found)


@cache
def public_host(host: str) -> str:
    """The host that clients on other machines use: itself, or, for all addresses, that of the default route.

    This is a guess if a machine has several; if it has none, its name is used.
    """
    if not is_every_address(host):
        return host
    wanted = [one for one in _FAR_AWAY if (one[0] == socket.AF_INET6) is (":" in host)]
    others = [one for one in _FAR_AWAY if one not in wanted]
    for family, far_away in (*wanted, *others):
        try:
            with socket.socket(family, socket.SOCK_DGRAM) as asking:
                asking.connect((far_away, 9))
                return str(asking.getsockname()[0])
        except OSError:
            continue
    return socket.gethostname()


def local_host(host: str) -> str:
    """The host that this machine uses: a loopback address if `host` means all."""
    if not is_every_address(host):
        return host
    return "::1" if ":" in host else "127.0.0.1"


def free_port(host: str, port: int, command: str) -> int:
    """Check that the port is free and return it; for 0, the system chooses. SettingsError suggests a `command`."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        with socket.create_server((host, port), family=family) as probe:
            found: int = probe.getsockname()[1]
            return found
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise SettingsError(
                f"FAREBOX_PORT: port {port} is in use by another program. Stop it, or choose another port: "
                f"FAREBOX_PORT={port + 1} farebox {command}"
            ) from None
        raise SettingsError(f"FAREBOX_HOST, FAREBOX_PORT: cannot listen: {error.strerror or error}") from None


def http_address(host: str, port: int) -> str:
    """The URL of a server there, with the brackets an IPv6 address needs."""
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"


def _addresses(host: str) -> list[ipaddress.IPv4Address | ipaddress.IPv6Address]:
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return []
    return [unmapped(ipaddress.ip_address(str(target[0]).partition("%")[0])) for *_, target in found]
