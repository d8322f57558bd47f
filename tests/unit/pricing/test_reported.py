"""R29: a rate may hold a ceiling and charge what is reported."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

import pytest
from rich.console import Console

from gateway.domain import PriceLine
from gateway.errors import RateCardError
from gateway.metering import MILLIONTHS, Meter, Metering, Unit
from gateway.pricing.card import RateCard
from gateway.pricing.check import check
from gateway.pricing.estimates import priced_item
from gateway.pricing.load import read_card
from gateway.pricing.render import render
from tests.unit.pricing.test_quote import ReadCard, priced

RATE = "[[models.clip.rates]]\n"
SECONDS = RATE + 'reported = { unit = "seconds", credits = 12.5, at_most = 30, if_unreported = 20 }\n'
TOKENS = (
    RATE + 'credits = 2\nreported = [{ unit = "input_tokens", credits = 0.01, at_most = 1000 }, '
    '{ unit = "output_tokens", credits = 0.000000001, at_most = 500 }]\n'
)
AUDIO = "[models.clip.settings]\naudio = { values = [false, true] }\n"


def test_the_price_is_the_ceiling_and_says_up_to_how_much(card_with: ReadCard) -> None:
    made = priced(card_with(SECONDS), outputs=2)
    assert (made.price_millicredits, made.at_most) == (750_000, True)
    assert made.lines == (PriceLine("Clip · up to 30 s", Decimal("12.5"), Decimal(60), Decimal(750)),)
    meter = Meter(Unit.SECONDS, 12_500_000_000, 30 * MILLIONTHS, 20 * MILLIONTHS)
    assert made.metering == Metering(0, (meter,), 0)


def test_several_units_add_up_beside_what_is_fixed_and_an_unreported_one_counts_as_its_ceiling(
    card_with: ReadCard,
) -> None:
    made = priced(card_with(TOKENS), outputs=2)
    assert made.price_millicredits == 24_001  # 2 × (2 + 10 + 0.0000005), rounded up once
    assert [line.label for line in made.lines] == ["Clip", "up to 1000 input tokens", "up to 500 output tokens"]
    meters = (
        Meter(Unit.INPUT_TOKENS, 10_000_000, 1000 * MILLIONTHS, 1000 * MILLIONTHS),
        Meter(Unit.OUTPUT_TOKENS, 1, 500 * MILLIONTHS, 500 * MILLIONTHS),
    )
    assert made.metering == Metering(4_000_000_000, meters, 1)


def test_a_factor_also_multiplies_what_a_unit_costs_and_an_amount_is_fixed(card_with: ReadCard) -> None:
    add_ons = (
        '[[models.clip.add_ons]]\nname = "Audio"\nwhen = { audio = true }\nfactor = 1.5\n'
        '[[models.clip.add_ons]]\nname = "Fee"\nper = "request"\ncredits = 3\n'
    )
    made = priced(card_with(AUDIO + SECONDS + add_ons), outputs=2, audio=True)
    assert made.price_millicredits == 2 * 375_000 * 3 // 2 + 3_000
    assert made.metering is not None
    assert (made.metering.fixed_nanocredits, made.metering.meters[0].nanocredits) == (3_000_000_000, 18_750_000_000)


def test_a_price_without_reported_units_is_firm(card_with: ReadCard) -> None:
    made = priced(card_with(RATE + "credits = 5"))
    assert (made.metering, made.at_most) == (None, False)


def test_the_proof_the_price_list_and_estimates_have_the_ceiling(card_with: ReadCard) -> None:
    card = card_with(AUDIO + SECONDS)
    proof = check(card)
    assert proof["clip"].dearest.millicredits == 375_000
    console = Console(width=120)
    with console.capture() as captured:
        console.print(render(card, proof))
    assert "reported seconds ≤ 30" in captured.get()
    item = priced_item(card, tool="video", model="clip", settings={}, outputs=1, per_day=Decimal(2), days=10)
    assert (item.millicredits, item.at_most) == (7_500_000, True)


@pytest.mark.parametrize(
    ("was", "becomes", "told"),
    [
        (", at_most = 30", "", "`reported[0]` needs `at_most`, the most that is charged for, and held: for example"),
        ("at_most = 30", "at_most = 0", "`at_most` must be greater than 0"),
        ("at_most = 30", "at_most = 10000001", "`reported[0].at_most` must be between 0 and 10,000,000"),
        ("at_most = 30", "at_most = 0.0000001", "with at most 6 decimals"),
        ("if_unreported = 20", "if_unreported = 31", "`if_unreported` is 31, above its `at_most` of 30: lower it"),
        ('"seconds"', '"minutes"', '`reported[0].unit` must be "seconds", "megapixels"'),
        ("credits = 12.5", "credits = -1", "must not be negative"),
        ("credits = 12.5", "credits = 1000001", "charges more than 1,000,000 credits for one of its seconds"),
        (
            "reported = {",
            "minimum_credits = 1\nreported = {",
            "`minimum_credits` beside `reported`: charge a least",
        ),
        ("reported = {", "maximum_credits = 1\nreported = {", "has `maximum_credits` beside `reported`"),
        ("reported = {", "round_credits_to = 1\nreported = {", "has `round_credits_to` beside `reported`"),
    ],
)
def test_a_rate_that_could_not_be_held_or_charged_is_refused_with_the_fix(
    faults_with: Callable[[str], list[str]], was: str, becomes: str, told: str
) -> None:
    (message,) = faults_with(SECONDS.replace(was, becomes))
    assert told in message


def test_a_unit_twice_and_a_discount_beyond_what_is_fixed_are_refused(faults_with: Callable[[str], list[str]]) -> None:
    (message,) = faults_with(TOKENS.replace("output_tokens", "input_tokens"))
    assert '`reported` has the unit "input_tokens" twice: write it once' in message
    discount = '[[models.clip.add_ons]]\nname = "Discount"\ncredits = -3\n'
    (message,) = faults_with(TOKENS + discount)
    assert "costs -1 credits if 0 units are reported: its discounts must not exceed its `credits`" in message


def test_the_line_of_what_is_missing_is_named() -> None:
    tables = '[tools.video]\nname = "V"\nbaseline_model = "clip"\n[models.clip]\nname = "C"\ntool = "video"\n'
    rate = 'provider = "sandbox"\n[[models.clip.rates]]\ncredits = 1\nreported = { unit = "tokens", credits = 1 }\n'
    with pytest.raises(RateCardError, match=r"pricing\.toml:10: \[models\.clip\.rates\] #1: `reported\[0\]` needs"):
        read_card((tables + rate).encode())


def test_a_card_says_it_in_tables_of_their_own_too(card_with: ReadCard) -> None:
    tables = RATE + '[[models.clip.rates.reported]]\nunit = "tokens"\ncredits = 1\nat_most = 2\n'
    made: RateCard = card_with(tables)
    assert priced(made).price_millicredits == 2_000
