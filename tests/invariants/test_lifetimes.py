"""The lifetimes that the model compares are those that the ledger's page promises."""

from __future__ import annotations

import re
from pathlib import Path

import gateway.ledger
from tests.invariants.lifetimes import DAY, HOUR, LIFETIMES, MINUTE, lifetime_of

_UNITS = {"days": DAY, "h": HOUR, "min": MINUTE}


def promised() -> dict[str, int | None]:
    """Kind → what the column TTL of the table of keys says; of several figures the first."""
    page = (Path(gateway.ledger.__file__).parent / "README.md").read_text()
    found: dict[str, int | None] = {}
    for kind, ttl in re.findall(
        r"^\| `(?!fb:)([a-z_]+)(?::[^`]*)?` \| [^|]+ \| (?:\\\||[^|])+ \| ([^|]+) \|", page, re.MULTILINE
    ):
        figure = re.match(r"(\d+) (days|h|min)\b", ttl)
        assert figure or ttl.startswith("none"), f"the TTL of {kind} reads {ttl!r}"
        found[kind] = int(figure[1]) * _UNITS[figure[2]] if figure else None
    return found


def test_the_table_of_keys_promises_these_lifetimes() -> None:
    assert promised() == LIFETIMES


def test_a_generation_expires_once_it_has_ended_and_a_claim_within_a_minute() -> None:
    assert lifetime_of("{fb00}:generation:gen_00", {"state": "running"}) is None
    assert lifetime_of("{fb00}:generation:gen_00", {"state": "cancelled"}) == 30 * DAY
    assert lifetime_of("{fb00}:idempotency:ann:digest", "digest pending") == 60_000
    assert lifetime_of("{fb00}:idempotency:ann:digest", "digest response {}") == DAY
