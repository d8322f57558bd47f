"""Secrets that could be guessed are refused at start, wherever they come from; the refusal says how to make one."""

from __future__ import annotations

import secrets
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from gateway.errors import SettingsError
from gateway.local.secret_settings import SecretName
from gateway.outside.secret_strength import MAKE_ONE, SECRET_CHARACTERS_MIN, check_strength, weakness
from gateway.settings import Settings, load_settings

WEAK = {
    "secret": "too short",
    "82cf7c4936801c88f000e3e59b801ea": "too short",
    "a" * 64: "different characters",
    "ab" * 32: "different characters",
    "fbx_" + "0" * 43: "different characters",
    "password123-" * 4: "repeats itself",
    "fbx_" + "0123456789" * 4: "repeats itself",
    "abcdefghijklmnopqrstuvwxyz0123456789": "counts up or down",
}
VARIABLES = ("admin_key", "signing_key")


@pytest.mark.parametrize("secret", WEAK)
def test_what_can_be_guessed_is_weak(secret: str) -> None:
    assert WEAK[secret] in (weakness(secret) or "")


def test_what_is_random_is_not_weak() -> None:
    for _ in range(1000):
        check_strength(secrets.token_urlsafe(32))
        check_strength("fbx_" + secrets.token_urlsafe(24))
        check_strength(secrets.token_hex(32))


@pytest.mark.parametrize("name", VARIABLES)
@pytest.mark.parametrize("secret", WEAK)
def test_a_weak_key_stops_the_start(monkeypatch: pytest.MonkeyPatch, name: str, secret: str) -> None:
    """`secret` as FAREBOX_SIGNING_KEY was accepted: whoever guessed it signed quotes and sessions of their own."""
    monkeypatch.setenv(f"FAREBOX_{name.upper()}", secret)
    with pytest.raises(SettingsError) as raised:
        load_settings()
    message = str(raised.value)
    assert message.startswith(f"FAREBOX_{name.upper()}: ")
    assert WEAK[secret] in message
    assert MAKE_ONE in message
    assert secret not in message.replace(MAKE_ONE, "")


@pytest.mark.parametrize("name", ["admin-key", "signing-key"])
def test_a_weak_key_in_the_data_folder_stops_the_start_too(tmp_path: Path, name: SecretName) -> None:
    (tmp_path / name).write_text("short\n")
    with pytest.raises(SettingsError, match=rf"{name}: is too short.*delete the file"):
        Settings(data=tmp_path).secret(name)


def test_the_command_that_is_named_makes_a_key_that_is_accepted() -> None:
    python, *arguments = shlex.split(MAKE_ONE)
    assert python == "python3"
    made = subprocess.run([sys.executable, *arguments], check=True, capture_output=True, text=True).stdout.strip()
    assert len(made) >= SECRET_CHARACTERS_MIN
    check_strength(made)


def test_keys_that_are_made_are_accepted(tmp_path: Path) -> None:
    for name in ("admin-key", "signing-key"):
        made = Settings(data=tmp_path).secret(name)
        assert Settings(data=tmp_path).secret(name) == made


@pytest.mark.parametrize("ending", ["\n", " ", "ä", "x7Qd2" * 52])
def test_an_admin_key_that_no_header_can_carry_is_refused(monkeypatch: pytest.MonkeyPatch, ending: str) -> None:
    """One that was read from a file with its line end was accepted, and never matched."""
    monkeypatch.setenv("FAREBOX_ADMIN_KEY", "fbx_" + secrets.token_urlsafe(32) + ending)
    with pytest.raises(SettingsError, match=r"^FAREBOX_ADMIN_KEY: must be up to 256 ASCII"):
        load_settings()


def test_one_key_is_not_used_for_two_things(monkeypatch: pytest.MonkeyPatch) -> None:
    same = secrets.token_urlsafe(32)
    for name in VARIABLES:
        monkeypatch.setenv(f"FAREBOX_{name.upper()}", same)
    with pytest.raises(SettingsError, match="must differ"):
        load_settings()
