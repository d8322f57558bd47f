"""Who reaches a gateway decides about test mode, and where its links lead: nobody plays for money by accident."""

from __future__ import annotations

import socket
from typing import Any, Literal
from urllib.parse import urlsplit

import pytest

from gateway.errors import SettingsError
from gateway.local import listening
from gateway.settings import Settings, load_settings
from gateway.startup.exposure import links_in_words, mode_in_words, warnings
from tests.cases import cases

EVERY = ["0.0.0.0", "::", "", "0", "0:0:0:0:0:0:0:0", "::ffff:0.0.0.0"]
OTHERS = ["192.0.2.7", "10.0.0.1", "2001:db8::7", "fe80::1", "no-such-host.invalid"]
OURS = ["127.0.0.1", "::1", "localhost", "127.9.9.9", "[::1]", "::ffff:127.0.0.1"]


@cases("host", [*EVERY, *OTHERS])
def test_where_others_can_come_test_mode_is_off_unless_asked_for_by_name(host: str) -> None:
    """`FAREBOX_HOST=0.0.0.0 farebox up` once sold plans to anybody for a click."""
    settings = Settings(host=host)
    assert settings.embedded
    assert not settings.in_test_mode
    assert "off, because others can reach this gateway" in mode_in_words(settings)
    assert "TEST_MODE_OFF" in dict(warnings(settings))
    named = Settings(host=host, test_mode=True)
    assert named.in_test_mode
    assert "OTHERS CAN REACH THIS GATEWAY" in mode_in_words(named)
    assert "TEST_MODE_IN_PUBLIC" in dict(warnings(named))


@pytest.mark.parametrize("payments", ["stripe", "none"])
def test_payments_that_are_none_at_a_click_are_not_said_to_be(payments: Literal["stripe", "none"]) -> None:
    """`farebox up` with Stripe said that payments are a test page."""
    assert "payments use a test page" in mode_in_words(Settings())
    assert "payments" not in mode_in_words(Settings(payments=payments))
    shown = mode_in_words(Settings(payments=payments, host="0.0.0.0", test_mode=True))
    assert "can advance its clock" in shown
    assert "paying" not in shown


@pytest.mark.parametrize("host", OURS)
def test_on_loopback_test_mode_is_on_with_the_embedded_ledger_alone(host: str) -> None:
    assert Settings(host=host).in_test_mode
    assert warnings(Settings(host=host)) == []
    assert not Settings(host=host, ledger_url="redis://127.0.0.1").in_test_mode
    assert not Settings(host=host, test_mode=False).in_test_mode


def test_a_name_that_leads_to_loopback_and_elsewhere_is_reached_by_others(monkeypatch: pytest.MonkeyPatch) -> None:
    def both(*_: Any, **__: Any) -> list[Any]:
        return [(socket.AF_INET, 0, 0, "", ("127.0.0.1", 0)), (socket.AF_INET, 0, 0, "", ("192.0.2.7", 0))]

    monkeypatch.setattr(socket, "getaddrinfo", both)
    assert not listening.is_loopback("two-homed.example")


@pytest.mark.parametrize(
    "behind", [{"public_url": "https://media.example.com"}, {"trusted_proxies": "10.0.0.0/8"}], ids=str
)
def test_behind_a_proxy_others_come_too(behind: dict[str, Any]) -> None:
    assert not Settings(**behind).in_test_mode
    assert Settings(**behind, test_mode=True).in_test_mode
    assert Settings(public_url="http://localhost:9000").in_test_mode


def test_every_process_of_one_start_decides_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    for settings in (Settings(), Settings(host="0.0.0.0"), Settings(host="0.0.0.0", test_mode=True)):
        with monkeypatch.context() as inherited:
            for name, value in settings.environment().items():
                inherited.setenv(name, value)
            child = load_settings()
        assert child.in_test_mode is settings.in_test_mode
        assert warnings(child) == warnings(settings)


@pytest.mark.parametrize("host", EVERY)
def test_links_never_lead_to_all_addresses(host: str) -> None:
    settings = Settings(host=host, port=8080)
    named = urlsplit(settings.public_address)
    assert named.port == 8080
    assert named.hostname
    assert not listening.is_every_address(named.hostname)
    assert "FAREBOX_PUBLIC_URL" in (links_in_words(settings) or "")
    assert "PUBLIC_URL_GUESSED" in dict(warnings(settings))
    said = Settings(host=host, public_url="https://media.example.com/")
    assert said.public_address == "https://media.example.com"
    assert links_in_words(said) is None


def test_an_ipv6_address_is_in_brackets() -> None:
    assert Settings(host="2001:db8::7", port=80).public_address == "http://[2001:db8::7]:80"
    assert Settings(host="[::1]", port=80).public_address == "http://[::1]:80"
    assert Settings(host="::", port=80).local_address == "http://[::1]:80"
    assert Settings(host="0.0.0.0", port=80).local_address == "http://127.0.0.1:80"


def test_without_any_route_links_lead_to_the_machines_name(monkeypatch: pytest.MonkeyPatch) -> None:
    def unreachable(*_: Any) -> None:
        raise OSError

    monkeypatch.setattr(socket.socket, "connect", unreachable)
    listening.public_host.cache_clear()
    assert listening.public_host("0.0.0.0") == socket.gethostname()
    listening.public_host.cache_clear()


def test_play_money_is_refused_where_others_can_come(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAREBOX_PAYMENTS", "local")
    monkeypatch.setenv("FAREBOX_HOST", "0.0.0.0")
    with pytest.raises(SettingsError, match="FAREBOX_PAYMENTS=local gives credits away without payment"):
        load_settings()
    monkeypatch.setenv("FAREBOX_TEST_MODE", "1")
    assert load_settings().payments == "local"
