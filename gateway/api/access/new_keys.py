"""New secrets: API keys and client tokens."""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets

KEY_BYTES = 32  # 256 bits


def new_secret(prefix: str, *, purpose: str, made_from: str | None, signing_key: str) -> str:
    """256 random bits; with a request's seed, derived from it, so that its concurrent duplicates share one."""
    if made_from is None:
        return prefix + secrets.token_urlsafe(KEY_BYTES)
    derived = hmac.digest(signing_key.encode(), f"{purpose}\n{made_from}".encode(), hashlib.sha256)
    return prefix + base64.urlsafe_b64encode(derived).rstrip(b"=").decode()
