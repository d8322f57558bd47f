"""The settings, as the processes of this machine read them, and the keys."""

from __future__ import annotations

import stat
from collections.abc import Iterator

from gateway.errors import SettingsError
from gateway.local import data_folder
from gateway.local.secret_settings import SecretName
from gateway.settings import Settings, load_settings
from gateway.startup.exposure import mode_in_words, warnings
from workers.doctor.findings import Finding

_SECRETS: tuple[SecretName, ...] = ("admin-key", "signing-key")


def read_settings() -> tuple[Settings | None, list[Finding]]:
    """The settings and what is wrong with them; None if no process would start with them."""
    try:
        settings = load_settings()
    except SettingsError as error:
        fix = "correct the variable; docs/settings.md lists all of them"
        return None, [Finding("settings", "error", line, fix) for line in str(error).splitlines()]
    return settings, [*_of_exposure(settings), *_of_keys(settings)]


def _of_exposure(settings: Settings) -> Iterator[Finding]:
    """What a gateway logs when it starts."""
    yield Finding("settings", "ok", f"read; test mode is {mode_in_words(settings)}")
    for event, members in warnings(settings):
        details = ", ".join(f"{name}: {value}" for name, value in members.items() if name != "fix")
        yield Finding("settings", "warning", f"{event} ({details})", members.get("fix"))


def _of_keys(settings: Settings) -> Iterator[Finding]:
    for name in _SECRETS:
        if settings.existing_secret(name) is None:
            place = settings.secret_source(name)
            yield Finding("keys", "ok", f"no {name} yet: the first gateway generates it in {place}")
            continue
        source = settings.data.resolve() / name
        if settings.secret_source(name) == str(source) and stat.S_IMODE(source.stat().st_mode) & data_folder.UMASK:
            fix = f"chmod 600 {source}; if others may have read it, replace it"
            yield Finding("keys", "error", f"other users can read {source}", fix)
        else:
            yield Finding("keys", "ok", f"the {name} is from {settings.secret_source(name)}")
