"""Which addresses may be called, and that the check is made for the very address that a socket connects to."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiohttp import ClientConnectorError, ClientSession, ClientTimeout, web

from gateway.errors import SettingsError
from gateway.outside.addresses import AddressGuard, PatientResolver, is_public, is_refusal, parse_networks
from gateway.settings import load_settings
from tests.cases import cases

LOCAL = AddressGuard(parse_networks("127.0.0.0/8"))

NOT_PUBLIC = [
    "0.0.0.1", "10.0.0.1", "100.64.0.1", "100.100.100.200", "127.0.0.1", "127.1.2.3", "169.254.169.254", "172.16.0.1",
    "192.0.0.192", "192.0.2.1",
    "192.88.99.1", "192.168.1.1", "198.18.0.1", "198.51.100.7", "203.0.113.9", "224.0.0.1", "239.1.1.1",
    "240.0.0.1", "255.255.255.255", "168.63.129.16",
    "::", "::1", "::ffff:127.0.0.1", "::ffff:169.254.169.254", "::127.0.0.1", "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe",
    "64:ff9b:1::7f00:1", "100::1", "2001::1", "2001:db8::1", "3fff::1", "2002:7f00:1::1", "fc00::1", "fd12::1",
    "fe80::1", "fec0::1", "ff02::1", "4000::1",
]  # fmt: skip
PUBLIC = ["1.1.1.1", "8.8.8.8", "93.184.216.34", "172.32.0.1", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808"]


@cases("address", NOT_PUBLIC)
def test_an_address_of_somebodys_own_network_is_refused_however_it_is_written(address: str) -> None:
    assert not is_public(ipaddress.ip_address(address))
    assert not AddressGuard().admits(address)
    assert not LOCAL.admits(address) or address.endswith(("127.0.0.1", "127.1.2.3"))


@pytest.mark.parametrize("address", PUBLIC)
def test_a_public_address_is_called_with_tls_only(address: str) -> None:
    assert AddressGuard().admits(address)
    assert not AddressGuard().admits(address, plain=True)


def test_an_allowed_network_is_called_with_and_without_tls_and_its_neighbours_are_not() -> None:
    guard = AddressGuard(parse_networks("10.1.0.0/16, fd00:1::/32"))
    for address in ("10.1.2.3", "::ffff:10.1.2.3", "fd00:1::5"):
        assert guard.admits(address)
        assert guard.admits(address, plain=True)
    for address in ("10.2.0.1", "fd00:2::5", "127.0.0.1", "fe80::1%lo"):
        assert not guard.admits(address)


@cases(
    ("url", "says"),
    [
        ("https://example.com/hooks?a=1", None),
        ("https://example.com:8443/", None),
        ("https://8.8.8.8/", None),
        ("http://example.com/", "https"),
        ("ftp://example.com/", "https"),
        ("https:///path", "https"),
        ("example.com", "https"),
        ("https://exämple.com/", "ASCII"),
        ("https://example.com/a b", "ASCII"),
        ("https://example.com/a\nb", "ASCII"),
        ("https://example.com/a\x7fb", "ASCII"),
        ("https://me:secret@example.com/", "password"),
        ("https://example.com/#there", "fragment"),
        ("https://example.com:99999/", "URL"),
        ("https://[::1/", "URL"),
        ("https://127.0.0.1/", "public"),
        ("https://[::1]/", "public"),
        ("https://[::ffff:10.0.0.1]/", "public"),
        ("https://169.254.169.254/latest/meta-data", "public"),
        ("https://example.com/" + "a" * 2000, "2,000"),
    ],
)
def test_a_url_that_can_be_seen_to_be_wrong_is_refused_before_it_is_called(url: str, says: str | None) -> None:
    problem = AddressGuard().problem(url)
    assert problem is None if says is None else problem is not None and says in problem


INSIDE = [
    "127.0.0.1",
    "127.1",
    "2130706433",
    "0x7f000001",
    "0x7f.1",
    "0177.0.0.1",
    "017700000001",
    "127.0.0.1.",
    "0",
    "10.1",
    "127%2e0.0.1",
    "%31%32%37.0.0.1",
    "\uff11\uff12\uff17.0.0.1",
    "127\u30020\u30020\u30021",
    "\u2460\u2461\u2466.0.0.1",
    "[::1]",
    "[::ffff:127.0.0.1]",
    "[::ffff:7f00:1]",
    "[0:0:0:0:0:0:0:1]",
    "[fe80::1]",
    "[fd00::1]",
    "[64:ff9b::7f00:1]",
    "169.254.169.254",
    "0xa9fea9fe",
    "2852039166",
    "192.168.1.1",
    "localhost",
    "LOCALHOST",
    "localhost.",
    "a.localhost",
    "metadata.google.internal",
    "printer.local",
    "redis",
    "router.lan",
    "nas.home.arpa",
    "4294967296",
    "1.2.3.4.5",
    "999.1.1.1",
    "0x",
    "0377.0377.0377.0400",
]


@pytest.mark.parametrize("host", INSIDE)
@cases("rest", ["", "/cat.png", ":443/cat.png?a=b"])
def test_an_input_that_can_be_seen_to_lie_inside_is_refused_however_its_host_is_written(host: str, rest: str) -> None:
    assert AddressGuard().problem_of_input(f"https://{host}{rest}") is not None


@cases(
    "host",
    [
        "example.com",
        "example.com.",
        "8.8.8.8",
        "134744072",
        "[2606:4700::1111]",
        "1.example",
        "0x7f.example",
        "localhost.example.com",
        "exämple.com",
        "xn--exmple-cua.com",
    ],
)
def test_a_public_input_is_taken(host: str) -> None:
    assert AddressGuard().problem_of_input(f"https://{host}/cat.png") is None


def test_inputs_may_lie_in_a_network_that_an_operator_allows() -> None:
    guard = AddressGuard(parse_networks("10.1.0.0/16"))
    assert guard.problem_of_input("https://10.1.2.3/cat.png") is None
    assert guard.problem_of_input("https://store.internal/cat.png") is None  # judged when it is connected to
    for host in ("10.2.0.1", "127.0.0.1", "0x7f.1", "169.254.169.254"):
        assert guard.problem_of_input(f"https://{host}/cat.png") is not None


IN_PRIVATE_NETWORKS = ["100.100.100.200", "::ffff:100.100.100.200", "fd00:ec2::254", "fd20:ce::254", "fd00:42::42",
                       "fd00:a9fe:a9fe::1", "fd00:c1::a9fe:a9fe"]  # fmt: skip
"""Where Alibaba, Amazon, Google, Scaleway, Akamai and Oracle serve a machine's credentials."""


@pytest.mark.parametrize("address", ["169.254.169.254", "fe80::1", "168.63.129.16", "0.0.0.0", *IN_PRIVATE_NETWORKS])
def test_what_a_providers_server_names_is_never_where_clouds_keep_credentials(address: str) -> None:
    for host in ("gpu.internal", "10.0.0.5", "127.0.0.1"):
        assert not AddressGuard.beside(host).admits(address, plain=True)


def test_no_network_that_an_operator_allows_leads_to_credentials() -> None:
    """`fd00::/8`, as the documentation has it, let a customer's webhook call the metadata of the gateway's machine."""
    guard = AddressGuard(parse_networks("100.64.0.0/10, fd00::/8"), setting="FAREBOX_WEBHOOK_NETWORKS")
    assert guard.admits("100.64.0.1", plain=True)
    assert guard.admits("fd00:1::5", plain=True)
    for address in IN_PRIVATE_NETWORKS:
        assert not guard.admits(address)
        host = f"[{address}]" if ":" in address else address
        assert guard.problem(f"https://{host}/hooks") == "must resolve to a public address"


def test_what_a_server_on_this_machine_names_may_be_on_it_and_else_never() -> None:
    assert AddressGuard.beside("127.0.0.1").admits("127.0.0.1", plain=True)
    assert AddressGuard.beside("::1").admits("127.0.0.1", plain=True)
    for host in ("gpu.internal", "10.0.0.5", None):
        assert not AddressGuard.beside(host).admits("127.0.0.1", plain=True)
        assert AddressGuard.beside(host).admits("10.9.9.9", plain=True)
        assert AddressGuard.beside(host).admits("8.8.8.8", plain=True)


def test_plain_http_is_taken_only_where_an_operator_allows_networks() -> None:
    assert LOCAL.problem("http://127.0.0.1:9000/hooks") is None
    assert LOCAL.problem("http://receiver.internal/hooks") is None  # judged when it is connected to
    assert LOCAL.problem("http://8.8.8.8/") is not None
    assert LOCAL.problem("http://10.0.0.1/") is not None


@asynccontextmanager
async def receiver() -> AsyncIterator[tuple[int, list[str]]]:
    """A server at 127.0.0.1, and the paths that it was asked for."""
    asked: list[str] = []

    async def answer(request: web.Request) -> web.Response:
        asked.append(request.path)
        return web.Response(text="yes")

    app = web.Application()
    app.router.add_get("/{path:.*}", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield runner.addresses[0][1], asked
    finally:
        await runner.cleanup()


async def call(guard: AddressGuard, url: str, *, plain: bool = True) -> str:
    async with (
        ClientSession(connector=guard.connector(plain=plain), timeout=ClientTimeout(total=20)) as session,
        session.get(url, allow_redirects=False) as response,
    ):
        return await response.text()


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::ffff:127.0.0.1]"])
async def test_an_address_is_refused_when_it_is_connected_to_and_nothing_arrives(host: str) -> None:
    async with receiver() as (port, asked):
        for guard, plain in ((AddressGuard(), True), (AddressGuard(), False)):
            with pytest.raises(ClientConnectorError) as refused:
                await call(guard, f"http://{host}:{port}/a", plain=plain)
            assert is_refusal(refused.value)
        assert asked == []
        assert await call(LOCAL, f"http://{host}:{port}/b") == "yes"
        assert asked == ["/b"]


async def test_a_name_that_turns_private_after_the_check_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rebinding: the name was public when it was registered, and leads home when it is called."""
    answers = iter(["93.184.216.34", "127.0.0.1"])

    def look_up(*_arguments: object, **_options: object) -> list[tuple[object, ...]]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (next(answers), 0))]

    async with receiver() as (port, asked):
        with monkeypatch.context() as patched:
            patched.setattr(socket, "getaddrinfo", look_up)
            first = await PatientResolver().resolve("rebinding.example", port)
            assert AddressGuard().admits(first[0]["host"])
            with pytest.raises(ClientConnectorError) as refused:
                await call(AddressGuard(), f"https://rebinding.example:{port}/", plain=False)
        assert is_refusal(refused.value)
        assert asked == []


async def test_where_a_name_has_both_only_the_public_address_is_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    def look_up(*_arguments: object, **_options: object) -> list[tuple[object, ...]]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, 0)) for address in ("10.0.0.1", "127.0.0.1")]

    async with receiver() as (port, asked):
        monkeypatch.setattr(socket, "getaddrinfo", look_up)
        assert await call(LOCAL, f"http://both.example:{port}/c") == "yes"
        assert asked == ["/c"]


async def test_a_name_that_is_unknown_is_no_refusal() -> None:
    with pytest.raises(ClientConnectorError) as failed:
        await call(AddressGuard(), "https://unknown.invalid/", plain=False)
    assert not is_refusal(failed.value)


async def test_a_name_server_that_hangs_delays_no_other_name(monkeypatch: pytest.MonkeyPatch) -> None:
    let_go = threading.Event()

    def look_up(host: str, *_arguments: object, **_options: object) -> list[tuple[object, ...]]:
        if host.startswith("slow"):
            let_go.wait(60)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("93.184.216.34", 0))]

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    resolver = PatientResolver()
    hanging = [asyncio.create_task(resolver.resolve(f"slow{number}.example")) for number in range(50)]
    try:
        for _ in range(3):
            await resolver.resolve("quick.example")
        assert not any(task.done() for task in hanging)
    finally:
        hanging.pop().cancel()
        let_go.set()
        await asyncio.gather(*hanging)


def test_the_setting_takes_networks_and_names_what_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAREBOX_WEBHOOK_NETWORKS", "127.0.0.0/8, fd00::/8")
    settings = load_settings()
    assert [str(network) for network in settings.address_guard.networks] == ["127.0.0.0/8", "fd00::/8"]
    assert settings.environment()["FAREBOX_WEBHOOK_NETWORKS"] == "127.0.0.0/8, fd00::/8"
    monkeypatch.setenv("FAREBOX_WEBHOOK_NETWORKS", "10.0.0.1/8")
    with pytest.raises(SettingsError, match=r"FAREBOX_WEBHOOK_NETWORKS: .*10\.0\.0\.1/8"):
        load_settings()
