"""The client's address, determined in one place: for limits, for logs, for everything counted per client."""

from __future__ import annotations

from aiohttp import web

from gateway.api.services import PROXIES


def client_address(request: web.Request) -> str:
    """The client's address: the connection's own, or the one reported by a trusted proxy (FAREBOX_TRUSTED_PROXIES).

    For counting, use `gateway.outside.proxies.one_client` of it: a client with an IPv6 address has 2⁶⁴ of them.
    """
    proxies = request.app[PROXIES]
    peer = request.remote or ""  # None once the connection is gone
    return proxies.client(peer, request.headers.getall(proxies.header, ()))
