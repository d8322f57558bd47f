"""The settings of a gateway's client: the gateway's address, and an account's key."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from pydantic import SecretStr, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from gateway.settings import read_settings


class ClientSettings(BaseSettings):
    """Read from `FAREBOX_URL` and `FAREBOX_KEY`, or `FAREBOX_WORKER_KEY` of a worker without Redis."""

    model_config = SettingsConfigDict(env_prefix="FAREBOX_", frozen=True, extra="ignore")

    url: str = "http://127.0.0.1:8080"
    key: SecretStr | None = None
    worker_key: SecretStr | None = None

    @field_validator("url")
    @classmethod
    def _an_address(cls, url: str) -> str:
        try:
            parts = urlsplit(url)
            named = parts.scheme in {"http", "https"} and parts.hostname and parts.port != 0
        except ValueError:
            named = False
        if not named or parts.username or parts.query or parts.fragment:
            raise ValueError("must be the address of a gateway, such as https://farebox.example.com")
        return url.rstrip("/")

    @field_validator("key", "worker_key")
    @classmethod
    def _fits_a_header(cls, key: SecretStr | None) -> SecretStr | None:
        if key is not None and re.fullmatch(r"[!-~]{1,256}", key.get_secret_value()) is None:
            raise ValueError("must be an API key, as `farebox account key` or `farebox operator key` prints it")
        return key


def load_client_settings() -> ClientSettings:
    """Read the environment; SettingsError as for the gateway's."""
    return read_settings(ClientSettings)


def load_worker_client_settings(url: str) -> ClientSettings:
    """The same for a worker that was told its gateway's address."""
    return read_settings(ClientSettings, url=url)
