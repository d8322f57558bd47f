"""What an account pays of a price: its plan's discount times its own factor, rounded once."""

from __future__ import annotations

from collections.abc import Callable
from decimal import ROUND_CEILING, Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain import PriceLine
from gateway.errors import RateCardError
from gateway.pricing.card import RateCard
from gateway.pricing.discounts import NO_PLAN, PricedFor, decode_factors, discounts_of, encode_factors
from gateway.pricing.estimates import estimate, estimated_generations, priced_item
from gateway.pricing.load import read_card
from gateway.pricing.quote import Quote, quote
from tests.cases import cases
from tests.unit.pricing.test_quote import ReadCard

PLANS = """
[free.discounts]
"*" = 1
[plans.creator]
name = "Creator"
monthly_credits = 1000
price = { monthly = 250.00 }
discounts = { video = 0.8, still = 0.5, "*" = 0.9 }
[plans.basic]
name = "Basic"
monthly_credits = 1000
price = { monthly = 13.00 }
[tools.video]
name = "Video"
baseline_model = "clip"
[tools.image]
name = "Image"
baseline_model = "still"
[models.clip]
name = "Clip"
tool = "video"
provider = "sandbox"
outputs_max = 4
[[models.clip.rates]]
credits = 10.001
[[models.clip.add_ons]]
name = "Fee"
credits = 0.5
per = "request"
[models.still]
name = "Still"
tool = "image"
provider = "sandbox"
[[models.still.rates]]
credits = 10
[models.other]
name = "Other"
tool = "image"
provider = "sandbox"
[[models.other.rates]]
credits = 10
"""


@pytest.fixture
def card() -> RateCard:
    return read_card(PLANS.encode())


def paid(card: RateCard, account: PricedFor, tool: str = "video", model: str = "clip", outputs: int = 1) -> Quote:
    discounts = discounts_of(card, account, tool=tool, model=model)
    return quote(card, tool=tool, model=model, settings={}, outputs=outputs, discounts=discounts)


def test_a_discount_is_a_line_and_the_total_is_rounded_up_once(card: RateCard) -> None:
    made = paid(card, PricedFor("creator", "video:0.333333"), outputs=2)
    assert made.lines == (
        PriceLine("Clip", Decimal("10.001"), Decimal(2), Decimal("20.002")),
        PriceLine("Fee", Decimal("0.5"), Decimal(1), Decimal("0.5")),
        PriceLine("Creator: × 0.8", Decimal("-4.1004"), Decimal(1), Decimal("-4.1004")),
        PriceLine("Your account: × 0.333333", Decimal("-10.9344054672"), Decimal(1), Decimal("-10.9344054672")),
    )
    assert sum(line.total for line in made.lines) == Decimal("20.502") * Decimal("0.8") * Decimal("0.333333")
    assert made.price_millicredits == 5468, "5467.19…, up"


@cases(
    ("account", "model", "factor"),
    [
        (NO_PLAN, "still", "1"),
        (PricedFor("basic"), "still", "1"),
        (PricedFor("gone"), "still", "1"),  # withdrawn from the card, and its discounts with it
        (PricedFor("creator"), "still", "0.5"),  # the model's own entry, not also the tool's
        (PricedFor("creator"), "other", "0.9"),
        (PricedFor("basic", "*:0.7,image:0.6"), "still", "0.6"),
        (PricedFor("creator", "*:0.7,other:0"), "still", "0.35"),
        (PricedFor("creator", "*:0.7,other:0"), "other", "0"),
    ],
)
def test_the_entry_of_the_model_comes_before_its_tool_and_that_before_everything(
    card: RateCard, account: PricedFor, model: str, factor: str
) -> None:
    made = paid(card, account, "image", model)
    assert made.price_millicredits == 10_000 * Decimal(factor)
    assert made.price_with(discounts_of(card, account, tool="image", model=model)) == made.price_millicredits
    assert made.list_millicredits == made.price_with(()) == 10_000


SHARES = st.integers(0, 10**6).map(lambda millionths: Decimal(millionths) / 10**6)


@given(plan=SHARES, own=SHARES, credits_=st.integers(0, 10**9), outputs=st.integers(1, 4))
def test_every_price_is_the_exact_product_rounded_up(plan: Decimal, own: Decimal, credits_: int, outputs: int) -> None:
    text = PLANS.replace("video = 0.8", f"video = {plan:f}").replace("10.001", f"{Decimal(credits_) / 10**6:f}")
    made = paid(read_card(text.encode()), PricedFor("creator", encode_factors({"video": own})), outputs=outputs)
    exact = (Fraction(credits_, 10**6) * outputs + Fraction(1, 2)) * Fraction(plan) * Fraction(own)
    assert made.price_millicredits == -(-exact * 1000 // 1)
    assert sum((Fraction(line.total) for line in made.lines), Fraction(0)) == exact
    assert made.price_millicredits <= made.list_millicredits.to_integral_value(ROUND_CEILING)


def test_reported_units_cost_less_too(card_with: ReadCard) -> None:
    rate = 'credits = 2\nreported = { unit = "seconds", credits = 12.5, at_most = 30, if_unreported = 20 }\n'
    plan = (
        '[plans.creator]\nname = "Creator"\nmonthly_credits = 1\nprice = { monthly = 1 }\ndiscounts = { clip = 0.8 }\n'
    )
    made = paid(card_with("[[models.clip.rates]]\n" + rate + plan), PricedFor("creator"), outputs=2)
    assert made.price_millicredits == (2_000 + 375_000) * 2 * 8 // 10
    assert made.metering is not None
    assert made.metering.fixed_nanocredits == 3_200_000_000
    assert made.metering.meters[0].nanocredits == 10_000_000_000


@cases(
    ("discounts", "said"),
    [
        ("{ vidoe = 0.8 }", '`discounts.vidoe` names no tool and no model of this card; did you mean "video"?'),
        ("{ xyz = 0.8 }", '`discounts.xyz` names no tool and no model of this card; use "*" for everything'),
        ("{ video = 1.2 }", "`discounts.video` must be between 0 and 1, with at most 6 decimals"),
        ("{ video = 0.1234567 }", "`discounts.video` must be between 0 and 1, with at most 6 decimals"),
        ('{ video = "20 %" }', '`discounts.video` must be a number such as 0.8, not the text "20 %"'),
    ],
)
def test_a_discount_that_cannot_be_meant_is_refused(discounts: str, said: str) -> None:
    for table, text in (
        ("[plans.basic]", PLANS.replace("{ monthly = 13.00 }", "{ monthly = 13.00 }\ndiscounts = " + discounts)),
        ("[free]", PLANS.replace('[free.discounts]\n"*" = 1', "[free]\ndiscounts = " + discounts)),
    ):
        with pytest.raises(RateCardError) as refused:
            read_card(text.encode())
        (message,) = refused.value.messages
        assert message.endswith(said)
        assert table.strip("[]") in message


def test_a_name_of_a_tool_and_a_model_is_refused(faults_of: Callable[[str], list[str]]) -> None:
    text = PLANS.replace("[tools.image]", '[tools.other]\nname = "O"\nbaseline_model = "o"\n[tools.image]')
    text += '[models.o]\nname = "O"\ntool = "other"\nprovider = "sandbox"\nrates = [{ credits = 1 }]\n'
    (message,) = faults_of(text.replace("still = 0.5", "other = 0.5"))
    assert message.startswith("pricing.toml: [plans.creator]: `discounts.other` is the name of a tool and of a model")


def test_a_price_that_no_discount_could_be_computed_of_exactly_is_refused(
    card_with: ReadCard, faults_with: Callable[[str], list[str]]
) -> None:
    add_on = '[[models.clip.add_ons]]\nname = "A"\nfactor = 1.000001\n'
    rate = "[[models.clip.rates]]\ncredits = 0.123456789\n"
    card_with(rate + add_on * 29)  # 9 digits, 6 for each factor, and 12 for those of a plan and an account: up to 200
    (message,) = faults_with(rate + add_on * 31)
    assert message == "pricing.toml: [models.clip]: cannot be computed exactly: its factors have too many decimals"


def test_plans_are_estimated_at_their_own_prices(card: RateCard) -> None:
    assert estimated_generations(card, "basic")["image"]["generations"] == 100
    assert estimated_generations(card, "creator")["image"]["generations"] == 200
    item = priced_item(
        card, tool="image", model="other", settings={}, outputs=1, per_day=Decimal(5), days=21, account=NO_PLAN
    )
    made = estimate(card, [item], Decimal(0))
    assert made.millicredits == 1_050_000
    assert {one.plan: (one.with_buffer_millicredits, one.covers) for one in made.plans} == {
        "creator": (945_000, True),
        "basic": (1_050_000, False),
    }


def test_factors_are_stored_by_name_and_read_back() -> None:
    factors = {"video": Decimal("0.90"), "*": Decimal(1), "wan-2.2": Decimal("0.000001")}
    assert encode_factors(factors) == "*:1,video:0.9,wan-2.2:0.000001"
    assert decode_factors(encode_factors(factors)) == factors
    assert (encode_factors({}), decode_factors("")) == ("", {})
