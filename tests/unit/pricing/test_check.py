"""The proof: a card in which an allowed combination has no rate, or two, is refused with the combination named."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product

from gateway.domain import AMOUNT_MAX_MILLICREDITS
from gateway.pricing.card import RateCard
from gateway.pricing.check import check
from gateway.pricing.load import read_card
from gateway.pricing.quote import quote

ReadCard = Callable[[str], RateCard]
Faults = Callable[[str], list[str]]

SETTINGS = """
    inputs = { image = 3 }
    [models.clip.settings]
    resolution = { values = ["1K", "2K", "4K"], default = "1K" }
    audio = { values = [false, true], default = false }
    duration = { min = 1, max = 10, default = 1 }
    seed = { min = 0, max = 4294967295 }
"""


def rates(*lines: str) -> str:
    return SETTINGS + "".join(f"    [[models.clip.rates]]\n    {line}\n    credits = 1\n" for line in lines)


def test_a_combination_without_a_rate_is_named_with_the_line_that_mends_it(faults_with: Faults) -> None:
    assert faults_with(rates('when = { resolution = ["1K", "2K"] }', 'when = { resolution = "4K", audio = true }')) == [
        (
            'pricing.toml: [models.clip.rates]: has no rate for resolution = "4K", audio = false: '
            'add one with when = { resolution = "4K", audio = false }, '
            "or forbid it in [[models.clip.forbidden]] with that `when`"
        )
    ]


def test_a_combination_with_two_rates_is_named_with_both(faults_with: Faults) -> None:
    every = 'when = { resolution = ["1K", "2K", "4K"] }'
    assert faults_with(rates(every, 'when = { resolution = "2K", audio = true }')) == [
        (
            'pricing.toml: [models.clip.rates]: has 2 rates for resolution = "2K", audio = true, #1 and #2: '
            "narrow their `when` so that exactly one matches"
        )
    ]


def test_two_rates_that_match_everything_are_refused(faults_with: Faults) -> None:
    (message,) = faults_with(rates("", ""))
    assert "[models.clip.rates]: has 2 rates, #1 and #2" in message


def test_a_number_of_inputs_without_a_rate_is_named(faults_with: Faults) -> None:
    (message,) = faults_with(rates("when = { input_images = [0, 1, 3] }"))
    assert "has no rate for input_images = 2" in message


def test_many_holes_are_named_by_the_first_few_and_counted(faults_with: Faults) -> None:
    messages = faults_with(rates("when = { duration = 1 }"))
    assert [message.partition("for ")[2][:12] for message in messages[:3]] == [
        "duration = 2",
        "duration = 3",
        "duration = 4",
    ]
    assert messages[3] == "pricing.toml: [models.clip.rates]: has 6 more combinations without a rate"


def test_a_setting_that_no_rate_names_needs_no_rates_and_no_walking(card_with: ReadCard) -> None:
    proof = check(card_with(rates("when = { audio = false }", "when = { audio = true }")))
    assert proof["clip"].combinations == 2, "2^32 seeds, 10 durations and 3 resolutions cost the same"


def test_more_inputs_than_a_request_may_have_need_no_rate(card_with: ReadCard) -> None:
    images = ", ".join(str(count) for count in range(1, 17))
    card = card_with(f"""
    inputs = {{ image = 16, video = 1 }}
    [[models.clip.rates]]
    when = {{ input_images = 0 }}
    credits = 1
    [[models.clip.rates]]
    when = {{ input_images = [{images}], input_videos = 0 }}
    credits = 2
    [[models.clip.rates]]
    when = {{ input_images = [{images.removesuffix(", 16")}], input_videos = 1 }}
    credits = 3
    """)
    assert check(card)["clip"].combinations == 17 * 2 - 1


def test_more_combinations_than_can_be_walked_are_refused_with_their_sizes(faults_with: Faults) -> None:
    (message,) = faults_with("""
    [models.clip.settings]
    width = { min = 1, max = 4096 }
    height = { min = 1, max = 4096 }
    [[models.clip.rates]]
    credits_per = { width = { credits = 1 }, height = { credits = 1 } }
    """)
    assert message == (
        "pricing.toml: [models.clip]: has 16,777,216 combinations that its rates and add-ons distinguish; the check "
        "covers at most 100,000 (width has 4,096, height has 4,096): give the largest a bigger `step` or fewer values"
    )


def test_a_price_that_the_ledger_cannot_hold_is_refused(faults_with: Faults) -> None:
    (message,) = faults_with("""
    [[models.clip.rates]]
    credits = 3_000_000_000
    """)
    assert message == "pricing.toml: [models.clip]: costs 12,000,000,000 credits, more than 9,000,000,000"


def test_the_largest_price_that_the_ledger_holds_is_allowed(card_with: ReadCard) -> None:
    card = card_with("""
    [[models.clip.rates]]
    credits = 2_250_000_000
    """)
    assert quote(card, tool="video", model="clip", settings={}, outputs=4).price_millicredits == AMOUNT_MAX_MILLICREDITS


def test_a_discount_below_nothing_is_refused_with_the_combination(faults_with: Faults) -> None:
    (message,) = faults_with("""
    [models.clip.settings]
    draft = { values = [false, true] }
    [[models.clip.rates]]
    credits = 5
    [[models.clip.add_ons]]
    when = { draft = true }
    name = "Draft"
    credits = -6
    """)
    assert message == "pricing.toml: [models.clip]: with draft = true costs -4 credits, which is negative"


def test_factors_with_more_decimals_than_can_be_counted_are_refused(faults_with: Faults) -> None:
    add_on = '    [[models.clip.add_ons]]\n    name = "Factor"\n    factor = 1.234567\n'
    (message,) = faults_with("    [[models.clip.rates]]\n    credits = 1\n" + add_on * 40)
    assert "[models.clip]: cannot be computed exactly: its factors have too many decimals" in message


def test_the_proof_knows_the_cheapest_and_the_dearest_combination(default_card: RateCard) -> None:
    proved = check(default_card)["seedance-pro-fast"]
    assert proved.combinations == 3 * 10 * 2
    assert (proved.cheapest.millicredits, proved.dearest.millicredits) == (150_000, 1_800_000)
    assert proved.dearest.facts == {"resolution": "1080p", "duration": 12, "audio": True}


def test_every_allowed_combination_of_the_default_card_has_a_quote_within_the_proved_range(
    default_card: RateCard,
) -> None:
    proof = check(default_card)
    for model_id, model in default_card.models.items():
        names = [name for name in model.settings if name in model.priced_by]
        for values in product(*(model.settings[name].each() for name in names)):
            made = quote(default_card, tool=model.tool, model=model_id, settings=dict(zip(names, values, strict=True)))
            assert proof[model_id].cheapest.millicredits <= made.price_millicredits
            assert made.price_millicredits <= proof[model_id].dearest.millicredits


def test_a_card_of_60_models_and_10_000_combinations_is_walked_whole() -> None:
    parts = ['[tools.video]\nname = "Video"\nbaseline_model = "m0"\n']
    for index in range(60):
        parts.append(
            f'[models.m{index}]\nname = "M"\ntool = "video"\nprovider = "sandbox"\n[models.m{index}.settings]\n'
        )
        parts.append("a = { min = 1, max = 7 }\nb = { min = 1, max = 6 }\nc = { min = 1, max = 4 }\n")
        for a, b, c in product(range(1, 8), range(1, 7), range(1, 5)):
            parts.append(f"[[models.m{index}.rates]]\nwhen = {{ a = {a}, b = {b}, c = {c} }}\ncredits = {a * b * c}\n")
    proof = check(read_card("".join(parts).encode()))
    assert sum(proved.combinations for proved in proof.values()) == 60 * 7 * 6 * 4 == 10_080
    assert {proved.dearest.millicredits for proved in proof.values()} == {7 * 6 * 4 * 1000}
