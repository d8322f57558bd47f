"""Browser sessions: a signed cookie that represents an API key without containing it, and one-time sign-in links.

The cookie names the key's id. Every request looks up the id like the key itself, so revoking the key ends its
sessions at once. It also names the session, and every request checks whether it was signed out: a copied cookie is
useless afterwards, at any gateway. The root key has no id in the ledger: its sessions carry a proof of it instead, and
end when it changes.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from dataclasses import dataclass
from typing import NewType
from urllib.parse import urlsplit

from aiohttp import web
from itsdangerous import BadData, SignatureExpired, URLSafeTimedSerializer

from gateway.api.errors import Forbidden, InvalidKey
from gateway.clock import LedgerTimeSigner, now_seconds

COOKIE = "farebox_session"
SESSION_SECONDS = 7 * 24 * 3600
BRIEF_SECONDS = 12 * 3600  # of one begun with an OpenID provider, which may know the person no longer
_BRIEF = "brief."  # how its id begins, and the nonce of the link that begins it
SIGNED_OUT_SECONDS = SESSION_SECONDS + 24 * 3600  # gateways' clocks may differ by a day
LINK_SECONDS = 3600
INVITATION_SECONDS = 7 * 24 * 3600
ROOT_KEY_ID = "root"
KeyId = NewType("KeyId", str)
"""A key's id from a cookie or link that we signed. The id alone is public and proves nothing."""

ENDED = "Your session has ended. Sign in again."
_SAFE = frozenset({"GET", "HEAD"})


@dataclass(frozen=True, slots=True)
class Session:
    """A browser session: its key, its id, and its start in seconds since the epoch."""

    key_id: KeyId
    id: str
    began_at: int


@dataclass(frozen=True, slots=True)
class SignInLink:
    """The content of a sign-in link. `nonce` can be used once."""

    key_id: KeyId
    nonce: str

    @property
    def brief(self) -> bool:
        """Whether the session that it begins is a brief one."""
        return self.nonce.startswith(_BRIEF)


@dataclass(frozen=True, slots=True)
class Invitation:
    """The content of an invitation. `role` is the member's when it was made; `nonce` can be used once.

    The nonce ends with who invited them, because versions before read four values and no more.
    """

    account: str
    member: str
    role: str
    nonce: str

    @property
    def by(self) -> str | None:
        """The member who made it; None: an operator, or a version before."""
        return self.nonce.partition(".")[2] or None


class Sessions:
    """Creates and verifies cookies and links; all gateways share the `signing_key`."""

    def __init__(self, signing_key: str, root_key: str, public_address: str) -> None:
        self._cookies = URLSafeTimedSerializer(signing_key, salt="farebox.session", signer=LedgerTimeSigner)
        self._links = URLSafeTimedSerializer(signing_key, salt="farebox.sign-in-link", signer=LedgerTimeSigner)
        self._invitations = URLSafeTimedSerializer(signing_key, salt="farebox.invitation", signer=LedgerTimeSigner)
        self._root_proof = hmac.new(signing_key.encode(), root_key.encode(), hashlib.sha256).hexdigest()[:32]
        self._public_address = public_address
        self._secure = public_address.startswith("https://")

    def open(self, cookie: str) -> Session:
        """The session of a cookie; InvalidKey if it is not ours, or too old. It may have been signed out."""
        began_at, key_id, rest = self._opened(self._cookies, cookie, SESSION_SECONDS, ENDED)
        if len(rest) != 1:  # a cookie of a version whose sessions had no ids
            raise InvalidKey(ENDED)
        if rest[0].startswith(_BRIEF) and now_seconds() >= began_at + BRIEF_SECONDS:
            raise InvalidKey(ENDED)
        return Session(key_id, rest[0], began_at)

    def begin(self, response: web.StreamResponse, key_id: str, *, brief: bool = False) -> None:
        """Start a session for this key. Browsers send it only with requests from the gateway's own pages."""
        session = f"{_BRIEF if brief else ''}{secrets.token_urlsafe(16)}"
        response.set_cookie(
            COOKIE,
            str(self._cookies.dumps([key_id, self._proof(key_id), session])),
            max_age=BRIEF_SECONDS if brief else SESSION_SECONDS,
            path="/",
            httponly=True,
            samesite="Strict",
            secure=self._secure,
        )

    def end(self, response: web.StreamResponse) -> None:
        """Delete the session's cookie."""
        response.del_cookie(COOKIE, path="/", httponly=True, samesite="Strict", secure=self._secure)

    def link(self, key_id: str, *, brief: bool = False) -> str:
        """A URL that signs in once within the hour. Its token is in the fragment, which no server ever logs."""
        nonce = f"{_BRIEF if brief else ''}{secrets.token_hex(16)}"
        token = self._links.dumps([key_id, self._proof(key_id), nonce])
        return f"{self._public_address}/sign-in#{token}"

    def open_link(self, token: str) -> SignInLink:
        """The content of a link; InvalidKey if it is not ours, or older than an hour."""
        refusal = (
            "This link is incomplete or has expired (links are valid for one hour). Request a new one, or sign in "
            "with a key."
        )
        _, key_id, (nonce,) = self._opened(self._links, token, LINK_SECONDS, refusal)
        return SignInLink(key_id, nonce)

    def invitation(self, account: str, member: str, role: str, *, by: str | None) -> str:
        """A URL that signs a member in once within a week; `by`: the member who makes it, None for an operator."""
        nonce = secrets.token_hex(16) if by is None else f"{secrets.token_hex(16)}.{by}"
        token = self._invitations.dumps([account, member, role, nonce])
        return f"{self._public_address}/sign-in#{token}"

    def open_invitation(self, token: str) -> Invitation | None:
        """The content of an invitation; None if it is none of ours, InvalidKey if it is older than a week."""
        try:
            return Invitation(*self._invitations.loads(token, max_age=INVITATION_SECONDS))
        except SignatureExpired:
            raise InvalidKey("This invitation has expired: they are valid for a week. Ask for a new one.") from None
        except BadData:
            return None

    def _proof(self, key_id: str) -> str:
        return self._root_proof if key_id == ROOT_KEY_ID else ""

    def _opened(
        self, serializer: URLSafeTimedSerializer, token: str, seconds: int, refusal: str
    ) -> tuple[int, KeyId, list[str]]:
        """Its creation time, its key, and the rest."""
        try:
            (key_id, proof, *rest), made_at = serializer.loads(token, max_age=seconds, return_timestamp=True)
        except BadData:
            raise InvalidKey(refusal) from None
        if not hmac.compare_digest(proof, self._proof(key_id)):
            raise InvalidKey("The admin key has changed. Sign in with the new one.")
        return int(made_at.timestamp()), KeyId(key_id), rest


def session_cookie(request: web.Request) -> str | None:
    """The cookie that authenticates the request; an `Authorization` header takes precedence."""
    return None if "Authorization" in request.headers else request.cookies.get(COOKIE)


def has_credentials(request: web.Request) -> bool:
    """Whether the request has a key or a session."""
    return "Authorization" in request.headers or COOKIE in request.cookies


def from_our_page(request: web.Request, public_address: str) -> bool | None:
    """Whether the browser says that a page of this gateway sent the request; None if unknown."""
    site = request.headers.get("Sec-Fetch-Site")
    if site is not None:
        return site == "same-origin"
    origin = request.headers.get("Origin")
    if origin is not None:
        return urlsplit(origin).netloc in {request.host, urlsplit(public_address).netloc}
    return None


def check_from_our_page(request: web.Request, public_address: str) -> None:
    """Forbidden, unless the request is read-only or comes from one of our pages: a cookie alone proves no intent."""
    if request.method not in _SAFE and from_our_page(request, public_address) is not True:
        raise Forbidden(
            "A console session can only make changes from the gateway's own pages. Send an API key instead."
        )
