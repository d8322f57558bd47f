"""A kept quote is the quote that would be made now."""

from __future__ import annotations

from decimal import Decimal

import pytest

from gateway.errors import InvalidSettings
from gateway.pricing import kept_quotes
from gateway.pricing.card import RateCard
from gateway.pricing.kept_quotes import KeptQuotes
from gateway.pricing.load import default_card_path, load_card, read_card
from gateway.pricing.quote import Quote, quote


@pytest.fixture(scope="module")
def card() -> RateCard:
    return load_card(default_card_path())


def asked(quotes: KeptQuotes, outputs: int = 1, **settings: str | int | Decimal) -> Quote:
    return quotes.quote(
        tool="image",
        model="flux-dev",
        settings=tuple((name, type(value), value) for name, value in settings.items()),
        outputs=outputs,
        input_images=0,
        input_videos=0,
        input_audios=0,
        measured=(),
    )


def test_what_was_asked_before_is_not_made_again_and_what_differs_is(card: RateCard) -> None:
    quotes = KeptQuotes(card)
    first = asked(quotes, seed=1)
    assert asked(quotes, seed=1) is first
    assert first == quote(card, tool="image", model="flux-dev", settings={"seed": 1})
    assert asked(quotes, seed=2).settings["seed"] == 2
    assert asked(quotes, seed=1, outputs=2).price_millicredits == 2 * first.price_millicredits


def test_a_flag_is_not_taken_for_the_number_that_equals_it(card: RateCard) -> None:
    """In Python True == 1, also as part of a key."""
    quotes = KeptQuotes(card)
    asked(quotes, enhance_prompt=True)
    with pytest.raises(InvalidSettings):
        asked(quotes, enhance_prompt=1)


def test_another_card_has_its_own_prices(card: RateCard) -> None:
    changed = read_card(default_card_path().read_text().encode() + b"\n# changed\n")
    before, after = asked(KeptQuotes(card)), asked(KeptQuotes(changed))
    assert (before.rate_card, after.rate_card) == (card.version, changed.version)


def test_no_more_are_kept_than_there_is_room_for(card: RateCard, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept_quotes, "KEPT_MAX", 10)
    quotes = KeptQuotes(card)
    first = asked(quotes, seed=0)
    for seed in range(1, 11):
        asked(quotes, seed=seed)
    again = asked(quotes, seed=0)
    assert again == first
    assert again is not first
