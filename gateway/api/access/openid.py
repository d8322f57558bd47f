"""Signing in with an OpenID provider: discovery, the code flow with PKCE, and what an ID token must prove.

What an ID token must prove is in `id_tokens.py`; what a person may do is decided in `gateway/api/handlers/oidc.py`.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import secrets
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from time import monotonic
from typing import Any
from urllib.parse import quote, urlencode

from aiohttp import ClientError, ClientTimeout
from itsdangerous import BadData, URLSafeTimedSerializer
from pydantic_core import from_json
from yarl import URL

from gateway.clock import LedgerTimeSigner
from gateway.local.listening import is_loopback
from gateway.outside.addresses import AddressGuard
from gateway.outside.outgoing import Outgoing
from gateway.settings import Settings

CALLBACK = "/oidc-callback"
STATE_COOKIE = "farebox_oidc"
STATE_SECONDS = 600
_CALL = ClientTimeout(total=10)
_DOCUMENT_MAX_BYTES = 262_144
_KEPT_SECONDS = 3600.0
_AGAIN_SECONDS = 60.0
_AWAY_SECONDS = 5.0  # for which a document that could not be read is not asked for again


class NotProven(Exception):
    """The sign-in does not prove who it is. The text is for the log: it has no secrets."""


class ProviderUnavailable(Exception):
    """The OpenID provider does not respond, or not with what its standard requires."""


@dataclass(frozen=True, slots=True)
class SignInAttempt:
    """A sign-in that has begun, as its cookie has it. `to` is the page to show afterwards."""

    state: str
    nonce: str
    verifier: str
    to: str


@dataclass(slots=True)
class _Published:
    document: Mapping[str, Any]
    fetched_at: float


class OpenIdProvider:
    """One issuer, found by discovery; its documents are kept for an hour."""

    def __init__(
        self, *, issuer: str, client_id: str, client_secret: str | None, signing_key: str, public_address: str
    ) -> None:
        self.issuer = issuer
        self._client_id = client_id
        self._client_secret = client_secret
        self._redirect_uri = f"{public_address}{CALLBACK}"
        self._attempts = URLSafeTimedSerializer(signing_key, salt="farebox.oidc", signer=LedgerTimeSigner)
        # Its own origin may be on a private network; other addresses that it names must be public.
        self._outgoing = Outgoing(AddressGuard(), own=URL(issuer))
        self._kept: dict[str, _Published] = {}
        self._away: dict[str, tuple[float, str]] = {}
        self._turns: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def begin(self, to: str) -> tuple[str, str]:
        """Where to send the browser, and the cookie that ties what follows to it. ProviderUnavailable."""
        made = SignInAttempt(secrets.token_urlsafe(24), secrets.token_urlsafe(24), secrets.token_urlsafe(48), to)
        challenge = base64.urlsafe_b64encode(hashlib.sha256(made.verifier.encode()).digest()).rstrip(b"=").decode()
        asked = {
            "response_type": "code",
            "client_id": self._client_id,
            "redirect_uri": self._redirect_uri,
            "scope": "openid email profile",
            "state": made.state,
            "nonce": made.nonce,
            "code_challenge": challenge,
            "code_challenge_method": "S256",
        }
        at = self._endpoint(await self._configuration(), "authorization_endpoint")
        url = f"{at}{'&' if '?' in at else '?'}{urlencode(asked, quote_via=quote)}"
        return url, str(self._attempts.dumps([made.state, made.nonce, made.verifier, made.to]))

    def attempt(self, cookie: str, query: Mapping[str, str]) -> SignInAttempt:
        """The attempt that a callback belongs to; NotProven if another browser began it, or it is too old."""
        try:
            made = SignInAttempt(*self._attempts.loads(cookie, max_age=STATE_SECONDS))
        except (BadData, TypeError):
            raise NotProven("no attempt was begun in this browser in the last ten minutes") from None
        if not hmac.compare_digest(query.get("state", "").encode(), made.state.encode()):
            raise NotProven("the state is not that of this browser's attempt")
        if query.get("iss", self.issuer) != self.issuer:
            raise NotProven("the response names another issuer")
        return made

    async def claims(self, attempt: SignInAttempt, code: str) -> Mapping[str, Any]:
        """The claims of the person, for the code; NotProven, ProviderUnavailable."""
        configuration = await self._configuration()
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": self._redirect_uri,
            "code_verifier": attempt.verifier,
        }
        headers = {}
        methods = configuration.get("token_endpoint_auth_methods_supported", ["client_secret_basic"])
        if self._client_secret is None:
            form["client_id"] = self._client_id
        elif "client_secret_basic" in methods:
            pair = f"{quote(self._client_id, safe='')}:{quote(self._client_secret, safe='')}"  # RFC 6749, 2.3.1
            headers = {"Authorization": f"Basic {base64.b64encode(pair.encode()).decode()}"}
        else:
            form |= {"client_id": self._client_id, "client_secret": self._client_secret}
        status, answer = await self._call(
            "POST", self._endpoint(configuration, "token_endpoint"), data=form, headers=headers
        )
        token = answer.get("id_token")
        if status != HTTPStatus.OK or not isinstance(token, str):
            raise NotProven(f"the token endpoint answered {status}, {str(answer.get('error', 'without a token'))[:50]}")
        return await self._verified(configuration, token, attempt.nonce)

    def person(self, claims: Mapping[str, Any]) -> str:
        """The provider's id of a person, as digests: <provider>.<person>. Unlike an email, it is nobody else's ever."""
        whose = f"{self.issuer}\n{claims['sub']}"
        issuer, person = (hashlib.sha256(text.encode()).hexdigest() for text in (self.issuer, whose))
        return f"{issuer[:16]}.{person[:32]}"

    async def close(self) -> None:
        """Close every connection."""
        await self._outgoing.close()

    async def _verified(self, configuration: Mapping[str, Any], token: str, nonce: str) -> Mapping[str, Any]:
        from gateway.api.access import id_tokens  # noqa: PLC0415 - its library, which only sign-ins need

        jwks = self._endpoint(configuration, "jwks_uri")
        try:
            try:
                claims = id_tokens.signed_claims(token, await self._document(jwks, _KEPT_SECONDS))
            except ValueError:  # it may have been signed with a newer key
                claims = id_tokens.signed_claims(token, await self._document(jwks, _AGAIN_SECONDS))
            id_tokens.check_claims(claims, issuer=self.issuer, client_id=self._client_id, nonce=nonce)
        except ValueError as error:
            raise NotProven(f"the ID token: {error}"[:200]) from None
        return claims

    async def _configuration(self) -> Mapping[str, Any]:
        found = await self._document(f"{self.issuer.rstrip('/')}/.well-known/openid-configuration", _KEPT_SECONDS)
        if found.get("issuer") != self.issuer:
            raise ProviderUnavailable("its configuration is of another issuer than FAREBOX_OIDC_ISSUER")
        return found

    async def _document(self, url: str, fresh_seconds: float) -> Mapping[str, Any]:
        """A document of the provider. Whoever asks at the same time shares one call, and its failure, too."""
        async with self._turns[url]:
            kept = self._kept.get(url)
            if kept is not None and monotonic() - kept.fetched_at < fresh_seconds:
                return kept.document
            since, why = self._away.get(url, (-_AWAY_SECONDS, ""))
            if monotonic() - since < _AWAY_SECONDS:
                raise ProviderUnavailable(why)
            try:
                document = await self._read(url)
            except ProviderUnavailable as error:
                self._away[url] = monotonic(), str(error)
                raise
            self._kept[url] = _Published(document, monotonic())
            return document

    async def _read(self, url: str) -> Mapping[str, Any]:
        status, document = await self._call("GET", url)
        if status != HTTPStatus.OK:
            raise ProviderUnavailable(f"{url} answered {status}")
        return document

    async def _call(self, method: str, url: str, **options: Any) -> tuple[int, Mapping[str, Any]]:
        try:
            async with self._outgoing.request(method, URL(url), timeout=_CALL, **options) as response:
                text = await response.content.read(_DOCUMENT_MAX_BYTES)
                while not response.content.at_eof() and len(text) < _DOCUMENT_MAX_BYTES:
                    text += await response.content.read(_DOCUMENT_MAX_BYTES - len(text))
                document = from_json(text)
        except (ClientError, OSError, TimeoutError, ValueError) as error:
            raise ProviderUnavailable(f"{url}: {type(error).__name__}") from None
        if not isinstance(document, dict):
            raise ProviderUnavailable(f"{url} answered no JSON object")
        return response.status, document

    def _endpoint(self, configuration: Mapping[str, Any], name: str) -> str:
        """An address of its configuration; plain HTTP only for an issuer on this machine."""
        at = configuration.get(name)
        url = URL(at) if isinstance(at, str) else URL()
        plain = url.scheme == "http" and is_loopback(url.host or "") and is_loopback(URL(self.issuer).host or "")
        if url.scheme != "https" and not plain:
            raise ProviderUnavailable(f"its {name} is not an https: URL")
        return str(url)


def openid_of(settings: Settings) -> OpenIdProvider | None:
    """The provider of the settings, if there is one."""
    if settings.oidc_issuer is None or settings.oidc_client_id is None:
        return None
    secret = settings.oidc_client_secret
    return OpenIdProvider(
        issuer=settings.oidc_issuer,
        client_id=settings.oidc_client_id,
        client_secret=None if secret is None else secret.get_secret_value(),
        signing_key=settings.secret("signing-key"),
        public_address=settings.public_address,
    )
