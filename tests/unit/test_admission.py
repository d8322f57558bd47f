"""Which connection stays where not all can: by counting, without a socket."""

from __future__ import annotations

import pytest

from gateway.api import limits
from gateway.api.middleware.admission import Admission, ConnectionRefused, ConnectionState, Place
from gateway.outside.addresses import parse_networks
from gateway.outside.proxies import Proxies


class Stage:
    """An admission with a clock that stands still, and who was ended."""

    def __init__(self, connections: int = 8, per_address: int = 4, proxies: str = "10.0.0.0/8") -> None:
        self.now = 0.0
        self.ended: list[str] = []
        self.admission = Admission(connections, per_address, Proxies(parse_networks(proxies)), lambda: self.now)

    def come(self, peer: str, name: str = "") -> Place:
        return self.admission.admit(peer, lambda: self.ended.append(name))

    def work(self, place: Place) -> Place:
        self.admission.note(place, ConnectionState.WORKING)
        return place

    def idle(self, place: Place) -> Place:
        self.admission.note(place, ConnectionState.IDLE)
        return place

    def code(self, place: Place, path: str = "/v1/balance", client: str = "") -> str | None:
        try:
            with self.admission.request(place, path, lambda: client):
                return None
        except ConnectionRefused as refused:
            return refused.error.code if refused.error.headers["Retry-After"] == "5" else "no Retry-After"


def test_half_open_connections_of_an_address_make_room_for_its_own_and_take_none_from_others() -> None:
    stage = Stage()
    for number in range(1000):
        stage.come("192.0.2.1", str(number))
    assert len(stage.ended) == 996
    assert stage.ended[:2] == ["0", "1"]
    assert stage.code(stage.come("192.0.2.1", "mine")) is None
    assert stage.code(stage.come("192.0.2.2")) is None


def test_a_client_at_its_request_limit_gets_an_error_and_health_is_answered() -> None:
    stage = Stage()
    working = [stage.work(stage.come("192.0.2.1", "working")) for _ in range(4)]
    one_more = stage.come("192.0.2.1")
    assert stage.code(one_more) == "rate_limited"
    assert stage.code(one_more, "/healthz") is None
    assert stage.code(one_more, "/readyz") is None
    assert stage.code(stage.come("192.0.2.2")) is None
    assert stage.ended == []
    stage.admission.leave(working[0])
    stage.admission.leave(working[0])  # said twice, counted once
    assert stage.code(stage.work(stage.come("192.0.2.1"))) is None
    assert stage.code(stage.come("192.0.2.1")) == "rate_limited"


def test_a_new_connection_gets_an_error_if_all_are_busy() -> None:
    stage = Stage()
    for host in (1, 2):
        for _ in range(4):
            stage.work(stage.come(f"192.0.2.{host}", "working"))
    assert stage.code(stage.come("192.0.2.3")) == "overloaded"
    assert stage.code(stage.come("192.0.2.3"), "/readyz") is None
    assert stage.ended == []


def test_half_open_connections_of_many_addresses_lock_nobody_out() -> None:
    stage = Stage()
    for number in range(200):
        stage.come(f"198.51.100.{number}", "half open")
    served = stage.come("192.0.2.1", "served")
    assert stage.code(stage.work(served)) is None
    for number in range(200):
        stage.come(f"198.51.100.{number}", "half open")
    assert "served" not in stage.ended


def test_an_idle_connection_goes_after_a_while_and_after_the_half_open() -> None:
    stage = Stage()
    idle = [stage.idle(stage.work(stage.come("192.0.2.1", f"idle {number}"))) for number in range(3)]
    stage.come("192.0.2.1", "half open")
    stage.come("192.0.2.1", "half open too")
    assert stage.ended == ["half open"]
    stage.come("192.0.2.1", "a third")
    stage.work(stage.come("192.0.2.1", "working"))
    assert stage.ended == ["half open", "half open too", "a third"]
    assert stage.come("192.0.2.1").refusal is not None  # the idle ones were used a moment ago
    stage.now += limits.IDLE_KEPT_SECONDS
    stage.work(idle[0])
    stage.idle(idle[0])
    assert stage.come("192.0.2.1").refusal is None
    assert stage.ended[3:] == ["idle 1"]


def test_the_reserve_is_bounded_and_its_oldest_goes() -> None:
    stage = Stage()
    for _ in range(4):
        stage.work(stage.come("192.0.2.1"))
    for number in range(limits.RESERVE + 2):
        assert stage.come("192.0.2.1", f"reserve {number}").refusal is not None
    assert stage.ended == ["reserve 0", "reserve 1"]


def test_an_ipv6_network_is_one_client() -> None:
    stage = Stage()
    for number in range(4):
        stage.work(stage.come(f"2001:db8:1:2::{number}"))
    assert stage.come("2001:db8:1:2:ffff::1").refusal is not None
    assert stage.come("2001:db8:1:3::1").refusal is None


def test_behind_a_proxy_requests_in_work_are_counted_by_the_client_it_names() -> None:
    stage = Stage()
    places = [stage.come("10.0.0.1") for _ in range(6)]  # more than an address may have
    assert all(place.refusal is None for place in places)
    request = stage.admission.request
    with (
        request(places[0], "/v1/events", lambda: "192.0.2.1"),
        request(places[1], "/v1/events", lambda: "192.0.2.1"),
        request(places[2], "/v1/events", lambda: "192.0.2.1"),
        request(places[3], "/v1/events", lambda: "192.0.2.1"),
    ):
        assert stage.code(places[4], client="192.0.2.1") == "rate_limited"
        assert stage.code(places[4], "/healthz", client="192.0.2.1") is None
        assert stage.code(places[4], client="192.0.2.2") is None
    assert stage.code(places[4], client="192.0.2.1") is None


@pytest.mark.parametrize(("connections", "share"), [(128, 32), (768, 192), (65_280, 1000), (3, 3)])
def test_an_address_has_a_share_of_all(connections: int, share: int) -> None:
    admission = Admission(connections, None, Proxies())
    for _ in range(share):
        assert admission.admit("192.0.2.1", lambda: None).refusal is None
    ended: list[int] = []
    place = admission.admit("192.0.2.1", lambda: ended.append(1))
    admission.note(place, ConnectionState.WORKING)
    assert place.refusal is None
    assert ended == []
