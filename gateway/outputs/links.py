"""Signed URLs of outputs: an `<img>` sends no key, so the URL itself grants access, until it expires.

A URL stays the same for an hour, so that browsers and caches can reuse what they have: it expires at the next full hour
plus the lifetime.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable
from enum import StrEnum
from urllib.parse import urlencode

from itsdangerous import Signer

from gateway.clock import now_seconds

LIFETIME_SECONDS = 24 * 3600
_HOUR_SECONDS = 3600
_SALT = "farebox.outputs.1"


class LinkState(StrEnum):
    """The result of verifying a URL's signature."""

    VALID = "valid"
    EXPIRED = "expired"
    INVALID = "invalid"


class OutputLinks:
    """Creates and verifies the URLs. Gateways with the same signing key accept each other's."""

    def __init__(
        self,
        signing_key: str,
        public_address: str,
        lifetime_seconds: int = LIFETIME_SECONDS,
        clock: Callable[[], float] = now_seconds,
    ) -> None:
        """`public_address` has no trailing slash; `clock` returns seconds since the epoch."""
        self._signer = Signer(signing_key, salt=_SALT, key_derivation="hmac", digest_method=hashlib.sha256)
        self._public_address = public_address
        self._lifetime_seconds = lifetime_seconds
        self._clock = clock

    def url(self, generation: str, index: int) -> str:
        """The URL of an output, valid for at least the lifetime and at most an hour more."""
        return self.signed(f"{self._public_address}/v1/generations/{generation}/outputs/{index}", generation, index)

    def signed(self, address: str, generation: str, part: int | str) -> str:
        """An address that grants access to a part of a generation: an output by its index, or what else has a name."""
        expires = self.expire_at()
        query = urlencode({"expires": expires, "signature": self._signature(generation, part, str(expires))})
        return f"{address}?{query}"

    def expire_at(self) -> int:
        """When a URL created now expires, in seconds since the epoch; all of one hour expire together."""
        return math.ceil(self._clock() / _HOUR_SECONDS) * _HOUR_SECONDS + self._lifetime_seconds

    def verify(self, generation: str, part: int | str, expires: str, signature: str) -> LinkState:
        """Verify a request's parameters; only a genuine link is ever reported as expired."""
        if not self._signer.verify_signature(_signed(generation, part, expires), signature):
            return LinkState.INVALID
        return LinkState.VALID if self._clock() < int(expires) else LinkState.EXPIRED

    def _signature(self, generation: str, part: int | str, expires: str) -> str:
        return self._signer.get_signature(_signed(generation, part, expires)).decode()


def _signed(generation: str, part: int | str, expires: str) -> bytes:
    return f"{generation}/{part}/{expires}".encode(errors="surrogatepass")
