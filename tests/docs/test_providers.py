"""Every rate card in docs/providers.md is one that Farebox takes."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from gateway.pricing.load import read_card
from gateway.pricing.providers import ProviderTable
from workers.providers import KINDS

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "providers.md").read_text()
CARDS = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)
TOOLS = """
[tools.{tool}]
name = "Tool"
baseline_model = "{model}"
"""


@pytest.mark.parametrize("snippet", CARDS, ids=lambda snippet: snippet.split("]")[0].strip("["))
def test_a_card_of_the_page_is_taken_with_a_tool_around_it(snippet: str) -> None:
    tool, model = re.search(r'tool = "(\w+)"', snippet), re.search(r"^\[models\.([\w-]+)\]", snippet, re.MULTILINE)
    assert tool is not None
    assert model is not None
    # The page's workflow is in docs/examples, so that is where the card is said to be.
    path = str(ROOT / "docs" / "examples" / "pricing.toml")
    card = read_card((TOOLS.format(tool=tool[1], model=model[1]) + snippet).encode(), path=path)
    assert card.providers
    assert all(made.provider in card.providers for made in card.models.values())


def test_the_page_names_every_kind() -> None:
    named = set(re.findall(r"^\| `(\w+)` \|", PAGE.split("\n## ")[0], re.MULTILINE))
    assert named == set(KINDS)


def test_the_page_names_every_key_of_a_providers_table() -> None:
    named = re.findall(r"^\| `(\w+)` \|", PAGE.split("\n## Its table\n")[1].split("\n## ")[0], re.MULTILINE)
    assert set(named) == {field.alias or name for name, field in ProviderTable.model_fields.items()}
