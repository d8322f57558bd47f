"""fal's webhook signatures: Ed25519, by keys that the sender publishes as a JWKS.

Signed are the request's id, the user's, the time and the SHA-256 of the body, one per line. The gateway's own key is
derived from its signing key: nothing else to keep or back up, and it changes with that one.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

from gateway.clock import now_seconds

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

SIGNED_HEADERS = ("X-Fal-Webhook-Request-Id", "X-Fal-Webhook-User-Id", "X-Fal-Webhook-Timestamp")
SIGNATURE_HEADER = "X-Fal-Webhook-Signature"

_LABEL = b"farebox webhooks in fal's form"  # used for nothing else
_KEY_BYTES = 32


def signed_text(values: Sequence[str], body: bytes) -> bytes:
    """What is signed: the values of `SIGNED_HEADERS` and the body."""
    return "\n".join([*values, hashlib.sha256(body).hexdigest()]).encode()


class FalSigner:
    """Signs as fal does, with the Ed25519 key of one signing key."""

    def __init__(self, signing_key: str) -> None:
        """Derive from `signing_key`, when the first signature is needed."""
        self._signing_key = signing_key.encode()

    def headers(self, request_id: str, user_id: str, body: str) -> dict[str, str]:
        """The four headers of fal's webhooks for this body, sent now."""
        values = (request_id, user_id, str(int(now_seconds())))
        signature = self._key.sign(signed_text(values, body.encode()))
        return dict(zip(SIGNED_HEADERS, values, strict=True)) | {SIGNATURE_HEADER: signature.hex()}

    def jwks(self) -> dict[str, Any]:
        """The public key, as a JWKS."""
        public = self._key.public_key().public_bytes_raw()
        x = base64.urlsafe_b64encode(public).rstrip(b"=").decode()
        kid = hashlib.sha256(public).hexdigest()[:16]
        return {"keys": [{"kty": "OKP", "crv": "Ed25519", "use": "sig", "alg": "EdDSA", "kid": kid, "x": x}]}

    @cached_property
    def _key(self) -> Ed25519PrivateKey:
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey  # noqa: PLC0415 - 30 ms
        from cryptography.hazmat.primitives.hashes import SHA256  # noqa: PLC0415 - as above
        from cryptography.hazmat.primitives.kdf.hkdf import HKDF  # noqa: PLC0415 - as above

        seed = HKDF(algorithm=SHA256(), length=_KEY_BYTES, salt=None, info=_LABEL).derive(self._signing_key)
        return Ed25519PrivateKey.from_private_bytes(seed)
