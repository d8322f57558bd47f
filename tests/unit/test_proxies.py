"""Whose address counts behind reverse proxies: nobody chooses his own by sending a header."""

from __future__ import annotations

import pytest

from gateway.errors import SettingsError
from gateway.outside.addresses import parse_networks
from gateway.outside.proxies import Proxies, one_client
from gateway.settings import load_settings

OURS = Proxies(parse_networks("10.0.0.0/8,fd00::/8"))
OURS_FORWARDED = Proxies(parse_networks("10.0.0.0/8,fd00::/8"), "Forwarded")


@pytest.mark.parametrize(
    ("peer", "said", "client"),
    [
        pytest.param("198.51.100.7", ["1.2.3.4"], "198.51.100.7", id="not a proxy: its header says nothing"),
        pytest.param("10.0.0.1", [], "10.0.0.1", id="no header"),
        pytest.param("10.0.0.1", ["1.2.3.4"], "1.2.3.4", id="one hop"),
        pytest.param("10.0.0.1", ["6.6.6.6, 1.2.3.4"], "1.2.3.4", id="what the client sent stands to the left"),
        pytest.param("10.0.0.1", ["6.6.6.6", "1.2.3.4"], "1.2.3.4", id="in two headers"),
        pytest.param("10.0.0.1", ["6.6.6.6, 1.2.3.4, 10.0.0.9, fd00::2"], "1.2.3.4", id="through three proxies"),
        pytest.param("10.0.0.1", ["10.0.0.3, 10.0.0.2"], "10.0.0.3", id="from inside"),
        pytest.param("10.0.0.1", ["1.2.3.4, unknown"], "10.0.0.1", id="a hop that is no address ends it"),
        pytest.param("10.0.0.1", ["1.2.3.4:5678"], "1.2.3.4", id="with a port"),
        pytest.param("10.0.0.1", ["[2001:db8::7]:443"], "2001:db8::7", id="IPv6 with a port"),
        pytest.param("10.0.0.1", ["2001:db8::7"], "2001:db8::7", id="IPv6 without"),
        pytest.param("::ffff:10.0.0.1", ["::ffff:1.2.3.4"], "1.2.3.4", id="mapped, as a socket for both shows it"),
        pytest.param("10.0.0.1", ["127.0.0.1"], "127.0.0.1", id="a proxy on the same machine as its client"),
        pytest.param("10.0.0.1", [",,"], "10.0.0.1", id="empty"),
        pytest.param("10.0.0.1", [",".join(["10.0.0.9"] * 5000)], "10.0.0.9", id="a list without end"),
    ],
)
def test_the_first_address_from_the_end_that_is_no_proxy_is_the_client(peer: str, said: list[str], client: str) -> None:
    assert OURS.client(peer, said) == client


@pytest.mark.parametrize(
    ("said", "client"),
    [
        ("for=1.2.3.4", "1.2.3.4"),
        ('for=6.6.6.6, for="[2001:db8::7]:4711";proto=https;by=10.0.0.1', "2001:db8::7"),
        ("proto=https;FOR=1.2.3.4;by=10.0.0.1", "1.2.3.4"),
        ("for=1.2.3.4, for=_hidden", "10.0.0.1"),
        ("for=1.2.3.4, by=10.0.0.1", "10.0.0.1"),
        ("before=1.2.3.4", "10.0.0.1"),
    ],
)
def test_the_standard_header_is_read_the_same_way(said: str, client: str) -> None:
    assert OURS_FORWARDED.client("10.0.0.1", [said]) == client


def test_one_client_has_a_whole_ipv6_network_and_one_ipv4_address() -> None:
    assert one_client("2001:db8:1:2:3::4") == one_client("2001:db8:1:2:ffff::") == "2001:db8:1:2::/64"
    assert one_client("1.2.3.4") != one_client("1.2.3.5")


def test_a_setting_that_names_no_networks_stops_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAREBOX_TRUSTED_PROXIES", "10.0.0.0/8,my-proxy")
    with pytest.raises(SettingsError, match="FAREBOX_TRUSTED_PROXIES"):
        load_settings()
    monkeypatch.setenv("FAREBOX_TRUSTED_PROXIES", "10.0.0.0/8")
    monkeypatch.setenv("FAREBOX_PROXY_HEADER", "X-Real-IP")
    with pytest.raises(SettingsError, match="FAREBOX_PROXY_HEADER"):
        load_settings()
