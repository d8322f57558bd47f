"""What an ID token must prove: a signature by one of the provider's keys, for this client and this sign-in.

A module of its own, imported at the first sign-in: `joserfc` takes a twentieth of a second to import.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from gateway.clock import now_seconds

_ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "Ed25519", "EdDSA")
"""Neither `none` nor those in which the provider's public key would be the secret."""
_LEEWAY_SECONDS = 60


def signed_claims(token: str, jwks: Mapping[str, Any]) -> Mapping[str, Any]:
    """The claims, if one of these keys has signed them; else ValueError."""
    try:
        keys = KeySet.import_key_set(dict(jwks))  # type: ignore[arg-type]  # joserfc checks what it is given
        return jwt.decode(token, keys, algorithms=list(_ALGORITHMS)).claims
    except JoseError as error:
        raise ValueError(type(error).__name__) from None


def check_claims(claims: Mapping[str, Any], *, issuer: str, client_id: str, nonce: str) -> None:
    """ValueError, unless they are of this issuer, for this client and this sign-in, valid now, and name somebody."""
    registry = jwt.JWTClaimsRegistry(
        now=int(now_seconds()),
        leeway=_LEEWAY_SECONDS,
        iss={"essential": True, "value": issuer},
        aud={"essential": True, "value": client_id},
        exp={"essential": True},
        iat={"essential": True},
        sub={"essential": True},
        nonce={"essential": True, "value": nonce},
    )
    try:
        registry.validate(dict(claims))
    except (JoseError, TypeError) as error:
        raise ValueError(str(error)) from None
    if claims.get("azp", client_id) != client_id:
        raise ValueError("it was issued to another client")
    if not isinstance(claims["sub"], str) or not claims["sub"]:
        raise ValueError("it names nobody")
