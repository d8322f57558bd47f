"""Every HTTP call that Farebox makes: the only module that opens a client session.

A call goes either to an origin that an operator has named (a provider's `base_url`, our own gateway), or to an address
that a guard admits. The guard checks the URL first, and then the very address that the socket connects to, for the
first call and for each redirect. Headers with credentials are sent only to the origin they are meant for, and no longer
once a redirect has led away from it: if it leads back, somebody else chose that URL.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
from yarl import URL

from gateway import tracing
from gateway.outside.addresses import AddressGuard, AddressRefused

REDIRECTS_MAX = 5
MOVED = frozenset({301, 302, 303, 307, 308})
USER_AGENT = "farebox"


class UrlRefused(AddressRefused):
    """A URL whose text shows that it must not be called. `words` complete "the address …"."""

    def __init__(self, words: str) -> None:
        """Keep the words; the error's own text is that of every refused address."""
        super().__init__()
        self.words = words


class RedirectsEndless(OSError):
    """Too many redirects."""


class Outgoing:
    """Calls one named origin, and what a guard admits. Sessions are created at the first call, in its loop."""

    def __init__(
        self,
        guard: AddressGuard,
        *,
        own: URL | None = None,
        own_is_guarded: bool = False,
        headers: Mapping[str, str] | None = None,
        idle_seconds: float = 15,
        unpack: bool = True,
    ) -> None:
        """`own`: an origin that an operator has named, at any address; `headers` are sent there and nowhere else.

        `own_is_guarded`: it was not named by an operator, so the guard must admit its address too.

        `unpack`: decompress bodies. Connections are not limited here: callers have limits of their own.
        """
        self.guard = guard
        self._own = None if own is None else own.origin()
        self._own_is_guarded = own_is_guarded
        self._headers = dict(headers or {})
        self._idle_seconds = idle_seconds
        self._unpack = unpack
        self._sessions: dict[str, aiohttp.ClientSession] = {}

    def is_own(self, url: URL) -> bool:
        """Whether it is at the named origin."""
        return self._own is not None and url.origin() == self._own

    @asynccontextmanager
    async def request(
        self, method: str, url: URL, *, headers: Mapping[str, str] | None = None, **options: Any
    ) -> AsyncGenerator[aiohttp.ClientResponse]:
        """One call; redirects are not followed. UrlRefused, or aiohttp's errors (see `AddressGuard.connector`)."""
        ours = {**self._headers, **tracing.headers()} if self.is_own(url) else {}
        options.setdefault("allow_redirects", False)
        if options["allow_redirects"]:
            raise ValueError("use `get`, which checks each redirect")
        async with self._session(url).request(method, url, headers={**ours, **(headers or {})}, **options) as response:
            yield response

    @asynccontextmanager
    async def get(
        self, url: URL, *, headers: Mapping[str, str] | None = None, **options: Any
    ) -> AsyncGenerator[aiohttp.ClientResponse]:
        """A download; redirects are followed. RedirectsEndless, or as `request`."""
        ours: Mapping[str, str] = {**self._headers, **tracing.headers()} if self.is_own(url) else {}
        for _ in range(REDIRECTS_MAX + 1):
            async with self._session(url).get(
                url, headers={**ours, **(headers or {})}, allow_redirects=False, **options
            ) as response:
                if response.status not in MOVED or "Location" not in response.headers:
                    yield response
                    return
                url = _target(response)
            if not self.is_own(url):
                ours = {}
        raise RedirectsEndless(f"more than {REDIRECTS_MAX} redirects")

    async def socket(self, url: URL, **options: Any) -> aiohttp.ClientWebSocketResponse:
        """A WebSocket at the named origin."""
        if not self.is_own(url):
            raise UrlRefused("must be at the provider's own origin")
        made: aiohttp.ClientWebSocketResponse = await self._session(url).ws_connect(
            url, headers=self._headers, **options
        )
        return made

    async def close(self) -> None:
        """Close every connection."""
        for session in self._sessions.values():
            await session.close()

    def _session(self, url: URL) -> aiohttp.ClientSession:
        if self.is_own(url) and not self._own_is_guarded:
            return self._kept(
                "own", lambda: aiohttp.TCPConnector(limit=0, keepalive_timeout=self._idle_seconds), self._stay
            )
        # The guard's length limit is for URLs that are stored; a signed one may be longer.
        problem = self.guard.problem(str(url.with_query(None).with_fragment(None)))
        if problem is not None:
            raise UrlRefused(problem)
        plain = url.scheme == "http"
        return self._kept(
            url.scheme, lambda: self.guard.connector(plain=plain, limit=0, keepalive_seconds=self._idle_seconds)
        )

    async def _stay(self, request: aiohttp.ClientRequest, send: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
        """Keep the unguarded session at its origin: aiohttp follows a WebSocket's redirects by itself."""
        if not self.is_own(request.url):
            raise UrlRefused("must be at the provider's own origin, after a redirect")
        return await send(request)

    def _kept(
        self, name: str, connector: Callable[[], aiohttp.TCPConnector], *between: aiohttp.ClientMiddlewareType
    ) -> aiohttp.ClientSession:
        if name not in self._sessions:
            self._sessions[name] = aiohttp.ClientSession(
                connector=connector(),
                cookie_jar=aiohttp.DummyCookieJar(),
                headers={"User-Agent": USER_AGENT},
                auto_decompress=self._unpack,
                middlewares=between,
            )
        return self._sessions[name]


def _target(response: aiohttp.ClientResponse) -> URL:
    location = response.headers["Location"]
    # The signature of a link covers its exact characters, so a valid URL is not re-encoded.
    as_it_is = location.isascii() and location.isprintable() and " " not in location
    try:
        url = response.url.join(URL(location, encoded=as_it_is)).with_fragment(None)
    except ValueError:
        raise UrlRefused("is not a URL, after a redirect") from None
    if url.scheme not in {"http", "https"} or not url.host:
        raise UrlRefused("must be http: or https:, after a redirect")
    return url
