"""Every HTTP call that Farebox makes: the only module that opens a client session.

A call goes either to an origin that an operator has named (a provider's `base_url`, our own gateway), or to an address
that a guard admits. The guard judges the URL before, and the very address where the socket is made, at the first call
and at each redirect alike. Headers with credentials go to the origin they are meant for, and never again once a
redirect has led away from it: where it leads back, somebody else chose what is asked there.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
from yarl import URL

from gateway.outside.addresses import AddressGuard, AddressRefused

REDIRECTS_MAX = 5
MOVED = frozenset({301, 302, 303, 307, 308})
USER_AGENT = "farebox"


class UrlRefused(AddressRefused):
    """A URL that can be seen to lead where nobody may call. `words` complete "the address …"."""

    def __init__(self, words: str) -> None:
        """Keep the words; the text stays that of every refused address."""
        super().__init__()
        self.words = words


class RedirectsEndless(OSError):
    """More redirects than anybody needs."""


class Outgoing:
    """Calls to one named origin, and to what a guard admits. Sessions are made at the first call, in its loop."""

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
        """`own`: an origin that an operator has named, wherever it is; `headers` go there and nowhere else.

        `own_is_guarded`: nobody has named it here, so it must be where the guard admits, as everything else.

        `unpack` says whether packed bodies are unpacked. There is no limit of connections: who calls has one.
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
        """One call, whose redirects are answers. UrlRefused, or aiohttp's errors (see `AddressGuard.connector`)."""
        ours = self._headers if self.is_own(url) else {}
        options.setdefault("allow_redirects", False)
        if options["allow_redirects"]:
            raise ValueError("use `get`, which checks each redirect")
        async with self._session(url).request(method, url, headers={**ours, **(headers or {})}, **options) as response:
            yield response

    @asynccontextmanager
    async def get(
        self, url: URL, *, headers: Mapping[str, str] | None = None, **options: Any
    ) -> AsyncGenerator[aiohttp.ClientResponse]:
        """A download, redirects followed. RedirectsEndless, or as `request`."""
        ours: Mapping[str, str] = self._headers if self.is_own(url) else {}
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
        # The guard's limit of length is one for addresses that are kept; a signed one may be longer.
        problem = self.guard.problem(str(url.with_query(None).with_fragment(None)))
        if problem is not None:
            raise UrlRefused(problem)
        plain = url.scheme == "http"
        return self._kept(
            url.scheme, lambda: self.guard.connector(plain=plain, limit=0, keepalive_seconds=self._idle_seconds)
        )

    async def _stay(self, request: aiohttp.ClientRequest, send: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
        """Keep the session that no guard watches at its origin: aiohttp follows a WebSocket's redirects by itself."""
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
    # A signed link means its very characters, so what is an address as it stands stays as it is.
    as_it_is = location.isascii() and location.isprintable() and " " not in location
    try:
        url = response.url.join(URL(location, encoded=as_it_is)).with_fragment(None)
    except ValueError:
        raise UrlRefused("is not a URL, after a redirect") from None
    if url.scheme not in {"http", "https"} or not url.host:
        raise UrlRefused("must be http: or https:, after a redirect")
    return url
