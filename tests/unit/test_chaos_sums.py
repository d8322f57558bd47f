"""The independent sums of `make chaos`, on journals, receipts and cards that are written down by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from chaos.checks import SUBJECTS, Checks
from chaos.given import Given
from chaos.prices import SavedCard
from chaos.receipts import wrong

CARD = Path(__file__).parents[2] / "chaos" / "pricing.toml"


def entry(number: int, kind: str, bucket: str, credits: float, *, reason: str = "") -> dict[str, Any]:
    buckets = {bucket: {"credits": credits, "held": 0}} if credits else {}
    return {"id": number, "kind": kind, "buckets": buckets, "reason": reason}


def account(now: str, started: str | None = None) -> dict[str, Any]:
    return {
        "id": "ann",
        "created_at": "2026-01-31T12:00:00Z",
        "clock": {"now": now},
        "subscription_started_at": started,
    }


def a_year_of_ann(refreshes: list[float]) -> list[str]:
    """Ann subscribes on 31 January; her clock moves 59 days, over the 28th of February and the 31st of March."""
    given, checks = Given(CARD), Checks()
    given.plan("ann", "small")
    given.moved("ann", {"now": "2026-03-31T12:00:30Z"}, 59 * 86400)
    entries = [entry(1, "reset", "free", 40, reason="set to 40"), entry(2, "refresh", "subscription", 300)]
    entries += [entry(3, "refresh", "subscription", amount, reason="small, set to 300") for amount in refreshes[:1]]
    entries += [entry(4, "reset", "free", 0, reason="set to 40, 40 left over ended")]
    entries += [entry(5, "refresh", "subscription", amount, reason="small, set to 300") for amount in refreshes[1:]]
    entries[1]["reason"] = "small, set to 300"
    for one in entries[2:]:
        if one["kind"] == "refresh":
            one["reason"] += ", 300 left over ended"
    given.check(checks, account("2026-03-31T12:00:31Z", "2026-01-31T12:00:00Z"), entries)
    return checks.problems


def test_what_was_given_is_one_reset_of_collapsed_days_and_each_month_of_31_january() -> None:
    assert a_year_of_ann([0, 0]) == []


def test_a_missing_or_too_large_allotment_is_reported() -> None:
    assert a_year_of_ann([0]) == [
        "ann was given nothing too much, and 1 × 300 subscription (refresh) too little, by its journal"
    ]
    assert a_year_of_ann([0, 300])[-1] == (
        "ann was given 1 × 600 subscription (refresh) too much, and 1 × 300 subscription (refresh) too little, "
        "by its journal"
    )


def test_a_reset_with_more_left_than_there_was_is_reported() -> None:
    given, checks = Given(CARD), Checks()
    entries = [entry(1, "reset", "free", 30, reason="set to 40, 10 left over ended")]
    given.check(checks, account("2026-01-31T12:00:01Z"), entries)
    assert checks.problems == ["ann: entry 1 ended 10000 of the free bucket, which had 0"]


def a_receipt(**changes: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """Half of 10 credits were delivered: 4 free ones and 1 of the plan's; the other 5 went back to the plan."""
    receipt = {
        "credits": 10, "lines": [{"total": 10}], "rate_card": "sha256:1", "held": 0, "committed": 5, "refunded": 5,
        "allocation": [{"bucket": "free", "credits": 4}, {"bucket": "subscription", "credits": 6}],
        "entries": [
            {"kind": "reserve", "buckets": {"free": {"credits": -4, "held": 4},
                                            "subscription": {"credits": -6, "held": 6}}},
            {"kind": "commit", "buckets": {"free": {"credits": 0, "held": -4},
                                           "subscription": {"credits": 0, "held": -1}}},
            {"kind": "refund", "buckets": {"subscription": {"credits": 5, "held": -5}}},
        ],
    }  # fmt: skip
    shown = {"price": {"credits": 10, "rate_card": "sha256:1"}, "credits": {"committed": 5}}
    return receipt | changes, shown


def test_a_receipt_adds_up() -> None:
    assert wrong(*a_receipt()) == ""


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"lines": [{"total": 9}]}, "its lines come to 9"),
        ({"rate_card": "sha256:2"}, "its price or its rate card"),
        ({"refunded": 6}, "something else than the generation"),
        ({"allocation": [{"bucket": "free", "credits": 10}]}, "its entries are"),
    ],
)
def test_a_receipt_that_does_not_is_told(changes: dict[str, Any], said: str) -> None:
    assert said in wrong(*a_receipt(**changes))


def test_prices_by_the_saved_file() -> None:
    card = SavedCard(CARD.read_text(), 0)
    sketch = {"model": "sketch", "outputs_requested": 3, "settings": {"size": "64x64"}}
    clip = {"model": "clip", "outputs_requested": 1, "settings": {"size": "64x64", "duration": 2}}
    assert card.price(sketch) == 3 * 1111 + 250
    assert card.price(clip) == 2 * 1700


def test_unchecked_accounts_are_reported() -> None:
    checks = Checks()
    checks.seen[SUBJECTS[0]] += 1
    assert checks.never_looked() == [f"nothing was checked of: {subject}" for subject in SUBJECTS[1:]]
