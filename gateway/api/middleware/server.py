"""Below the routes: closes slow connections, and answers invalid HTTP with our error envelope.

aiohttp itself ends an idle connection in time (`keepalive_timeout`); reading a body has its limit in `parse.py`;
`admission.py` limits the number of connections. This module does the rest: request heads that do not arrive or are
invalid, and clients that do not read.
"""

from __future__ import annotations

import asyncio
import contextlib
from http import HTTPStatus
from typing import Any, cast

import structlog
from aiohttp import hdrs, web
from aiohttp.http_exceptions import BadHttpMessage, LineTooLong

from gateway.api import limits
from gateway.api.errors import ApiError, HeadersTooLarge, InvalidHttp, internal_error
from gateway.api.http.context import context
from gateway.api.http.error_forms import ErrorForms, answer_in_form
from gateway.api.middleware.admission import Admission, ConnectionRefused, ConnectionState, Place
from gateway.api.middleware.cross_origin import open_to_origin
from gateway.api.middleware.envelope import Handler, answered
from gateway.api.middleware.traced import traced
from gateway.api.services import ERROR_FORMS, SETTINGS
from gateway.local import open_files
from gateway.settings import Settings

_TOO_MANY_HEADERS = "Too many headers"  # aiohttp has no exception of its own for it

_QUIET_SECONDS = 1.0  # without a response, before idle connections are closed
_LOOK_SECONDS = 0.05
_CANCEL_SECONDS = 1.0  # for a request that is cancelled because the server stops

log = structlog.get_logger("gateway.requests")


class ClientConnection(web.RequestHandler):
    """One client's connection."""

    __slots__ = ("_answered", "_head_due", "_stuck", "admission", "place")

    admission: Admission
    place: Place

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._stuck: asyncio.TimerHandle | None = None
        self._head_due: asyncio.TimerHandle | None = None
        self._answered = 0

    def take(self, place: Place, admission: Admission, handler: Handler) -> None:
        """Take a place; `handler` serves the requests."""
        self.place, self.admission, self._request_handler = place, admission, handler

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client has connected: it has limited time to send a request head."""
        super().connection_made(transport)
        seconds = limits.HEAD_SECONDS if self.place.refusal is None else limits.RESERVE_HEAD_SECONDS
        self._head_due = self._loop.call_later(seconds, self._no_head)

    def data_received(self, data: bytes) -> None:
        """Process received data. A head that has started must be completed in time."""
        # aiohttp drops what arrives once the server stops, also the rest of a body that a handler waits for.
        stopping, self._close = self._close, self._close and not self._request_in_progress
        super().data_received(data)
        self._close = self._close or stopping
        if self._request_count > self._answered:
            if self._head_due is not None:
                self._forget_head()
            self.admission.note(self.place, ConnectionState.WORKING)
        elif self._head_due is None and data:
            self._head_due = self._loop.call_later(limits.HEAD_SECONDS, self._no_head)

    async def shutdown(self, timeout: float | None = 15.0) -> None:  # noqa: ASYNC109 - as aiohttp has it
        """Finish the request in progress, which may not have arrived whole yet; after `timeout`, cancel it."""
        if self._request_in_progress:
            self._handler_waiter = self._loop.create_future()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(timeout):
                    await self._handler_waiter
            self._handler_waiter = None
        await super().shutdown(_CANCEL_SECONDS)

    def pause_writing(self) -> None:
        """The client does not read: after a while, the connection is closed."""
        super().pause_writing()
        self._stuck = self._loop.call_later(limits.READ_SECONDS, self._cut_off)

    def resume_writing(self) -> None:
        """The client reads again."""
        self._forget_stuck()
        super().resume_writing()

    def connection_lost(self, exc: BaseException | None) -> None:
        """The connection is closed, by either side."""
        self._forget_stuck()
        self._forget_head()
        super().connection_lost(exc)

    async def finish_response(
        self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        """Send the response. The rest of a compressed body is not read: 100 KB of it may decompress to 100 MB."""
        unwanted = hdrs.CONTENT_ENCODING in request.headers and not request.content.is_eof()
        if unwanted:
            resp.force_close()  # tells the client not to send its next request here
        server = cast("Server | None", self._manager)  # None: the client is gone
        if self.place.refusal is not None:
            resp.force_close()  # the reserve is for one response
        if server is not None and server.leaving:
            resp.force_close()  # its next request goes to another process
        finished = await super().finish_response(request, resp, start_time)
        self._answered += 1
        if server is not None:
            server.answered_at = self._loop.time()
        if self._request_count <= self._answered and self._manager is not None:
            self.admission.note(self.place, ConnectionState.IDLE)
        if unwanted:
            self._lingering_time = 0.0
            if self.transport is not None:
                self.transport.pause_reading()
                await asyncio.sleep(limits.PACKED_LINGER_SECONDS)
        return finished

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,  # noqa: ARG002 - it repeats what the client sent
    ) -> web.StreamResponse:
        """Answer requests that never reached a route: an invalid head, or an error outside of all handlers."""
        if request.writer.output_size > 0:
            raise ConnectionResetError(
                "the response was cut off after its headers: the client sees that it is incomplete"
            )
        named = context(request).id
        if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            log.error("request_failed", request_id=named, exc_info=exc)
            error: ApiError = internal_error()
        else:
            log.info("request_not_read", request_id=named, why=type(exc).__name__)
            error = _refusal_of_head(exc)
        response = answer_in_form({}, "", error, named)  # its path may be unreadable
        response.force_close()
        return response

    def log_exception(self, *arguments: Any, **options: Any) -> None:
        """Log errors, except unreadable request bodies: the client got a response, or is gone."""
        if not isinstance(options.get("exc_info"), web.RequestPayloadError):
            super().log_exception(*arguments, **options)

    def _no_head(self) -> None:
        self._head_due = None
        if self._request_count <= self._answered and self.transport is not None:
            self.transport.abort()

    def _forget_head(self) -> None:
        if self._head_due is not None:
            self._head_due.cancel()
            self._head_due = None

    def _cut_off(self) -> None:
        self._stuck = None
        if self.transport is not None:
            log.info("client_cut_off", why="the client did not read the response", seconds=limits.READ_SECONDS)
            self.transport.abort()

    def _forget_stuck(self) -> None:
        if self._stuck is not None:
            self._stuck.cancel()
            self._stuck = None


class Server(web.Server):
    """Creates connections, within the limit that leaves file descriptors for the gateway's own work."""

    def __init__(
        self, handler: Handler, *, settings: Settings, connections: int, error_forms: ErrorForms, **options: Any
    ) -> None:
        proxies = settings.proxies
        self._proxies = proxies
        self._origins = settings.allowed_origins
        self._error_forms = error_forms
        self.admission = Admission(connections, settings.connections_per_address, proxies)
        self.leaving = False
        """Whether clients are asked to go: each response is the last on its connection."""
        self.answered_at = 0.0
        self._answer = answered(traced(handler))
        self._admit_and_answer = self._admitted(self._answer)
        super().__init__(self._answer, **options)

    def __call__(self) -> web.RequestHandler:
        """A new connection; called by asyncio."""
        return ClientConnection(self, loop=self._loop, **self._kwargs)

    def connection_made(self, handler: web.RequestHandler, transport: asyncio.Transport) -> None:
        """Give the connection a place, closing another if needed."""
        super().connection_made(handler, transport)
        peer = transport.get_extra_info("peername")
        address = str(peer[0]) if isinstance(peer, tuple) else ""
        place = self.admission.admit(address, transport.abort)
        answer = self._answer if place.admits_all else self._admit_and_answer
        cast("ClientConnection", handler).take(place, self.admission, answer)

    def connection_lost(self, handler: web.RequestHandler, exc: BaseException | None = None) -> None:
        """Free its place."""
        super().connection_lost(handler, exc)
        self.admission.leave(cast("ClientConnection", handler).place)

    def _admitted(self, handler: Handler) -> Handler:
        async def answer(request: web.Request) -> web.StreamResponse:
            place = cast("ClientConnection", request.protocol).place
            said = request.headers.getall(self._proxies.header, ())
            try:
                # Before routing: refusals here must cost as little as possible.
                with self.admission.request(place, request.path, lambda: self._proxies.client(place.peer, said)):
                    return await handler(request)
            except ConnectionRefused as refused:
                response = answer_in_form(self._error_forms, request.path, refused.error, context(request).id)
                open_to_origin(self._origins, request, response)
                return response

        return answer


class Runner(web.AppRunner):
    """Serves an application over connections with limits."""

    def __init__(self, app: web.Application, *, connections: int | None = None, **options: Any) -> None:
        """`connections`: the limit; None: as many as the process can have."""
        self._connections = connections
        super().__init__(
            app,
            access_log=None,
            keepalive_timeout=limits.IDLE_SECONDS,
            lingering_time=limits.LINGER_SECONDS,
            max_line_size=limits.HEADER_MAX_BYTES,
            max_field_size=limits.HEADER_MAX_BYTES,
            max_headers=limits.HEADERS_MAX,
            **options,
        )

    def accepts(self) -> asyncio.Protocol:
        """What reads a new connection, once this is set up."""
        if self.server is None:
            raise RuntimeError("the runner is not set up")
        return self.server()

    async def see_clients_off(self) -> None:
        """Answer what arrives on open connections, and ask each client to open its next one, at another process.

        Without that, a request that a client sends at the moment when its idle connection is closed would be lost. It
        takes until all are gone, or a second after the last response.
        """
        server = cast("Server | None", self.server)
        if server is None:
            return
        loop = asyncio.get_running_loop()
        server.leaving, server.answered_at = True, loop.time()
        while server.connections and loop.time() - server.answered_at < _QUIET_SECONDS:  # noqa: ASYNC110 - or nothing
            await asyncio.sleep(_LOOK_SECONDS)

    async def _make_server(self) -> web.Server:
        # The only way to use our own connection class with aiohttp.
        made = await super()._make_server()
        settings = self.app[SETTINGS]
        return Server(
            made.request_handler,
            settings=settings,
            connections=connections_max() if self._connections is None else self._connections,
            error_forms=self.app.get(ERROR_FORMS, {}),
            request_factory=made.request_factory,
            **made._kwargs,  # noqa: SLF001
        )


def connections_max() -> int:
    """The connection limit: the process's open file limit, less what the gateway needs itself."""
    files = open_files.allowed()
    return max(files // 2, files - limits.DESCRIPTORS_KEPT)


def _refusal_of_head(error: BaseException | None) -> ApiError:
    """The parser's messages repeat what the client sent, perhaps a key: they are dropped."""
    if isinstance(error, LineTooLong) or (isinstance(error, BadHttpMessage) and _TOO_MANY_HEADERS in error.message):
        return HeadersTooLarge(
            f"The request line and each header are limited to {limits.HEADER_MAX_BYTES:,} bytes, and a request to "
            f"{limits.HEADERS_MAX} headers. Nothing was done."
        )
    return InvalidHttp("This is not a valid HTTP/1.1 request. Nothing was done.")
