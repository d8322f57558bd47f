"""docs/credits.md is true: every rule is explained there, and every example of it does what it says."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from gateway.pricing.load import default_card_path
from tests.api.visitor import open_gateway
from tests.docs.credits_notation import run
from tests.docs.example import Example
from tests.redis_servers import RedisServer

PAGE = Path(__file__).parents[2] / "docs" / "credits.md"
RULES = [f"R{number}" for number in range(1, 25)]
RULE = re.compile(r"^\*\*(R\d+) [^*]+\*\* (.*?)```credits\n(.*?)```", re.MULTILINE | re.DOTALL)
FOUND = {rule: (text, example.splitlines()) for rule, text, example in RULE.findall(PAGE.read_text())}


def test_every_rule_is_explained_in_order_with_an_example() -> None:
    assert list(FOUND) == RULES
    assert PAGE.read_text().count("```credits") == len(RULES), "no example stands outside a rule"
    for rule, (text, example) in FOUND.items():
        assert len(text.split()) >= 15, rule
        assert example, rule


@pytest.fixture
def server(rule: str, request: pytest.FixtureRequest) -> RedisServer:
    """The run's, or for an example that stops it one of its own."""
    if any("the ledger stops" in line for line in FOUND[rule][1]):
        own: RedisServer = request.getfixturevalue("own_redis")
        return own
    request.getfixturevalue("redis_url")
    shared: RedisServer = request.getfixturevalue("single_server")
    return shared


@pytest.mark.parametrize("rule", FOUND)
async def test_the_example_of(rule: str, server: RedisServer, tmp_path: Path) -> None:
    card = tmp_path / "pricing.toml"
    shutil.copy(default_card_path(), card)
    async with open_gateway(server.url, tmp_path) as visitor:
        example = Example(visitor, server, card)
        await example.start()
        for line in FOUND[rule][1]:
            await run(example, line)


async def test_a_line_that_the_notation_does_not_know_is_not_passed_over(
    redis_url: str, single_server: RedisServer, tmp_path: Path
) -> None:
    async with open_gateway(redis_url, tmp_path) as visitor:
        example = Example(visitor, single_server, tmp_path / "pricing.toml")
        await example.start()
        for line in ("make tea → free 100", "make a: image sketch → plenty", "after 1 day"):
            with pytest.raises(AssertionError):
                await run(example, line)
        with pytest.raises(AssertionError):
            await run(example, "after 1 day → free 99")
