"""Signing in: sessions of the console, and one-time sign-in links."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, model_validator

from gateway.domain import Role, Scope
from gateway.schemas.base import Answer, Body, Text, Time

_TOKEN_MAX_CHARACTERS = 512

Token = Annotated[Text, Field(min_length=1, max_length=_TOKEN_MAX_CHARACTERS)]


class SignIn(Body):
    """What to sign in with: an API key, or the token of a sign-in link or an invitation."""

    key: Token | None = None
    link: Token | None = None

    @model_validator(mode="after")
    def _one_of_them(self) -> Self:
        if (self.key is None) is (self.link is None):
            raise ValueError("must have exactly one of `key` and `link`")
        return self


class SessionOut(Answer):
    """Who is signed in; both fields are null without a session."""

    scope: Scope | None
    account: str | None = Field(description="Null for operators' keys.")
    member: str | None = Field(default=None, description="The member whose key it is; absent for others.")
    role: Role | None = Field(default=None, description="What this member may do.")
    single_sign_on: bool = Field(default=False, description="Whether an OpenID provider signs people in.")


class InvitationOut(Answer):
    """A one-time link that signs a browser in as the member. Whoever has it can use it: send it to them alone."""

    url: str = Field(description="Omitted when the request is replayed.")
    expires_at: Time


class SignInLinkOut(Answer):
    """A one-time link that signs a browser in as the key that requested it."""

    url: str = Field(description="Omitted when the request is replayed.")
    expires_at: Time
