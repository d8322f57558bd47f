"""URLs of uploads, `upload:<hour>/<id>-<measures>.<ext>/<signature>`: valid only for the account that uploaded them.

The signature covers the object's name and the account, which the URL does not contain. So no list of uploads is stored:
a URL has everything needed, and is useless to another account. All created within one hour expire together, at the next
full hour plus the lifetime.
"""

from __future__ import annotations

import base64
import hashlib
import math
import re
import secrets
from collections.abc import Callable

from itsdangerous import Signer

from gateway.clock import now_seconds
from gateway.media import Media
from gateway.outputs.links import LinkState
from gateway.outputs.names import UPLOAD_PATTERN, UPLOADS, checked, upload_expires_at, upload_key

UPLOAD_SCHEME = "upload:"
LIFETIME_SECONDS = 24 * 3600
_HOUR_SECONDS = 3600
_SALT = "farebox.uploads.1"
_ADDRESS = re.compile(rf"{UPLOAD_SCHEME}({UPLOAD_PATTERN})/([A-Za-z0-9_-]{{43}})", re.ASCII)


class UploadAddresses:
    """Creates and verifies the URLs. Gateways with the same signing key accept each other's."""

    def __init__(self, signing_key: str, clock: Callable[[], float] = now_seconds) -> None:
        """`clock` returns seconds since the epoch."""
        self._signer = Signer(signing_key, salt=_SALT, key_derivation="hmac", digest_method=hashlib.sha256)
        self._clock = clock

    def new_key(self, media: Media, size: int, seed: str | None = None) -> str:
        """The object key for a new upload of `size` bytes.

        With a `seed` it is the same within the hour, so that concurrent duplicates share one.
        """
        digest = hashlib.sha256(seed.encode()).digest()[:15] if seed is not None else secrets.token_bytes(15)
        expires_at = math.ceil(self._clock() / _HOUR_SECONDS) * _HOUR_SECONDS + LIFETIME_SECONDS
        return upload_key(expires_at, base64.b32encode(digest).decode().lower(), size, media)

    def address(self, account: str, object_key: str) -> str:
        """The URL of an upload, for this account."""
        return f"{UPLOAD_SCHEME}{object_key.removeprefix(UPLOADS)}/{self._signature(account, object_key)}"

    def open(self, account: str, address: str) -> tuple[LinkState, str]:
        """Whether a URL is valid for an account, and the object key; only a genuine one is ever reported as expired."""
        parts = _ADDRESS.fullmatch(address)
        if parts is None:
            return LinkState.INVALID, ""
        object_key = UPLOADS + parts[1]
        if not self._signer.verify_signature(_signed(account, object_key), parts[2]):
            return LinkState.INVALID, ""
        expired = self._clock() >= upload_expires_at(checked(object_key))
        return LinkState.EXPIRED if expired else LinkState.VALID, object_key

    def _signature(self, account: str, object_key: str) -> str:
        return self._signer.get_signature(_signed(account, object_key)).decode()


def _signed(account: str, object_key: str) -> bytes:
    return f"{account}/{object_key}".encode()
