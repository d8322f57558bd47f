"""HTTP calls for all providers: one session, timeouts, bounded bodies, and errors that say whether to retry.

What matters is whether the provider may have accepted the job. If no connection was made, it has not:
ProviderUnreachable, retry. Nor if it answered with an error of its own (429, 500, 503, …): both are `refused`. If the
response was lost, or a proxy answered in its place (502, 504, Cloudflare's 520 to 527), nobody knows: for a repeatable
call (a poll; a submit with an idempotency key) the first two are ProviderUnreachable too, otherwise ProviderFailed,
which is retried at most `attempts_max` times. Nor after a redirect, which may follow an accepted job (303). So this
module itself neither retries nor follows redirects.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import math
import time
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Any

import aiohttp
from yarl import URL

from gateway.errors import (
    ProviderBusy,
    ProviderError,
    ProviderFailed,
    ProviderNotSetUp,
    ProviderRejected,
    ProviderUnreachable,
)
from gateway.outside.addresses import AddressGuard, is_refusal
from gateway.outside.outgoing import Outgoing, RedirectsEndless, UrlRefused
from workers.providers.base import Connection
from workers.providers.details import words_of
from workers.providers.values import document_in, is_address

ANSWER_BYTES_MAX = 4 * 1024 * 1024
OUTPUT_BYTES_MAX = 256 * 1024 * 1024  # ten minutes of 1080p; it is in memory until it is stored

_CONNECT_SECONDS = 10.0
_POLL_SECONDS = 30.0
_SILENCE_SECONDS = 60.0  # without data during a download
# Less than the 5 s after which common servers close idle connections, at the earliest: if a submit is written while the
# connection is being closed, nobody knows whether it arrived.
_IDLE_SECONDS = 4.0
_PATIENCE_SECONDS_MAX = 900.0
_MESSAGE_BYTES_MAX = 32 * 1024 * 1024  # of a WebSocket

_TO_STANDARD = bytes.maketrans(b"-_", b"+/")
_BETWEEN_DIGITS = b" \t\r\n\f\v"

_NOT_PUBLIC = "an output URL resolves to an address that is not public"

_OURS_TO_MEND = {
    401: "check the key in its `key_env`",
    402: "its account is out of funds",
    403: "its key lacks permission: check the key and its account",
    404: "check `base_url` and `provider_model`",
}
_REQUEST_AT_FAULT = frozenset({400, 406, 409, 411, 413, 414, 415, 416, 422, 451})
_LOST_ON_THE_WAY = frozenset({408, 425, 502, 503, 504})  # from proxies in front of it
# The others come from proxies, after the call may have arrived: 524 says that the answer took too long.
_ITS_OWN_ERRORS = frozenset({500, 501, 505, 506, 507, 508, 510})


@dataclass(frozen=True, slots=True)
class ProviderResponse:
    """A provider's response, read completely, whatever its status. `repeatable`: whether its call may be repeated.

    `url` is its address: relative URLs in it are relative to that.
    """

    method: str
    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)
    repeatable: bool
    url: URL = field(default_factory=URL, repr=False)

    @property
    def ok(self) -> bool:
        """Whether the status is 2xx."""
        return 200 <= self.status < 300  # noqa: PLR2004 - HTTP's own numbers

    @property
    def broken(self) -> bool:
        """Whether the status is 5xx: the provider's fault, and it is unknown whether the call took effect."""
        return self.status >= 500  # noqa: PLR2004 - HTTP's own number

    def json(self) -> Any:
        """The body as JSON; None if it is not JSON."""
        return document_in(self.body)

    def document(self) -> dict[str, Any]:
        """The body as a JSON object; ProviderFailed or ProviderUnreachable if it is not one."""
        document = self.json()
        if not isinstance(document, dict):
            kind = self.headers.get("Content-Type", "no type")[:40]
            raise lost(f"its response ({self.status}, {len(self.body):,} bytes of {kind}) is not a JSON object", self)
        return document


def lost(detail: str, call: ProviderResponse) -> ProviderError:
    """The error for an unusable response: unreachable if the call may be repeated, else failed."""
    return ProviderUnreachable(detail) if call.repeatable else ProviderFailed(detail)


class ProviderCalls:
    """HTTP calls to one provider. The session is created at the first call, in its event loop, and kept."""

    def __init__(
        self, connection: Connection, *, base_url: str | None = None, headers: Mapping[str, str] | None = None
    ) -> None:
        """Call `connection.base_url`, or else the vendor's `base_url`; `headers` are sent to the provider only.

        At a vendor's own address, output URLs may come from anybody's model, so calls and downloads go to public
        addresses only. An address configured by the operator may be in a private network, and so may its outputs; cloud
        metadata services are refused in any case.
        """
        self._base = URL((connection.base_url or base_url or "").rstrip("/"))
        self._key = connection.key
        self._seconds = connection.timeout_seconds
        named = connection.base_url is not None
        self._outgoing = Outgoing(
            AddressGuard.beside(self._base.host) if named else AddressGuard(),
            own=self._base if self._base.host else None,
            own_is_guarded=not named,
            headers=headers,
            idle_seconds=_IDLE_SECONDS,
        )

    async def ask(
        self,
        method: str,
        path: str,
        *,
        repeatable: bool,
        json: Any = None,
        form: aiohttp.FormData | None = None,
        headers: Mapping[str, str] | None = None,
        slow: bool = False,
        bytes_max: int = ANSWER_BYTES_MAX,
    ) -> ProviderResponse:
        """Call once and read the response, whatever its status. `path` begins with a slash, or is a full URL.

        `slow`: allow the table's `timeout`, for responses that are the result; otherwise at most half a minute.
        Raises ProviderUnreachable or ProviderFailed, as described above. Other hosts do not get our headers.
        """
        url = self._at(path)
        seconds = self._seconds if slow else min(self._seconds, _POLL_SECONDS)
        timeout = aiohttp.ClientTimeout(total=seconds, connect=min(seconds, _CONNECT_SECONDS))
        async with (
            _in_our_errors(method, repeatable=repeatable, asks=True),
            self._outgoing.request(method, url, json=json, data=form, headers=headers, timeout=timeout) as response,
        ):
            body = await _read(response, bytes_max)
        return ProviderResponse(method, response.status, response.headers, body, repeatable, url)

    async def fetch(self, url: str, *, bytes_max: int = OUTPUT_BYTES_MAX) -> bytes:
        """Download an output, from a path at the provider or any URL; only the provider itself gets our headers.

        Raises ProviderFailed if it is gone or too large, else ProviderUnreachable: the download may be retried.
        """
        at = self._at(url)
        timeout = aiohttp.ClientTimeout(total=self._seconds, connect=_CONNECT_SECONDS, sock_read=_SILENCE_SECONDS)
        async with (
            _in_our_errors("GET", repeatable=True),
            self._outgoing.get(at, timeout=timeout) as response,
        ):
            if response.status == 200:  # noqa: PLR2004 - HTTP's own number
                return await _read(response, bytes_max)
            answer = ProviderResponse("GET", response.status, response.headers, b"", repeatable=True)
        if answer.status in {401, 403, 404, 410}:  # expired signed links return 403
            raise ProviderFailed(f"an output at {at.host} cannot be fetched: {answer.status}")
        error = self.refusal(answer)
        error.refused = False  # the job has been made
        raise error

    @asynccontextmanager
    async def socket(self, path: str) -> AsyncGenerator[aiohttp.ClientWebSocketResponse]:
        """A WebSocket with heartbeats to detect a dead one. ProviderUnreachable if it cannot be opened, or is lost."""
        async with _in_our_errors("GET", repeatable=True):
            async with asyncio.timeout(_CONNECT_SECONDS):
                socket = await self._outgoing.socket(self._at(path), heartbeat=20, max_msg_size=_MESSAGE_BYTES_MAX)
            try:
                yield socket
            finally:
                await socket.close()

    def refusal(self, answer: ProviderResponse, *, private: str = "") -> ProviderError:
        """The error for a response that is not 2xx. Check first whether it means moderated at this vendor.

        `private` is the prompt: details never repeat it.
        """
        status = answer.status
        words = words_of(answer.json(), key=self._key, private=private)
        detail = f"it responded with {status}{f': {words}' if words else ''}"
        if status == 429 or (status == 503 and "Retry-After" in answer.headers):  # noqa: PLR2004 - HTTP's own numbers
            return ProviderBusy(detail, retry_after_seconds(answer.headers))
        if status in _OURS_TO_MEND:
            # Not the request's fault: a job at the provider is kept until an operator has fixed this.
            return ProviderNotSetUp(f"{_OURS_TO_MEND[status]}: {detail}")
        if status in _REQUEST_AT_FAULT:
            return ProviderRejected(detail)
        if status in _LOST_ON_THE_WAY:
            error = lost(detail, answer)
            error.refused = status == HTTPStatus.SERVICE_UNAVAILABLE
            return error
        if answer.broken:
            failed = ProviderUnreachable if answer.method == "GET" else ProviderFailed
            return failed(detail, refused=status in _ITS_OWN_ERRORS)
        hint = "; check `base_url`" if 300 <= status < 400 else ""  # noqa: PLR2004 - HTTP's own numbers
        return ProviderFailed(detail + hint, refused=not answer.ok and not hint)

    async def close(self) -> None:
        """Close the sessions, if there are any."""
        await self._outgoing.close()

    def _at(self, path: str) -> URL:
        text = path if is_address(path) else f"{self._base}{path}" if path.startswith("/") else ""
        # A signed link must not be re-encoded, so a valid URL is kept as it is.
        as_it_is = text.isascii() and text.isprintable() and " " not in text
        try:
            url = URL(text, encoded=as_it_is)
        except ValueError:
            url = URL()
        if url.scheme not in {"http", "https"} or not url.host:
            raise ProviderFailed("it returned a URL that is neither http: nor https:")
        return url


def retry_after_seconds(headers: Mapping[str, str]) -> float | None:
    """How long a provider asks us to wait, at most a quarter of an hour; None if it does not."""
    for name, scale in (("Retry-After-Ms", 1000), ("Retry-After", 1)):
        if name in headers:
            seconds = _seconds(headers[name], scale)
            return None if seconds is None else min(max(seconds, 0.0), _PATIENCE_SECONDS_MAX)
    return None


def decoded(text: object, *, bytes_max: int = OUTPUT_BYTES_MAX) -> bytes:
    """Decode an output in base64 or a `data:` URL; ProviderFailed if it is invalid or too large.

    Line breaks (RFC 2045), the URL-safe alphabet (RFC 4648, 5) and missing padding are all accepted.
    """
    if not isinstance(text, str):
        raise ProviderFailed("an output is neither base64 nor a URL")
    if text[:5].lower() == "data:":
        text = text.partition(",")[2]
    try:
        digits = text.encode("ascii").translate(_TO_STANDARD, _BETWEEN_DIGITS).rstrip(b"=")
        if len(digits) * 3 // 4 > bytes_max:
            raise ProviderFailed(f"an output is larger than {bytes_max:,} bytes")
        return base64.b64decode(digits + b"=" * (-len(digits) % 4), validate=True)
    except (binascii.Error, ValueError):
        raise ProviderFailed("an output is not base64") from None


def _seconds(text: str, scale: int) -> float | None:
    try:
        seconds = float(text) / scale
    except ValueError:
        try:
            return parsedate_to_datetime(text).timestamp() - time.time()
        except (ValueError, OverflowError):
            return None
    return None if math.isnan(seconds) else seconds


async def _read(response: aiohttp.ClientResponse, bytes_max: int) -> bytes:
    """The whole body; ProviderFailed once it is larger than `bytes_max`, decompressed."""
    body = bytearray()
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) > bytes_max:
            raise ProviderFailed(f"its response is larger than {bytes_max:,} bytes")
    return bytes(body)


@asynccontextmanager
async def _in_our_errors(method: str, *, repeatable: bool, asks: bool = False) -> AsyncGenerator[None]:
    """`asks`: without a connection, the provider was not asked for anything."""
    try:
        yield
    except UrlRefused as refused:
        raise ProviderFailed(f"an output URL {refused.words}") from None
    except RedirectsEndless:
        raise ProviderFailed("an output URL has too many redirects") from None
    except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
        if is_refusal(error):
            raise ProviderFailed(_NOT_PUBLIC) from None
        raise ProviderUnreachable(f"no connection: {type(error).__name__}", refused=asks) from None
    except aiohttp.InvalidURL:
        raise ProviderNotSetUp("its URL is invalid: check `base_url`") from None
    except (TimeoutError, aiohttp.ClientError, OSError) as error:
        if is_refusal(error):
            raise ProviderFailed(_NOT_PUBLIC) from None
        detail = f"its response to {method} was lost: {type(error).__name__}"
        raise ProviderUnreachable(detail) if repeatable else ProviderFailed(detail) from None
