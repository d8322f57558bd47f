"""A small OpenID provider: discovery, keys, the code flow with PKCE, real signatures; wrong where a test says so."""

from __future__ import annotations

import base64
import functools
import hashlib
import hmac
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from aiohttp import web
from joserfc import jwt
from joserfc.jwk import KeySet, RSAKey

CLIENT, SECRET = "farebox", "a:secret of the client"
BASIC = b"farebox:a%3Asecret%20of%20the%20client"
"""Both encoded as RFC 6749 says, so that a colon in one is no separator."""


@functools.cache
def rsa_key(_whose: str) -> RSAKey:
    """Made once: finding the primes takes longer than a sign-in."""
    return RSAKey.generate_key(2048, {"kid": "one", "use": "sig"})


@dataclass
class OpenIdServer:
    """`person` are the claims of who signs in; `wrong` replaces claims of the ID token, `algorithm` its signature's."""

    address: str = ""
    person: dict[str, Any] = field(default_factory=lambda: {"sub": "u-1"})
    wrong: dict[str, Any] = field(default_factory=dict)
    algorithm: str = "RS256"
    away: bool = False
    reads: int = 0
    key: RSAKey = field(default_factory=lambda: rsa_key("its own"))
    stranger: RSAKey | None = None
    codes: dict[str, dict[str, str]] = field(default_factory=dict)
    asked: list[dict[str, str]] = field(default_factory=list)

    async def configuration(self, _: web.Request) -> web.Response:
        self.reads += 1
        if self.away:
            return web.Response(status=503)
        return web.json_response(
            {
                "issuer": self.address,
                "authorization_endpoint": f"{self.address}/authorize",
                "token_endpoint": f"{self.address}/token",
                "jwks_uri": f"{self.address}/jwks",
            }
        )

    async def jwks(self, _: web.Request) -> web.Response:
        return web.json_response(KeySet([self.key]).as_dict(private=False))

    async def authorize(self, request: web.Request) -> web.Response:
        asked = dict(request.query)
        self.asked.append(asked)
        code = f"code-{len(self.asked)}"
        self.codes[code] = asked
        query = urlencode({"code": code, "state": asked["state"], "iss": self.address})
        return web.Response(status=302, headers={"Location": f"{asked['redirect_uri']}?{query}"})

    async def token(self, request: web.Request) -> web.Response:
        """A code is for one use, for who has the client's secret and the verifier of its challenge."""
        form = await request.post()
        asked = self.codes.pop(str(form.get("code")), None)
        given = hashlib.sha256(str(form.get("code_verifier")).encode()).digest()
        proven = asked is not None and base64.urlsafe_b64encode(given).rstrip(b"=").decode() == asked["code_challenge"]
        known = request.headers.get("Authorization") == f"Basic {base64.b64encode(BASIC).decode()}"
        if asked is None or not proven or not known or form.get("redirect_uri") != asked["redirect_uri"]:
            return web.json_response({"error": "invalid_grant"}, status=400)
        return web.json_response(
            {"token_type": "Bearer", "access_token": "x", "id_token": self.id_token(asked["nonce"])}
        )

    def id_token(self, nonce: str) -> str:
        now = int(time.time())
        claims = (
            {"iss": self.address, "aud": CLIENT, "iat": now, "exp": now + 300, "nonce": nonce}
            | self.person
            | self.wrong
        )
        claims = {name: value for name, value in claims.items() if value is not None}
        if self.algorithm in {"none", "HS256"}:
            signed = f"{_encoded({'alg': self.algorithm, 'kid': 'one'})}.{_encoded(claims)}"
            # The public key, which all know, as if it were a shared secret.
            shared = self.key.as_pem(private=False) if self.algorithm == "HS256" else None
            signature = b"" if shared is None else hmac.digest(shared, signed.encode(), hashlib.sha256)
            return f"{signed}.{base64.urlsafe_b64encode(signature).rstrip(b'=').decode()}"
        return jwt.encode({"alg": self.algorithm, "kid": "one"}, claims, self.stranger or self.key)


def _encoded(part: dict[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode()


@asynccontextmanager
async def open_openid_server() -> AsyncIterator[OpenIdServer]:
    """One on a free port."""
    server, app = OpenIdServer(), web.Application()
    app.router.add_get("/.well-known/openid-configuration", server.configuration)
    app.router.add_get("/jwks", server.jwks)
    app.router.add_get("/authorize", server.authorize)
    app.router.add_post("/token", server.token)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        host, port = runner.addresses[0][:2]
        server.address = f"http://{host}:{port}"
        yield server
    finally:
        await runner.cleanup()
