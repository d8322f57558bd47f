from __future__ import annotations

from decimal import Decimal

import pytest

from gateway.media import Media
from gateway.outputs import LinkState, UploadAddresses, upload_expires_at, upload_measures, upload_size
from gateway.outputs.names import UploadMeasures

HOUR = 3600
DAY = 24 * HOUR
NOON = 1_795_608_000.0
PNG = Media("image/png", 640, 480)
MP4 = Media("video/mp4", 1280, 720, Decimal("5.04"))


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
    assert upload_expires_at(addresses.new_key(PNG, 70)) == NOON + expires_after_noon


def test_an_address_is_good_until_it_expires_and_then_says_so(addresses: UploadAddresses, clock: Clock) -> None:
    key = addresses.new_key(MP4, 70)
    address = addresses.address("acme", key)
    assert addresses.open("acme", address) == (LinkState.VALID, key)
    clock.now = NOON + DAY - 0.001
    assert addresses.open("acme", address) == (LinkState.VALID, key)
    clock.now = NOON + DAY
    assert addresses.open("acme", address) == (LinkState.EXPIRED, key)


def test_an_address_is_worth_nothing_to_anybody_else(addresses: UploadAddresses, clock: Clock) -> None:
    address = addresses.address("acme", addresses.new_key(PNG, 70))
    assert "acme" not in address
    for account in ("other", "acme ", "", "acme/uploads"):
        assert addresses.open(account, address) == (LinkState.INVALID, "")
    clock.now += 2 * DAY
    assert addresses.open("other", address) == (LinkState.INVALID, ""), "a stranger is not told that there was one"


def test_gateways_share_addresses_by_their_signing_key(addresses: UploadAddresses, clock: Clock) -> None:
    address = addresses.address("acme", addresses.new_key(PNG, 70))
    assert UploadAddresses("a signing key", clock).open("acme", address)[0] is LinkState.VALID
    assert UploadAddresses("another signing key", clock).open("acme", address)[0] is LinkState.INVALID


def test_nothing_of_an_address_can_be_changed(addresses: UploadAddresses) -> None:
    address = addresses.address("acme", addresses.new_key(PNG, 70))
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
    assert addresses.new_key(PNG, 70, "seed") == addresses.new_key(PNG, 70, "seed")
    assert addresses.new_key(PNG, 70, "seed") != addresses.new_key(PNG, 70, "other seed")
    assert addresses.new_key(PNG, 70) != addresses.new_key(PNG, 70)


def test_an_address_says_what_was_measured_of_the_file(addresses: UploadAddresses) -> None:
    picture, video = addresses.new_key(PNG, 70), addresses.new_key(MP4, 71)
    assert upload_measures(picture) == UploadMeasures(640 * 480, None)
    assert upload_measures(video) == UploadMeasures(1280 * 720, Decimal("5.04"))
    assert (upload_size(picture), upload_size(video)) == (70, 71)


def test_an_upload_of_a_gateway_that_kept_no_measures_is_taken_as_not_measured(
    addresses: UploadAddresses,
) -> None:
    key = f"uploads/2026112713/{'a' * 24}-70.png"
    assert addresses.open("acme", addresses.address("acme", key)) == (LinkState.VALID, key)
    assert upload_measures(key) is None
    assert upload_size(key) == 70


@pytest.mark.parametrize("measures", ["-0x", "-1x1-", "-1x1-1-1", "-1x1x1", "--1x1", "-1x1\n"])
def test_measures_that_are_not_whole_make_no_address(addresses: UploadAddresses, measures: str) -> None:
    address = addresses.address("acme", addresses.new_key(PNG, 70)).replace("-640x480", measures)
    assert addresses.open("acme", address) == (LinkState.INVALID, "")
