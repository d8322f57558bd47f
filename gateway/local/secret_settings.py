"""The gateway's own secrets, as set or kept in the data folder: a part of `gateway/settings.py`, which reads them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal, Self

from pydantic import SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings

from gateway.local import kept_secrets
from gateway.outside.secret_strength import MAKE_ONE, check_strength

SecretName = Literal["admin-key", "signing-key"]
_VARIABLES = {"admin-key": "FAREBOX_ADMIN_KEY", "signing-key": "FAREBOX_SIGNING_KEY"}


class SecretSettings(BaseSettings):
    """The keys that operators choose, none of them guessable; without them, `data` has those that were generated."""

    data: Path = Path(".farebox")
    admin_key: SecretStr | None = None
    signing_key: SecretStr | None = None
    metrics_key: SecretStr | None = None

    @field_validator("admin_key", "signing_key", "metrics_key")
    @classmethod
    def _not_guessable(cls, key: SecretStr | None) -> SecretStr | None:
        if key is not None:
            if not key.get_secret_value().strip():
                msg = f"is empty: unset it, or generate one: {MAKE_ONE}"
                raise ValueError(msg)
            check_strength(key.get_secret_value())
        return key

    @field_validator("admin_key", "metrics_key")
    @classmethod
    def _fits_a_header(cls, key: SecretStr | None) -> SecretStr | None:
        if key is not None and re.fullmatch(r"[!-~]{1,256}", key.get_secret_value()) is None:
            msg = (
                "must be up to 256 ASCII characters without whitespace, because it is sent in a header. To "
                f"generate one: {MAKE_ONE}"
            )
            raise ValueError(msg)
        return key

    @model_validator(mode="after")
    def _the_keys_differ(self) -> Self:
        given = [key for key in (self.admin_key, self.signing_key, self.metrics_key) if key is not None]
        if len(given) != len({key.get_secret_value() for key in given}):
            msg = (
                "FAREBOX_ADMIN_KEY, FAREBOX_SIGNING_KEY and FAREBOX_METRICS_KEY must differ, so that having one does "
                "not give the others"
            )
            raise ValueError(msg)
        return self

    def secret(self, name: SecretName) -> str:
        """The `admin-key` or `signing-key`: as set, else from the data folder (0600), generated at first use."""
        given = self._given_secret(name)
        if given is not None:
            return given
        return kept_secrets.read_or_make(self.data / name, prefix="fbx_" if name == "admin-key" else "")

    def existing_secret(self, name: SecretName) -> str | None:
        """The same without generating one: None if there is none yet."""
        given = self._given_secret(name)
        if given is not None:
            return given
        try:
            return kept_secrets.read(self.data / name)
        except (FileNotFoundError, NotADirectoryError):
            return None

    def secret_source(self, name: SecretName) -> str:
        """Where that secret is read from, for messages: the variable, or the file's full path."""
        if self._given_secret(name) is not None:
            return _VARIABLES[name]
        return str(self.data.resolve() / name)

    def _given_secret(self, name: SecretName) -> str | None:
        given = self.admin_key if name == "admin-key" else self.signing_key
        return None if given is None else given.get_secret_value()
