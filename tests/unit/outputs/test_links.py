from __future__ import annotations

from urllib.parse import parse_qs, urlsplit

import pytest

from gateway.domain import generation_id
from gateway.outputs import LinkState, OutputLinks

HOUR = 3600
NOON = 1_800_000_000 // HOUR * HOUR  # a full hour
GENERATION = generation_id(1, seed="one")


class Clock:
    def __init__(self, now: float = NOON) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def links(clock: Clock) -> OutputLinks:
    return OutputLinks("a signing key", "https://media.example", clock=clock)


def query(url: str) -> tuple[str, str]:
    asked = parse_qs(urlsplit(url).query)
    return asked["expires"][0], asked["signature"][0]


def test_a_link_is_an_address_of_the_output_and_is_valid(links: OutputLinks) -> None:
    url = links.url(GENERATION, 2)
    assert url.startswith(f"https://media.example/v1/generations/{GENERATION}/outputs/2?")
    assert links.verify(GENERATION, 2, *query(url)) is LinkState.VALID


def test_a_link_is_the_same_for_an_hour(links: OutputLinks, clock: Clock) -> None:
    clock.now = NOON + 1
    first = links.url(GENERATION, 0)
    clock.now = NOON + HOUR
    assert links.url(GENERATION, 0) == first
    clock.now = NOON + HOUR + 1
    assert links.url(GENERATION, 0) != first


@pytest.mark.parametrize("made_at", [NOON, NOON + 0.5, NOON + 1, NOON + HOUR - 0.5])
def test_a_link_lives_a_day_at_least_and_an_hour_more_at_most(links: OutputLinks, clock: Clock, made_at: float) -> None:
    clock.now = made_at
    expires, signature = query(links.url(GENERATION, 0))
    clock.now = made_at + 24 * HOUR - 0.001
    assert links.verify(GENERATION, 0, expires, signature) is LinkState.VALID
    clock.now = made_at + 25 * HOUR
    assert links.verify(GENERATION, 0, expires, signature) is LinkState.EXPIRED


def test_nothing_of_a_link_can_be_changed(links: OutputLinks, clock: Clock) -> None:
    expires, signature = query(links.url(GENERATION, 0))
    other = generation_id(1, seed="other")
    changed = [
        (other, 0, expires, signature),
        (GENERATION, 1, expires, signature),
        (GENERATION, 0, str(int(expires) + HOUR), signature),
        (GENERATION, 0, f"0{expires}", signature),
        (GENERATION, 0, expires, signature[:-2] + ("AA" if signature[-2:] != "AA" else "BB")),
        (GENERATION, 0, expires, ""),
        (GENERATION, 0, "never", signature),
        (GENERATION, 0, "", ""),
        (GENERATION, 0, "\ud800", "ü\ud800"),
    ]
    clock.now = NOON + 100 * HOUR  # also when it has long expired: only a genuine link is called expired
    assert {links.verify(*each) for each in changed} == {LinkState.INVALID}


def test_another_key_makes_other_signatures(links: OutputLinks, clock: Clock) -> None:
    other = OutputLinks("another signing key", "https://media.example", clock=clock)
    assert other.verify(GENERATION, 0, *query(links.url(GENERATION, 0))) is LinkState.INVALID
