"""R31: what a model costs at a provider, in the shapes of a rate, in money."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from decimal import Decimal
from fractions import Fraction

import pytest
from rich.console import Console

from gateway.domain import SettingValue
from gateway.metering import MILLIONTHS, Unit
from gateway.pricing.card import RateCard
from gateway.pricing.check import check
from gateway.pricing.costs import CostRange, JobCost, cheapest_worth, cost_ranges, job_cost, money
from gateway.pricing.render import render
from tests.unit.pricing.conftest import ReadCard

RATE = "[[models.clip.rates]]\ncredits = 5\n"
SETTINGS = (
    "[models.clip.settings]\nduration = { min = 1, max = 10 }\n"
    'resolution = { values = ["480p", "720p"] }\naudio = { values = [false, true] }\n'
)
COSTS = (
    '[[models.clip.cost]]\nwhen = { resolution = "480p" }\namount = 0.01\n'
    "amount_per = { duration = { amount = 0.002, over = 2 } }\nround_up = { duration = 5 }\nmaximum_amount = 0.025\n"
    '[[models.clip.cost]]\nwhen = { resolution = "720p" }\namount = 0.0000015\n'
    "[[models.clip.cost_add_ons]]\nwhen = { audio = true }\nfactor = 2\n"
    '[[models.clip.cost_add_ons]]\nwhen = { audio = true }\namount = 0.5\nper = "request"\n'
)
REPORTED = 'cost = { amount = 0.001, reported = { unit = "provider_credits", amount = 0.02, at_most = 4 } }\n'
TWO = """
[tools.video]
name = "Video"
baseline_model = "clip"
[providers.fal]
kind = "fal"
key_env = "FAL_KEY"
[models.clip]
name = "Clip"
tool = "video"
providers = ["sandbox", "fal"]
{of_model}
[models.clip.at.fal]
provider_model = "fal-ai/clip"
{of_offer}
[models.clip.settings]
resolution = {{ values = ["480p", "720p"] }}
[[models.clip.rates]]
credits = 5
"""
COUNTS: Mapping[str, int] = {"input_images": 0, "input_videos": 0, "input_audios": 0}


def cost_of(card: RateCard, outputs: int = 1, provider: str = "sandbox", **settings: SettingValue) -> JobCost | None:
    """What the model `clip` costs."""
    return job_cost(card.models["clip"], provider, settings=settings, counts=COUNTS, outputs=outputs)


def fixed(card: RateCard, outputs: int = 1, **settings: SettingValue) -> int:
    """What a job costs whatever is reported."""
    found = job_cost(card.models["clip"], "sandbox", settings=settings, counts=COUNTS, outputs=outputs)
    assert found is not None
    assert found.meters == ()
    assert sum(found.of(place, {}) for place in range(outputs)) == found.fixed
    return found.fixed


def test_a_cost_is_calculated_as_a_price_is(card_with: ReadCard) -> None:
    card = card_with(RATE + COSTS + SETTINGS)
    assert fixed(card, duration=2, resolution="480p") == 16_000  # 0.01 + 0.002 × (5 − 2)
    assert fixed(card, duration=10, resolution="480p") == 25_000  # its maximum
    assert fixed(card, 3, duration=2, resolution="480p", audio=True) == 3 * 2 * 16_000 + 500_000
    assert fixed(card, 2, resolution="720p") == 3  # 1.5 micro-units each; shares are 1 and 2
    assert fixed(card, 1, resolution="720p") == 2  # rounded once, and a half goes up


def test_one_number_is_the_cost_of_every_output(card_with: ReadCard) -> None:
    assert fixed(card_with("cost = 0.04\n" + RATE), 3) == 120_000


def test_a_provider_without_a_cost_costs_an_unknown_amount(card_of: ReadCard) -> None:
    card = card_of(TWO.format(of_model="", of_offer="cost = 0.5"))
    assert cost_of(card) is None
    assert cost_of(card, provider="fal") == JobCost(1, 500_000)
    assert cost_of(card, provider="another") is None


def test_reported_units_cost_what_was_reported_up_to_the_ceiling(card_with: ReadCard) -> None:
    found = cost_of(card_with(REPORTED + RATE), 2)
    assert found is not None
    unit = Unit.PROVIDER_CREDITS
    costs = [found.of(0, said) for said in ({unit: MILLIONTHS // 2}, {unit: 9 * MILLIONTHS}, {unit: None}, {})]
    assert costs == [11_000, 81_000, 81_000, 81_000]


def test_a_request_from_before_the_card_changed_costs_what_the_card_can_tell(card_with: ReadCard) -> None:
    card = card_with(RATE + COSTS + SETTINGS)
    assert fixed(card, resolution="480p") == 16_000  # `duration` came later: its default
    assert cost_of(card, resolution="240p") is None  # such a value is no more
    assert cost_of(card, duration="long", resolution="480p") is None


def test_a_measure_counts_as_measured_or_as_the_maximum(card_with: ReadCard) -> None:
    card = card_with(
        "inputs = { video = 2, video_seconds = 30 }\n"
        "cost = { amount_per = { input_video_seconds = { amount = 0.01 } } }\n" + RATE
    )
    model = card.models["clip"]
    assert model.cost_measures == {"input_video_seconds"}
    assert "input_video_seconds" not in model.priced_by  # a quote must not tell what the cost depends on

    def costs(videos: int, **measured: Decimal) -> int | None:
        counts = {**COUNTS, "input_videos": videos}
        found = job_cost(model, "sandbox", settings={}, counts=counts, outputs=1, measured=measured)
        return None if found is None else found.fixed

    assert costs(1, input_video_seconds=Decimal("2.5")) == 25_000
    assert (costs(1), costs(0)) == (300_000, 0)


@pytest.mark.parametrize(
    ("tables", "fault"),
    [
        ("cost = { amuont = 1 }\n", 'unknown name `amuont`; did you mean "amount"?'),
        ("cost = { credits = 1 }\n", "unknown name `credits`"),
        ("cost = {}\n", "needs `amount`, `amount_per` or `reported` (write `amount = 0` if it is free)"),
        ("cost = -1\n", "`amount` must not be negative"),
        ('cost = "1"\n', "must be an amount of money such as 0.04, without quotes"),
        ("cost = 10000001\n", "`amount` must be at most 10,000,000"),
        ("cost = { amount_per = { duration = 2 } }\n", "must be a table: write { amount = 2 }"),
        ("cost = { amount_per = { legnth = { amount = 2 } } }\n", "is not a setting of this model"),
        (
            "cost = { minimum_amount = 3, amount = 1, maximum_amount = 2 }\n",
            "`maximum_amount` below its `minimum_amount`",
        ),
        ('cost = { when = { resolution = "480p" }, amount = 1 }\n', 'has no cost for resolution = "720p"'),
        (
            'cost = [{ amount = 1 }, { when = { resolution = "480p" }, amount = 1 }]\n',
            'has 2 costs for resolution = "480p", #1 and #2',
        ),
        ("cost = 1\ncost_add_ons = { amount = -2 }\n", "[models.clip.cost]: costs -4, which is negative"),
        ("cost_add_ons = { amount = 2 }\n", "needs a `cost` that they are added to"),
        ("cost = 1\ncost_add_ons = {}\n", "needs exactly one of `amount`, `factor` and `amount_per`"),
    ],
)
def test_a_faulty_cost_is_refused_by_name(tables: str, fault: str, faults_with: Callable[[str], list[str]]) -> None:
    assert [one for one in faults_with(tables + RATE + SETTINGS) if fault in one and "models.clip" in one]


def test_a_cost_belongs_to_each_of_several_providers(faults_of: Callable[[str], list[str]]) -> None:
    assert "`cost` belongs to `provider`" in faults_of(TWO.format(of_model="cost = 1", of_offer=""))[0].replace(
        "[models.clip.cost]: ", "`cost` "
    )
    missing = faults_of(TWO.format(of_model="", of_offer='cost = { when = { resolution = "480p" }, amount = 1 }'))
    way = 'add one with when = { resolution = "720p" }, or forbid it in [[models.clip.forbidden]] with that `when`'
    assert missing == [f'pricing.toml: [models.clip.at.fal]: `cost` has no cost for resolution = "720p": {way}']


def test_a_card_without_costs_prices_and_proves_as_before(card_with: ReadCard) -> None:
    with_costs, without = card_with(RATE + COSTS + SETTINGS), card_with(RATE + SETTINGS)
    assert check(with_costs) == check(without)
    assert with_costs.models["clip"].priced_by == without.models["clip"].priced_by


PAID = (
    '[plans.a]\nname = "A"\nmonthly_credits = 1000\nprice = { monthly = 12, yearly = 96 }\n'
    '[bundles.b]\nname = "B"\ncredits = 500\nprice = 5\n[bundles.gift]\nname = "Gift"\ncredits = 500\nprice = 0\n'
)


def test_the_cheapest_paid_credit_is_of_whichever_plan_interval_or_bundle_sells_it(card_with: ReadCard) -> None:
    assert cheapest_worth(card_with(RATE + PAID)) == Fraction(8)  # 96 for 12 × 1,000 credits: 8 micro a millicredit
    assert cheapest_worth(card_with(RATE)) is None


def test_combinations_that_cost_more_than_they_earn_are_named(card_with: ReadCard) -> None:
    card = card_with(RATE + COSTS + SETTINGS + PAID)
    (found,) = cost_ranges(card, cheapest_worth(card))
    assert isinstance(found, CostRange)
    assert (money(found.cheapest.cost), money(found.dearest.cost)) == ("0.000002", "0.550000")
    assert (money(found.least.margin), money(found.most.margin)) == ("-0.510000", "0.039999")
    assert found.losses == 10 + 10  # with audio, whatever the duration and resolution
    assert found.losing[0].facts["audio"] is True


def test_the_check_prints_costs_margins_and_losses(card_with: ReadCard) -> None:
    card = card_with(RATE + COSTS + SETTINGS + PAID)
    console = Console(width=160, file=io.StringIO())
    console.print(render(card, check(card)))
    shown = " ".join(console.file.getvalue().split())  # type: ignore[attr-defined]
    assert "margin at 0.008 a credit, the cheapest sold" in shown
    assert "clip sandbox 0.000002 0.55 -0.51 0.039999" in shown
    assert "clip at sandbox loses money with duration =" in shown
    assert "clip at sandbox loses money with 17 more combinations." in shown


def test_without_costs_nothing_of_them_is_printed(card_with: ReadCard) -> None:
    card = card_with(RATE + SETTINGS + PAID)
    console = Console(width=160, file=io.StringIO())
    console.print(render(card, check(card)))
    assert "Costs" not in console.file.getvalue()  # type: ignore[attr-defined]
