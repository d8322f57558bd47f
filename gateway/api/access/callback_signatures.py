"""Verifies provider callbacks: Standard Webhooks (Replicate), Ed25519 with published keys (fal).

fal publishes its keys as a JWKS; any of them may have signed. Both have a timestamp, valid for five minutes either way,
so old callbacks cannot be replayed. Other providers are identified by the token in the URL alone. It is valid for one
generation only, and appears in the logs of every proxy on the way: so an unsigned call triggers a poll of that
generation, and never stops a job.
"""

from __future__ import annotations

import asyncio
import base64
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import structlog
from aiohttp import ClientError, ClientTimeout
from pydantic_core import from_json
from standardwebhooks import Webhook, WebhookVerificationError
from yarl import URL

from gateway.clock import now_seconds
from gateway.outside.addresses import AddressGuard
from gateway.outside.fal_signatures import SIGNATURE_HEADER, SIGNED_HEADERS, signed_text
from gateway.outside.outgoing import Outgoing
from gateway.outside.secret_strength import weakness
from gateway.pricing.providers import ProviderTable
from gateway.settings import environment_secret

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

FAL_JWKS_URL = "https://rest.fal.ai/.well-known/jwks.json"
TOLERANCE_SECONDS = 300
KEYS_KEPT_SECONDS = 24 * 3600.0
KEYS_APART_SECONDS = 60.0
_FETCH_SECONDS = 5
_JWKS_MAX_BYTES = 65_536
_KEYS_MAX = 32

log = structlog.get_logger(__name__)


class NotSigned(Exception):
    """The callback is not signed as its provider's table requires."""


class KeysUnavailable(Exception):
    """The provider's published keys cannot be fetched, and none are cached."""


@dataclass(slots=True)
class _Kept:
    """The keys at one address, and when they were fetched (monotonic seconds)."""

    keys: tuple[Ed25519PublicKey, ...]
    fetched_at: float


class CallbackSignatures:
    """Verifies callbacks, and caches published keys for up to a day."""

    def __init__(self) -> None:
        self._kept: dict[str, _Kept] = {}
        self._asked_at: dict[str, float] = {}
        self._fetching = asyncio.Lock()

    async def check(self, table: ProviderTable, headers: Mapping[str, str], body: bytes) -> bool:
        """Whether this callback may stop a job, because it is signed.

        NotSigned if its table requires a signature and this one is invalid; KeysUnavailable if that is unknown.
        """
        match table.kind:
            case "fal":
                await self._check_published(table.jwks_url or FAL_JWKS_URL, headers, body)
                return True
            case _ if table.callback_secret_env is not None:
                _check_secret(table.callback_secret_env, headers, body)
                return True
            case _:
                return False

    async def _check_published(self, url: str, headers: Mapping[str, str], body: bytes) -> None:
        signature, message = _fal_signature(headers, body)
        if _any_fits(await self._keys(url, KEYS_KEPT_SECONDS), signature, message):
            return
        # A key may be newer than the cache; but forged callbacks must not trigger a fetch each.
        if not _any_fits(await self._keys(url, KEYS_APART_SECONDS), signature, message):
            raise NotSigned("the signature matches none of the published keys")

    async def _keys(self, url: str, fresh_seconds: float) -> tuple[Ed25519PublicKey, ...]:
        """The keys at `url`, not older than requested unless they cannot be fetched."""
        async with self._fetching:
            now = time.monotonic()
            kept = self._kept.get(url)
            if kept is not None and now - kept.fetched_at < fresh_seconds:
                return kept.keys
            if now - self._asked_at.get(url, -KEYS_APART_SECONDS) >= KEYS_APART_SECONDS or kept is None:
                self._asked_at[url] = now
                try:
                    kept = self._kept[url] = _Kept(await _fetch(url), now)
                except (ClientError, TimeoutError, ValueError) as error:
                    log.warning("callback_keys_not_fetched", url=url, error=f"{type(error).__name__}: {error}")
            if kept is None or now - kept.fetched_at >= KEYS_KEPT_SECONDS:
                raise KeysUnavailable(url)
            return kept.keys


def _check_secret(variable: str, headers: Mapping[str, str], body: bytes) -> None:
    secret = environment_secret(variable)
    if secret is None:
        log.error("callback_secret_missing", variable=variable, consequence="its callbacks are rejected")
        raise NotSigned("its secret is not set")
    weak = weakness(secret)
    if weak is not None:
        log.error("callback_secret_weak", variable=variable, problem=weak, consequence="its callbacks are rejected")
        raise NotSigned("its secret is weak")
    try:
        Webhook(secret).verify(body, dict(headers), json_parse=False)
    except (WebhookVerificationError, ValueError) as error:  # a ValueError: invalid base64 or UTF-8
        raise NotSigned(type(error).__name__) from None


def _fal_signature(headers: Mapping[str, str], body: bytes) -> tuple[bytes, bytes]:
    """The signature and the signed text; NotSigned if a header is missing or the timestamp is off."""
    said = [headers.get(name, "") for name in SIGNED_HEADERS]
    try:
        signature = bytes.fromhex(headers.get(SIGNATURE_HEADER, ""))
        off_seconds = abs(now_seconds() - int(said[2]))
    except (ValueError, OverflowError):  # the latter: a timestamp with hundreds of digits
        raise NotSigned("a header is missing or is not one fal sends") from None
    if not all(said) or not signature or off_seconds > TOLERANCE_SECONDS:
        raise NotSigned("a header is missing, or the timestamp is too far from now")
    return signature, signed_text(said, body)


def _any_fits(keys: tuple[Ed25519PublicKey, ...], signature: bytes, message: bytes) -> bool:
    return any(_fits(key, signature, message) for key in keys)


def _fits(key: Ed25519PublicKey, signature: bytes, message: bytes) -> bool:
    from cryptography.exceptions import InvalidSignature  # noqa: PLC0415 - 30 ms that only fal needs

    try:
        key.verify(signature, message)
    except InvalidSignature:
        return False
    return True


async def _fetch(url: str) -> tuple[Ed25519PublicKey, ...]:
    """The Ed25519 keys of a JWKS; ValueError if it is invalid or has none."""
    at = URL(url)  # from the rate card, or fal's own: set by an operator
    outgoing = Outgoing(AddressGuard(), own=at)
    try:
        async with outgoing.request("GET", at, timeout=ClientTimeout(total=_FETCH_SECONDS)) as response:
            response.raise_for_status()
            text = await response.content.read(_JWKS_MAX_BYTES + 1)
            while not response.content.at_eof() and len(text) <= _JWKS_MAX_BYTES:
                text += await response.content.read(_JWKS_MAX_BYTES)
    finally:
        await outgoing.close()
    return _public_keys(text)


def _public_keys(text: bytes) -> tuple[Ed25519PublicKey, ...]:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey  # noqa: PLC0415 - as above

    if len(text) > _JWKS_MAX_BYTES:
        msg = "the JWKS document is too large"
        raise ValueError(msg)
    document: Any = from_json(text)
    listed = document.get("keys") if isinstance(document, dict) else None
    keys = tuple(
        Ed25519PublicKey.from_public_bytes(base64.urlsafe_b64decode(key["x"] + "=="))
        for key in (listed if isinstance(listed, list) else [])[:_KEYS_MAX]
        if isinstance(key, dict)
        and key.get("kty") == "OKP"
        and key.get("crv") == "Ed25519"
        and isinstance(key.get("x"), str)
    )
    if not keys:
        msg = "the JWKS document has no Ed25519 key"
        raise ValueError(msg)
    return keys
