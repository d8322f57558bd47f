"""`valid_from`: price lists that begin at a date, all proved when the card is loaded."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from gateway.pricing.card import RateCard
from gateway.pricing.check import check, proof_at
from gateway.pricing.kept_quotes import KeptQuotes
from gateway.pricing.load import read_card
from gateway.pricing.quote import quote
from tests.cases import cases
from tests.unit.pricing.test_render import row, shown

TEXT = """
[free]
timezone = "Europe/Berlin"
[tools.video]
name = "Video"
baseline_model = "clip"
[models.clip]
name = "Clip"
tool = "video"
provider = "sandbox"
[models.clip.settings]
size = { values = ["S", "L"] }
[[models.clip.rates]]
credits = 10
[[models.clip.prices]]
valid_from = 2026-12-01
[[models.clip.prices.rates]]
when = { size = "S" }
credits = 12
[[models.clip.prices.rates]]
when = { size = "L" }
credits = 24
[[models.clip.prices.add_ons]]
name = "Fee"
credits = 1
[[models.clip.prices]]
valid_from = 2027-06-01T09:30:00Z
rates = [{ credits = 9 }]
[models.still]
name = "Still"
tool = "video"
provider = "sandbox"
[[models.still.rates]]
credits = 5
[[models.still.prices]]
valid_from = 2026-12-24T18:00:00
rates = [{ credits = 4 }]
"""


def at(*moment: int) -> int:
    return int(datetime(*moment, tzinfo=ZoneInfo("Europe/Berlin")).timestamp() * 1000)  # type: ignore[misc, arg-type]


FIRST, SECOND, THIRD = at(2026, 12, 1), at(2026, 12, 24, 18), at(2027, 6, 1, 11, 30)


@pytest.fixture
def card() -> RateCard:
    return read_card(TEXT.encode())


def cost(card: RateCard, model: str = "clip", size: str | None = "L") -> int:
    settings = {} if size is None else {"size": size}
    return quote(card, tool="video", model=model, settings=settings).price_millicredits


@cases(
    ("moment", "prices"),
    [
        (0, (10_000, 10_000, 5_000)),
        (FIRST - 1, (10_000, 10_000, 5_000)),
        (FIRST, (13_000, 25_000, 5_000)),
        (SECOND, (13_000, 25_000, 4_000)),
        (THIRD - 1, (13_000, 25_000, 4_000)),
        (THIRD, (9_000, 9_000, 4_000)),
        (THIRD * 2, (9_000, 9_000, 4_000)),
    ],
)
def test_each_list_counts_from_its_first_millisecond(card: RateCard, moment: int, prices: tuple[int, int, int]) -> None:
    then = card.at(moment)
    assert (cost(then, size="S"), cost(then), cost(then, "still", None)) == prices
    assert card.price_changes == (FIRST, SECOND, THIRD)
    assert (then.since_ms or 0) <= moment < (then.until_ms or moment + 1)
    assert then.version == card.version


def test_a_card_of_a_time_knows_what_is_to_come_and_is_made_once(card: RateCard) -> None:
    assert card.at(SECOND) is card.at(THIRD - 1)
    later = card.at(FIRST)
    assert (later.price_changes, later.since_ms, later.until_ms) == ((SECOND, THIRD), FIRST, SECOND)
    assert later.at(THIRD).models["clip"].rates == card.at(THIRD).models["clip"].rates
    assert later.models["clip"].priced_by == ("size",), "derived from the list in force, not from the one before"
    assert card.models["clip"].priced_by == ()
    without = read_card(TEXT[: TEXT.index("[[models.clip.prices]]")].encode())
    assert without.at(THIRD) is without


def test_kept_quotes_are_of_their_list(card: RateCard) -> None:
    quotes = KeptQuotes(card)
    found = [
        quotes.quote(
            since_ms=card.at(moment).since_ms,
            tool="video",
            model="clip",
            settings=(),
            outputs=1,
            input_images=0,
            input_videos=0,
            input_audios=0,
            measured=(),
        ).price_millicredits
        for moment in (0, FIRST, FIRST, THIRD)
    ]
    assert found == [10_000, 13_000, 13_000, 9_000]
    assert quotes.quote.cache_info().hits == 1


def test_the_check_prints_what_changes_when(card: RateCard) -> None:
    lines = shown(card)
    assert row(lines, "2026-12-01") == "2026-12-01 00:00 clip 10 13–25"
    assert row(lines, "2027-06-01") == "2027-06-01 11:30 clip 13–25 9"
    assert row(lines, "2026-12-24") == "2026-12-24 18:00 still 5 4"
    assert "each with exactly one price, and so in 3 price lists that begin at a date." in " ".join(lines[-3:])


def test_the_proof_of_a_time_is_that_of_the_lists_in_force(card: RateCard) -> None:
    proof = proof_at(card, check(card), SECOND)
    assert (proof["clip"].cheapest.millicredits, proof["clip"].dearest.millicredits) == (13_000, 25_000)
    assert (len(proof["clip"].later), len(proof["still"].later)) == (1, 0)


@cases(
    ("was", "becomes", "said"),
    [
        (
            'when = { size = "L" }\ncredits = 24',
            'when = { size = "S" }\ncredits = 24',
            '[models.clip.prices] #1: `rates` has 2 rates for size = "S"',
        ),
        ('when = { size = "L" }', 'when = { sice = "L" }', "[models.clip.prices] #1: `rates[1].when.sice` is not a"),
        ("2026-12-01\n", '"2026-12-01"\n', "[models.clip.prices] #1: `valid_from` must be a date or a time without"),
        ("2027-06-01T09:30:00Z", "2026-12-01", "[models.clip.prices] #2: `valid_from` is not after that of the list"),
        (
            "2026-12-24T18:00:00",
            "2027-03-28T02:30:00",
            "`valid_from` is when clocks in Europe/Berlin change, and does not occur exactly once: write its offset",
        ),
        ("2026-12-24T18:00:00", "2026-10-25T02:30:00", "write its offset, as in 2026-10-25T02:30:00+02:00"),
        ("rates = [{ credits = 9 }]", "rates = [{ credits = -9 }]", "`rates[0].credits` must not be negative"),
        ("rates = [{ credits = 9 }]", "", "[models.clip.prices] #2: needs `rates`"),
        ("[free]", "since_ms = 5\n[free]", "has an unknown name `since_ms`"),
    ],
)
def test_a_list_that_is_to_begin_is_refused_today(
    faults_of: Callable[[str], list[str]], was: str, becomes: str, said: str
) -> None:
    found = faults_of(TEXT.replace(was, becomes))
    assert any(said in message for message in found), found


def test_an_hour_that_occurs_twice_may_have_its_offset() -> None:
    card = read_card(TEXT.replace("2026-12-24T18:00:00", "2026-10-25T02:30:00+01:00").encode())
    assert at(2026, 10, 25, 3) - card.price_changes[0] == 30 * 60 * 1000
