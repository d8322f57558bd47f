"""HTTP as all providers speak it: one session, time limits, bounded bodies, and errors that say what may be done next.

The question that decides is whether the provider can have taken the job. A connection that was never made leaves
nothing behind: ProviderUnreachable, ask again. An answer that was lost leaves nobody wiser: where the call may be
repeated (a look; a submit whose key the provider knows) that is ProviderUnreachable too, and where it may not,
ProviderFailed, of which there are at most `attempts_max`. So no call is repeated here, and no redirect followed.
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
_SILENCE_SECONDS = 60.0  # of a download
# Below the 5 s after which the shortest-tempered common server ends an idle connection: a submit that is written into
# a connection while it ends is a submit of which nobody knows whether it arrived.
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
_LOST_ON_THE_WAY = frozenset({408, 425, 502, 503, 504})  # said by what stands in front of it


@dataclass(frozen=True, slots=True)
class ProviderResponse:
    """A provider's answer: read whole, whatever its status. `repeatable` says so of the call that it answers.

    `url` is where it came from: relative addresses in it are relative to that.
    """

    method: str
    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)
    repeatable: bool
    url: URL = field(default_factory=URL, repr=False)

    @property
    def ok(self) -> bool:
        """Whether it is one of the 2xx."""
        return 200 <= self.status < 300  # noqa: PLR2004 - HTTP's own numbers

    @property
    def broken(self) -> bool:
        """Whether it is one of the 5xx: the provider's fault, and whether it has done what it was asked is not said."""
        return self.status >= 500  # noqa: PLR2004 - HTTP's own number

    def json(self) -> Any:
        """What it says as JSON; None if it is none."""
        return document_in(self.body)

    def document(self) -> dict[str, Any]:
        """What it says as a JSON object; ProviderFailed or ProviderUnreachable if it is none."""
        document = self.json()
        if not isinstance(document, dict):
            kind = self.headers.get("Content-Type", "no type")[:40]
            raise lost(f"its response ({self.status}, {len(self.body):,} bytes of {kind}) is not a JSON object", self)
        return document


def lost(detail: str, call: ProviderResponse) -> ProviderError:
    """The error for an answer that says nothing of use: unknown if the call may be repeated, else failed."""
    return ProviderUnreachable(detail) if call.repeatable else ProviderFailed(detail)


class ProviderCalls:
    """One provider's HTTP. The session is made at the first call, in the loop that calls, and kept."""

    def __init__(
        self, connection: Connection, *, base_url: str | None = None, headers: Mapping[str, str] | None = None
    ) -> None:
        """Call `connection.base_url`, or the vendor's own `base_url`; `headers` go with each call, never elsewhere.

        At a vendor's own address anybody's model may name outputs, so these are fetched from public addresses only, and
        the vendor itself is called at one. An address that an operator has written is a server in a network of his, and
        its outputs may be there too; where a cloud keeps a machine's credentials they never are.
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
        """Call once and read the answer, whatever its status; `path` begins with a slash, or is a whole URL there.

        `slow`: it may take the table's `timeout`, as where the answer is the result; otherwise half a minute at most.
        Raises ProviderUnreachable, or ProviderFailed as the module says. A URL elsewhere is asked without our headers.
        """
        url = self._at(path)
        seconds = self._seconds if slow else min(self._seconds, _POLL_SECONDS)
        timeout = aiohttp.ClientTimeout(total=seconds, connect=min(seconds, _CONNECT_SECONDS))
        async with (
            _in_our_errors(method, repeatable=repeatable),
            self._outgoing.request(method, url, json=json, data=form, headers=headers, timeout=timeout) as response,
        ):
            body = await _read(response, bytes_max)
        return ProviderResponse(method, response.status, response.headers, body, repeatable, url)

    async def fetch(self, url: str, *, bytes_max: int = OUTPUT_BYTES_MAX) -> bytes:
        """Download an output, from a path of the provider's or any URL; our headers go only to the provider itself.

        Raises ProviderFailed if it is gone or too large, else ProviderUnreachable: it may be fetched again.
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
        if answer.status in {401, 403, 404, 410}:  # signed links that have run out are 403
            raise ProviderFailed(f"an output at {at.host} cannot be fetched: {answer.status}")
        raise self.refusal(answer)

    @asynccontextmanager
    async def socket(self, path: str) -> AsyncGenerator[aiohttp.ClientWebSocketResponse]:
        """A WebSocket, with a beat that tells a dead one. ProviderUnreachable if it cannot be had, or is lost."""
        async with _in_our_errors("GET", repeatable=True):
            async with asyncio.timeout(_CONNECT_SECONDS):
                socket = await self._outgoing.socket(self._at(path), heartbeat=20, max_msg_size=_MESSAGE_BYTES_MAX)
            try:
                yield socket
            finally:
                await socket.close()

    def refusal(self, answer: ProviderResponse, *, private: str = "") -> ProviderError:
        """The error for an answer that is none of the 2xx; see first whether it is the vendor's way to say moderated.

        `private` is the prompt: a detail never repeats it.
        """
        status = answer.status
        words = words_of(answer.json(), key=self._key, private=private)
        detail = f"it responded with {status}{f': {words}' if words else ''}"
        if status == 429 or (status == 503 and "Retry-After" in answer.headers):  # noqa: PLR2004 - HTTP's own numbers
            return ProviderBusy(detail, retry_after_seconds(answer.headers))
        if status in _OURS_TO_MEND:
            # Not the request's fault: a job that the provider has is kept until somebody has mended it.
            return ProviderNotSetUp(f"{_OURS_TO_MEND[status]}: {detail}")
        if status in _REQUEST_AT_FAULT:
            return ProviderRejected(detail)
        if status in _LOST_ON_THE_WAY:
            return lost(detail, answer)
        if answer.broken:
            return ProviderUnreachable(detail) if answer.method == "GET" else ProviderFailed(detail)
        return ProviderFailed(f"{detail}; check `base_url`" if 300 <= status < 400 else detail)  # noqa: PLR2004 - so

    async def close(self) -> None:
        """Close the sessions, if there are any."""
        await self._outgoing.close()

    def _at(self, path: str) -> URL:
        text = path if is_address(path) else f"{self._base}{path}" if path.startswith("/") else ""
        # A signed link means its very characters, so what is an address as it stands stays as it is.
        as_it_is = text.isascii() and text.isprintable() and " " not in text
        try:
            url = URL(text, encoded=as_it_is)
        except ValueError:
            url = URL()
        if url.scheme not in {"http", "https"} or not url.host:
            raise ProviderFailed("it returned a URL that is neither http: nor https:")
        return url


def retry_after_seconds(headers: Mapping[str, str]) -> float | None:
    """How long a provider asks us to wait, at most a quarter of an hour; None if it does not say."""
    for name, scale in (("Retry-After-Ms", 1000), ("Retry-After", 1)):
        if name in headers:
            seconds = _seconds(headers[name], scale)
            return None if seconds is None else min(max(seconds, 0.0), _PATIENCE_SECONDS_MAX)
    return None


def decoded(text: object, *, bytes_max: int = OUTPUT_BYTES_MAX) -> bytes:
    """The bytes of an output in base64, also as a `data:` URL; ProviderFailed if it is none or too large.

    Encoders break lines (RFC 2045), use the letters for URLs (RFC 4648, 5) or leave out the padding: all is taken.
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
    """The whole body; ProviderFailed once it is larger than `bytes_max`, unpacked."""
    body = bytearray()
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) > bytes_max:
            raise ProviderFailed(f"its response is larger than {bytes_max:,} bytes")
    return bytes(body)


@asynccontextmanager
async def _in_our_errors(method: str, *, repeatable: bool) -> AsyncGenerator[None]:
    try:
        yield
    except UrlRefused as refused:
        raise ProviderFailed(f"an output URL {refused.words}") from None
    except RedirectsEndless:
        raise ProviderFailed("an output URL has too many redirects") from None
    except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
        if is_refusal(error):
            raise ProviderFailed(_NOT_PUBLIC) from None
        raise ProviderUnreachable(f"no connection: {type(error).__name__}") from None
    except aiohttp.InvalidURL:
        raise ProviderNotSetUp("its URL is invalid: check `base_url`") from None
    except (TimeoutError, aiohttp.ClientError, OSError) as error:
        if is_refusal(error):
            raise ProviderFailed(_NOT_PUBLIC) from None
        detail = f"its response to {method} was lost: {type(error).__name__}"
        raise ProviderUnreachable(detail) if repeatable else ProviderFailed(detail) from None
