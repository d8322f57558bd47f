"""Calls a webhook's receiver: signed by Standard Webhooks, at public addresses, within ten seconds.

The result is a status code, or a code for why there is none. The response's body is not stored and redirects are not
followed: the receiver is not under our control.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Literal

import aiohttp
import structlog
from standardwebhooks import Webhook as Signer
from yarl import URL

from gateway.clock import now_seconds
from gateway.outside.addresses import AddressGuard, is_refusal
from gateway.outside.outgoing import MOVED, Outgoing

CALL_SECONDS = 10.0
USER_AGENT = f"Farebox-Webhooks/{version('farebox')}"

_ANSWER_BYTES_READ = 1024  # so that most connections can be used again
_BODY_SECONDS = 1.0
_IDLE_SECONDS = 4.0  # shorter than servers keep idle connections, so that a call does not meet one being closed
_GONE = 410

log = structlog.get_logger(__name__)

Word = Literal[
    "address_refused", "connection_failed", "connection_lost", "name_not_found", "redirected", "secret_missing",
    "timeout", "tls_failed", "unreadable", "url_refused",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class CallResult:
    """The result of a call; `status_code` None: there was no response, and `word` says why."""

    status_code: int | None
    word: Word | None
    duration_ms: int

    @property
    def outcome(self) -> Literal["delivered", "failed", "gone"]:
        """What it means for the delivery."""
        if self.status_code == _GONE:
            return "gone"
        taken = self.status_code is not None and 200 <= self.status_code < 300  # noqa: PLR2004 - HTTP's own numbers
        return "delivered" if taken else "failed"


class Receivers:
    """Calls receivers. Create it in the loop that uses it, and close it."""

    def __init__(self, guard: AddressGuard, user_agent: str = USER_AGENT, call_seconds: float = CALL_SECONDS) -> None:
        """Call addresses that `guard` admits."""
        self._guard = guard
        self._user_agent = user_agent
        self.call_seconds = call_seconds
        # Callers limit concurrent calls; a limit here would let slow receivers delay others.
        self._outgoing = Outgoing(guard, idle_seconds=_IDLE_SECONDS, unpack=False)

    async def close(self) -> None:
        """Close every connection."""
        await self._outgoing.close()

    async def call(
        self, url: str, event: str, body: str, secrets: Sequence[str], more: Mapping[str, str] | None = None
    ) -> CallResult:
        """Send an event to one receiver: `body`, signed with each of `secrets`; `more` are headers beside these."""
        began_at = time.perf_counter()
        status_code, word = await self._call(url, body, signed(event, body, secrets) | dict(more or {}))
        return CallResult(status_code, word, round((time.perf_counter() - began_at) * 1000))

    async def _call(self, url: str, body: str, signatures: Mapping[str, str]) -> tuple[int | None, Word | None]:
        # Checked again: the setting may have changed since the URL was registered.
        if self._guard.problem(url) is not None:
            return None, "url_refused"
        timeout = aiohttp.ClientTimeout(total=self.call_seconds)
        headers = {**signatures, "User-Agent": self._user_agent, "Content-Type": "application/json"}
        try:
            async with self._outgoing.request(
                "POST", URL(url), data=body.encode(), headers=headers, timeout=timeout
            ) as response:
                # The status is the result: a body that is slow, incomplete or missing does not turn a success into a
                # failure.
                with contextlib.suppress(aiohttp.ClientError, TimeoutError, OSError):
                    async with asyncio.timeout(_BODY_SECONDS):
                        await response.content.read(_ANSWER_BYTES_READ)
                redirected = response.status in MOVED
                return response.status, "redirected" if redirected else None
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError, asyncio.IncompleteReadError) as error:
            return None, _word(error)
        except Exception as error:  # noqa: BLE001 - whatever a receiver brings about, the try is over and must be noted
            # Only its type: its text may contain the URL, which may contain a token.
            log.error("webhook_call_crashed", event_id=signatures["webhook-id"], error=type(error).__name__)  # noqa: TRY400 - no traceback, for the same reason
            return None, "connection_lost"


def signed(event: str, body: str, secrets: Sequence[str]) -> dict[str, str]:
    """The three headers of Standard Webhooks: id, time, and a signature with each secret."""
    now = datetime.fromtimestamp(now_seconds(), UTC)
    signatures = [Signer(secret).sign(event, now, body) for secret in secrets]
    return {
        "webhook-id": event,
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": " ".join(signatures),
    }


_WORDS: tuple[tuple[type[BaseException], Word], ...] = (
    (TimeoutError, "timeout"),
    (aiohttp.ClientConnectorDNSError, "name_not_found"),
    (aiohttp.ClientSSLError, "tls_failed"),  # a certificate that is not theirs, or no TLS at all
    (aiohttp.ClientConnectorError, "connection_failed"),
    (aiohttp.InvalidURL, "url_refused"),
)
"""The first match applies."""


def _word(error: BaseException) -> Word:
    if is_refusal(error):
        return "address_refused"
    return next((word for kind, word in _WORDS if isinstance(error, kind)), "connection_lost")
