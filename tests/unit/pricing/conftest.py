"""Small rate cards, written as an operator would write them."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from textwrap import dedent

import pytest

from gateway.errors import RateCardError
from gateway.pricing.card import RateCard
from gateway.pricing.load import load_card, read_card

REPOSITORY = Path(__file__).parents[3]

ReadCard = Callable[[str], RateCard]

_LINE = re.compile(r"^(pricing\.toml):\d+:")  # `test_lines.py` has the lines; elsewhere the words are what counts

_TOOL = """
[tools.video]
name = "Video"
baseline_model = "clip"
"""

_MODEL = """
[models.clip]
name = "Clip"
tool = "video"
provider = "sandbox"
outputs_max = 4
"""


@pytest.fixture
def card_with() -> ReadCard:
    """A card of one video model `clip`, whose tables below `[models.clip]` are given."""
    return lambda tables: read_card((_TOOL + _MODEL + dedent(tables)).encode())


@pytest.fixture
def card_of() -> ReadCard:
    """A card from its whole text."""
    return lambda text: read_card(dedent(text).encode())


@pytest.fixture
def faults_with(card_with: ReadCard) -> Callable[[str], list[str]]:
    """The messages that refuse a card of one video model."""

    def faults(tables: str) -> list[str]:
        with pytest.raises(RateCardError) as refused:
            card_with(tables)
        return [_LINE.sub(r"\1:", message) for message in refused.value.messages]

    return faults


@pytest.fixture
def faults_of(card_of: ReadCard) -> Callable[[str], list[str]]:
    """The messages that refuse a card."""

    def faults(text: str) -> list[str]:
        with pytest.raises(RateCardError) as refused:
            card_of(text)
        return [_LINE.sub(r"\1:", message) for message in refused.value.messages]

    return faults


@pytest.fixture(scope="session")
def default_card() -> RateCard:
    """The `pricing.toml` that Farebox comes with."""
    return load_card(REPOSITORY / "pricing.toml")
