"""Signing in: sessions of the console, and links that sign in once."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, model_validator

from gateway.domain import Scope
from gateway.schemas.base import Answer, Body, Time

_TOKEN_MAX_CHARACTERS = 512

Token = Annotated[str, Field(min_length=1, max_length=_TOKEN_MAX_CHARACTERS)]


class SignIn(Body):
    """What to sign in with: an API key, or the token of a link."""

    key: Token | None = None
    link: Token | None = None

    @model_validator(mode="after")
    def _one_of_them(self) -> Self:
        if (self.key is None) is (self.link is None):
            raise ValueError("must have one of `key` and `link`")
        return self


class SessionOut(Answer):
    """Who is signed in; both are null without a session."""

    scope: Scope | None
    account: str | None = Field(description="Null for admin and ops keys.")


class SignInLinkOut(Answer):
    """A link that signs a browser in, once, as the key that asked for it."""

    url: str = Field(description="Left out when the request is replayed.")
    expires_at: Time
