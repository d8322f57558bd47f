"""The settings of an OpenID provider: a part of `gateway/settings.py`, which reads them."""

from __future__ import annotations

from typing import Self
from urllib.parse import urlsplit

from pydantic import SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings

from gateway.domain import Scope
from gateway.local.listening import is_loopback
from gateway.local.urls import readable


class OpenIdSettings(BaseSettings):
    """Who signs people in to the console, and as whom."""

    oidc_issuer: str | None = None
    oidc_client_id: str | None = None
    oidc_client_secret: SecretStr | None = None
    oidc_account_claim: str = ""
    oidc_role_claim: str = ""
    oidc_roles: str = ""

    @field_validator("oidc_issuer")
    @classmethod
    def _an_issuer(cls, url: str | None) -> str | None:
        if url is not None and not (readable(url).startswith("https://") or is_loopback(urlsplit(url).hostname or "")):
            msg = "must be the issuer's https: URL, as its openid-configuration has it"
            raise ValueError(msg)
        return url

    @model_validator(mode="after")
    def _an_issuer_knows_its_client(self) -> Self:
        if (self.oidc_issuer is None) != (self.oidc_client_id is None):
            raise ValueError("FAREBOX_OIDC_ISSUER and FAREBOX_OIDC_CLIENT_ID need each other: set both, or neither")
        if bool(self.oidc_role_claim) != bool(self.operator_roles):
            raise ValueError("FAREBOX_OIDC_ROLE_CLAIM and FAREBOX_OIDC_ROLES need each other: set both, or neither")
        return self

    @property
    def operator_roles(self) -> list[tuple[str, Scope]]:
        """Which group of the OpenID provider has which of the operators' roles."""
        pairs = [part.strip().rpartition("=") for part in self.oidc_roles.split(",") if part.strip()]
        known = [scope for scope in Scope if scope not in {Scope.ACCOUNT, Scope.TOKEN}]
        for group, _, role in pairs:
            if not group or role not in known:
                msg = f"FAREBOX_OIDC_ROLES: must be like `sre=admin,helpdesk=support`; roles are {', '.join(known)}"
                raise ValueError(msg)
        return [(group, Scope(role)) for group, _, role in pairs]
