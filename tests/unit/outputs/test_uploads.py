from __future__ import annotations

import pytest

from gateway.outputs import LinkState, UploadAddresses, upload_expires_at

HOUR = 3600
DAY = 24 * HOUR
NOON = 1_795_608_000.0


class Clock:
    """A clock that stands until it is moved."""

    def __init__(self) -> None:
        self.now = NOON

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def addresses(clock: Clock) -> UploadAddresses:
    return UploadAddresses("a signing key", clock)


@pytest.mark.parametrize(("after_noon", "expires_after_noon"), [(0, DAY), (1, DAY + HOUR), (3599, DAY + HOUR)])
def test_an_upload_expires_at_a_full_hour_a_day_later_at_least(
    addresses: UploadAddresses, clock: Clock, after_noon: int, expires_after_noon: int
) -> None:
    clock.now = NOON + after_noon
    assert upload_expires_at(addresses.new_key("image/png", 70)) == NOON + expires_after_noon


def test_an_address_is_good_until_it_expires_and_then_says_so(addresses: UploadAddresses, clock: Clock) -> None:
    key = addresses.new_key("video/mp4", 70)
    address = addresses.address("acme", key)
    assert addresses.open("acme", address) == (LinkState.VALID, key)
    clock.now = NOON + DAY - 0.001
    assert addresses.open("acme", address) == (LinkState.VALID, key)
    clock.now = NOON + DAY
    assert addresses.open("acme", address) == (LinkState.EXPIRED, key)


def test_an_address_is_worth_nothing_to_anybody_else(addresses: UploadAddresses, clock: Clock) -> None:
    address = addresses.address("acme", addresses.new_key("image/png", 70))
    assert "acme" not in address
    for account in ("other", "acme ", "", "acme/uploads"):
        assert addresses.open(account, address) == (LinkState.INVALID, "")
    clock.now += 2 * DAY
    assert addresses.open("other", address) == (LinkState.INVALID, ""), "a stranger is not told that there was one"


def test_gateways_share_addresses_by_their_signing_key(addresses: UploadAddresses, clock: Clock) -> None:
    address = addresses.address("acme", addresses.new_key("image/png", 70))
    assert UploadAddresses("a signing key", clock).open("acme", address)[0] is LinkState.VALID
    assert UploadAddresses("another signing key", clock).open("acme", address)[0] is LinkState.INVALID


def test_nothing_of_an_address_can_be_changed(addresses: UploadAddresses) -> None:
    address = addresses.address("acme", addresses.new_key("image/png", 70))
    hour, name, signature = address.removeprefix("upload:").split("/")
    forged = [
        f"upload:{int(hour) + 1}/{name}/{signature}",
        f"upload:{hour}/{name.replace('.png', '.mp4')}/{signature}",
        f"upload:{hour}/{'a' * 24}-70.png/{signature}",
        f"upload:{hour}/{name.replace('-70', '-7')}/{signature}",
        f"upload:{hour}/{name}/{signature[:-1]}",
        f"upload:{hour}/{name}/{'B' if signature[0] == 'A' else 'A'}{signature[1:]}",
        f"upload:{hour}/{name}/",
        f"upload:{hour}/{name}",
        f"upload:../{hour}/{name}/{signature}",
        f"UPLOAD:{hour}/{name}/{signature}",
        f"{address}\n",
        f"{address}\u0661",
        "upload:",
        "",
    ]
    for one in forged:
        assert addresses.open("acme", one) == (LinkState.INVALID, ""), one


def test_one_seed_names_one_upload_and_without_one_each_is_new(addresses: UploadAddresses) -> None:
    assert addresses.new_key("image/png", 70, "seed") == addresses.new_key("image/png", 70, "seed")
    assert addresses.new_key("image/png", 70, "seed") != addresses.new_key("image/png", 70, "other seed")
    assert addresses.new_key("image/png", 70) != addresses.new_key("image/png", 70)
