"""What holds of every price, whatever the card."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import ROUND_CEILING, Decimal
from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from gateway.pricing.check import check
from gateway.pricing.load import read_card
from gateway.pricing.quote import quote

AMOUNTS = st.integers(0, 500_000).map(lambda millicredits: Decimal(millicredits) / 1000)
FACTORS = st.integers(0, 4_000_000).map(lambda millionths: Decimal(millionths) / 1_000_000)


@dataclass(frozen=True)
class Made:
    """A card of one model with a rate per resolution, and what it was made from."""

    base: tuple[Decimal, Decimal]
    per_second: Decimal
    over: int
    multiple: int
    minimum: Decimal
    add_ons: tuple[tuple[str, Decimal, str], ...]

    def text(self) -> str:
        head = """
[tools.video]
name = "Video"
baseline_model = "clip"
[models.clip]
name = "Clip"
tool = "video"
provider = "sandbox"
outputs_max = 9
inputs = { image = 4 }
[models.clip.settings]
resolution = { values = ["1K", "2K"] }
duration = { min = 1, max = 12, unit = "s" }
"""
        rates = "".join(
            f"""
[[models.clip.rates]]
when = {{ resolution = "{resolution}" }}
credits = {base:f}
credits_per = {{ duration = {{ credits = {self.per_second:f}, over = {self.over} }} }}
round_up = {{ duration = {self.multiple} }}
minimum_credits = {self.minimum:f}
"""
            for resolution, base in zip(("1K", "2K"), self.base, strict=True)
        )
        add_ons = "".join(
            f'[[models.clip.add_ons]]\nname = "A"\n{_as_toml(kind, amount)}\nper = "{per}"\n'
            for kind, amount, per in self.add_ons
        )
        return head + rates + add_ons


def _as_toml(kind: str, amount: Decimal) -> str:
    if kind == "references":
        return f"credits_per = {{ input_images = {{ credits = {amount:f}, over = 1 }} }}"
    return f"{kind} = {amount:f}"


ADD_ONS = st.one_of(
    st.tuples(st.just("credits"), AMOUNTS, st.sampled_from(["output", "request"])),
    st.tuples(st.just("references"), AMOUNTS, st.sampled_from(["output", "request"])),
    st.tuples(st.just("factor"), FACTORS, st.sampled_from(["output", "request"])),
)
CARDS = st.builds(
    Made,
    base=st.tuples(AMOUNTS, AMOUNTS),
    per_second=AMOUNTS,
    over=st.integers(0, 5),
    multiple=st.integers(1, 5),
    minimum=AMOUNTS,
    add_ons=st.lists(ADD_ONS, max_size=4).map(tuple),
)


def _expected(made: Made, resolution: str, duration: int, outputs: int, images: int) -> Fraction:
    """The price in credits by docs/design.md, section 8, in fractions, written apart from the product's code."""
    billed = -(-duration // made.multiple) * made.multiple
    base = made.base[("1K", "2K").index(resolution)]
    unit = max(Fraction(base) + Fraction(made.per_second) * max(0, billed - made.over), Fraction(made.minimum))

    def applied(running: Fraction, per: str) -> Fraction:
        for kind, amount, counts in made.add_ons:
            if counts != per:
                continue
            if kind == "factor":
                running *= Fraction(amount)
            else:
                running += Fraction(amount) * (max(0, images - 1) if kind == "references" else 1)
        return running

    return applied(applied(unit, "output") * outputs, "request")


@given(
    made=CARDS,
    resolution=st.sampled_from(["1K", "2K"]),
    duration=st.integers(1, 12),
    outputs=st.integers(1, 9),
    images=st.integers(0, 4),
)
def test_a_price_is_what_the_text_says_and_its_lines_sum_to_it(
    made: Made, resolution: str, duration: int, outputs: int, images: int
) -> None:
    card = read_card(made.text().encode())
    priced = quote(
        card,
        tool="video",
        model="clip",
        settings={"resolution": resolution, "duration": duration},
        outputs=outputs,
        input_images=images,
    )
    expected = _expected(made, resolution, duration, outputs, images)
    assert sum(Fraction(line.total) for line in priced.lines) == expected
    assert all(Fraction(line.credits) * Fraction(line.count) == Fraction(line.total) for line in priced.lines)
    assert priced.price_millicredits == -(-expected * 1000 // 1)
    proved = check(card)["clip"]
    if outputs == 1:
        assert proved.cheapest.millicredits <= priced.price_millicredits <= proved.dearest.millicredits
    if not any(kind == "factor" for kind, _, _ in made.add_ons):
        floor = (made.minimum * outputs * 1000).to_integral_value(ROUND_CEILING)
        assert priced.price_millicredits >= floor, "add-ons that only add never go below the minimum"


@given(made=CARDS, settings=st.dictionaries(st.sampled_from(["resolution", "duration"]), st.integers(1, 12)))
def test_a_proved_card_prices_every_request_that_it_accepts(made: Made, settings: dict[str, int]) -> None:
    settings.pop("resolution", None)
    card = read_card(made.text().encode())
    assert quote(card, tool="video", model="clip", settings=settings).price_millicredits >= 0
