"""`GET /v1/usage`: totals that add up to the journal, days of the card's zone, and a CSV that no spreadsheet runs."""

from __future__ import annotations

import csv
import io
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from gateway.api.handlers.usage import csv_rows
from gateway.api.http.csv_answers import safe_cell
from gateway.api.ownership import own_usage
from gateway.domain import FailureCode, partition_of_account
from gateway.ledger import keys
from gateway.ledger.accounts import key_id_of
from gateway.ledger.core import PARTITIONS
from gateway.ledger.sums import Counts
from tests.api.visitor import CARD, Visitor, open_gateway
from tests.cases import cases

NUMBERS = ("generations", "outputs", "credits", "failed", "refunded")


async def usage(visitor: Visitor, key: str, query: str = "") -> Any:
    reply = await visitor.call("GET", f"/v1/usage{query}", key)
    assert reply.status == 200, reply.raw
    return reply.body


async def some_history(visitor: Visitor) -> str:
    """Two sketches, a clip, one failure; a key of the account."""
    key = await visitor.account()
    await visitor.grant(500)
    await visitor.finished(key, outputs=2)
    await visitor.finished(key)
    await visitor.finished(key, tool="video", model="clip", settings={"duration": 3})
    failed = await visitor.made(key, outputs=3)
    await visitor.begin(failed)
    await visitor.deliver(failed)
    await visitor.settle(failed, FailureCode.PROVIDER_REJECTED)
    nothing = await visitor.made(key)
    await visitor.begin(nothing)
    await visitor.settle(nothing, FailureCode.MODERATED)
    return key


async def test_totals_and_rows_add_up_to_the_journal(gateway: Visitor) -> None:
    key = await some_history(gateway)
    body = await usage(gateway, key)
    assert [(row["tool"], row["model"]) for row in body["data"]] == [("image", "sketch"), ("video", "clip")]
    assert body["totals"] == {"generations": 5, "outputs": 5, "credits": 60.55, "failed": 1, "refunded": 15}
    journal = (await gateway.call("GET", "/v1/journal?limit=100", key)).body["data"]
    for kind, released in (("commit", Decimal("-60.55")), ("refund", Decimal(-15))):
        assert sum(Decimal(str(one["held"])) for one in journal if one["kind"] == kind) == released
    for name in NUMBERS:
        assert sum(Decimal(str(row[name])) for row in body["data"]) == Decimal(str(body["totals"][name]))


async def test_usage_is_grouped_by_key_and_by_tag_as_json_and_csv(gateway: Visitor) -> None:
    first, second = await gateway.account(), await gateway.account()
    a, b = key_id_of(first), key_id_of(second)
    for key, tags in ((first, {"project": "apollo"}), (first, {"project": "=1+1"}), (second, {"team": "red"})):
        await gateway.finished(key, tags=tags)
    await gateway.finished(second, tool="video", model="clip", settings={"duration": 3}, tags={"project": "apollo"})
    totals = (await usage(gateway, first))["totals"]
    for group_by, name, sums in (
        ("key", "key", {a: 10, b: 45.55}),
        ("member", "member", {None: 55.55}),
        ("tag:project", "tag:project", {None: 5, "=1+1": 5, "apollo": 45.55}),
        ("tag:nobody's", "tag:nobody's", {None: 55.55}),
    ):
        body = await usage(gateway, first, f"?group_by={group_by}")
        assert {row[name]: row["credits"] for row in body["data"]} == sums
        assert all(row.keys() == {name, *NUMBERS} for row in body["data"])
        assert body["totals"] == totals
        reply = await gateway.call("GET", f"/v1/usage?group_by={group_by}", first, headers={"Accept": "text/csv"})
        rows = csv.DictReader(io.StringIO(reply.raw.decode()))
        assert {row[name]: float(row["credits"]) for row in rows} == {
            safe_cell(value or ""): credits_ for value, credits_ in sums.items()
        }
    both = await usage(gateway, first, "?group_by=tag:project,model,day")
    assert [(row["model"], row["tag:project"]) for row in both["data"]] == [
        ("clip", "apollo"), ("sketch", None), ("sketch", "=1+1"), ("sketch", "apollo"),
    ]  # fmt: skip
    assert (await usage(gateway, first, f"?key={b}&group_by=model"))["totals"]["credits"] == 45.55
    assert (await usage(gateway, first, "?tool=video&group_by=key"))["data"][0]["key"] == b
    assert (await usage(gateway, first, "?member=mem_a"))["data"] == []


@cases(
    ("group_by", "rows"),
    [("day", 1), ("tool", 2), ("model", 2), ("tool,model", 2), ("model,day", 2), ("day,tool,model", 2)],
)
async def test_however_it_is_grouped_the_totals_are_the_same(gateway: Visitor, group_by: str, rows: int) -> None:
    key = await some_history(gateway)
    body = await usage(gateway, key, f"?group_by={group_by}")
    assert body["totals"] == (await usage(gateway, key))["totals"]
    assert all(row.keys() == {*group_by.split(","), *NUMBERS} for row in body["data"])
    assert len(body["data"]) == rows


async def test_filters_leave_out_rows_and_their_part_of_the_totals(gateway: Visitor) -> None:
    key = await some_history(gateway)
    by_tool = await usage(gateway, key, "?tool=video")
    assert [row["model"] for row in by_tool["data"]] == ["clip"]
    assert by_tool["totals"]["credits"] == 40.55
    assert (await usage(gateway, key, "?model=sketch"))["totals"]["credits"] == 20
    nothing = await usage(gateway, key, "?tool=video&model=sketch")
    assert nothing["data"] == []
    assert nothing["totals"] == dict.fromkeys(NUMBERS, 0)


async def test_the_last_day_is_included_and_thirty_days_are_the_default(gateway: Visitor) -> None:
    key = await some_history(gateway)
    moved = await gateway.call("POST", "/v1/admin/accounts/acme/clock", gateway.admin, {"advance_seconds": 86_400 * 29})
    now = date.fromisoformat(moved.body["clock"]["now"][:10])
    body = await usage(gateway, key)
    first = (now - timedelta(days=29)).isoformat()
    assert (body["first_day"], body["last_day"], body["timezone"]) == (first, now.isoformat(), "UTC")
    assert [row["day"] for row in body["data"]] == [first] * 2
    assert (await usage(gateway, key, f"?from={first}&to={first}"))["totals"] == body["totals"]
    later = (now - timedelta(days=28)).isoformat()
    assert (await usage(gateway, key, f"?from={later}"))["data"] == []


async def test_thirteen_months_can_be_read_at_once(gateway: Visitor) -> None:
    key = await some_history(gateway)
    seconds = 86_400 * 395
    await gateway.call("POST", "/v1/admin/accounts/acme/clock", gateway.admin, {"advance_seconds": seconds})
    last = (datetime.now(UTC) + timedelta(seconds=seconds)).date()
    body = await usage(gateway, key, f"?from={last - timedelta(days=399)}&to={last}")
    assert body["totals"]["generations"] == 5


async def test_days_are_days_of_the_cards_zone_and_the_answer_says_which(redis_url: str, tmp_path: Path) -> None:
    """Kiritimati is 14 hours ahead of UTC: at any moment after 10:00 UTC it is tomorrow there."""
    text = CARD.read_text().replace("[free]\n", '[free]\ntimezone = "Pacific/Kiritimati"\n', 1)
    (tmp_path / "pricing.toml").write_text(text)
    async with open_gateway(redis_url, tmp_path) as visitor:
        key = await some_history(visitor)
        body = await usage(visitor, key, "?group_by=day")
        there = [datetime.now(UTC) + timedelta(hours=14, minutes=shift) for shift in (-1, 0)]
        assert {row["day"] for row in body["data"]} <= {moment.date().isoformat() for moment in there}
        assert body["timezone"] == "Pacific/Kiritimati"


async def test_csv_has_the_same_numbers(gateway: Visitor) -> None:
    key = await some_history(gateway)
    body = await usage(gateway, key)
    reply = await gateway.call("GET", "/v1/usage", key, headers={"Accept": "text/csv"})
    assert reply.headers["Content-Type"] == "text/csv; charset=utf-8"
    assert reply.headers["Content-Disposition"].startswith('attachment; filename="usage-')
    rows = list(csv.DictReader(io.StringIO(reply.raw.decode())))
    assert [row.pop("timezone") for row in rows] == ["UTC"] * 2
    assert [{name: row[name] for name in row} for row in rows] == [
        {name: str(value) for name, value in row.items()} for row in body["data"]
    ]


async def test_a_csv_of_many_rows_is_sent_in_pieces_and_whole(gateway: Visitor, key: str) -> None:
    name = keys.usage(partition_of_account("acme", PARTITIONS), "acme", "2026-11-22")
    counters = {f"image|model-{number}|credits": number for number in range(1203)}
    await gateway.ledger.redis.hset(name, mapping=counters)  # type: ignore[misc]  # redis-py types it for both clients
    path = "/v1/usage?from=2026-11-22&to=2026-11-22"
    reply = await gateway.call("GET", path, key, headers={"Accept": "text/csv"})
    assert "Content-Length" not in reply.headers, "it was not collected first"
    rows = list(csv.DictReader(io.StringIO(reply.raw.decode())))
    assert sum(Decimal(row["credits"]) for row in rows) == Decimal(sum(range(1203))) / 1000
    assert len(rows) == 1203


async def test_a_head_of_a_csv_has_no_body(gateway: Visitor, key: str) -> None:
    """The rows were once sent after all, and the client read them as the next answer."""
    for _ in range(2):
        head = await gateway.call("HEAD", "/v1/usage", key, headers={"Accept": "text/csv"})
        assert (head.status, head.raw) == (200, b"")


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r", "\n"])
def test_a_cell_that_a_spreadsheet_would_run_gets_an_apostrophe(start: str) -> None:
    cell = f'{start}HYPERLINK("http://evil.example")'
    assert safe_cell(cell) == f"'{cell}"
    row = list(csv_rows({(cell,): Counts()}, ("model",), "UTC"))[1]
    assert row[0] == f"'{cell}"
    assert safe_cell("flux-dev") == "flux-dev"


@cases(
    ("query", "field"),
    [
        ("?from=2026-11-23&to=2026-11-22", "from"),
        ("?from=2025-10-01&to=2026-11-22", "from"),
        ("?from=2026-02-30", "from"),
        ("?to=yesterday", "to"),
        ("?to=1700000000", "to"),
        ("?to=0001-01-01", "to"),
        ("?group_by=week", "group_by"),
        ("?group_by=", "group_by"),
        ("?group_by=day,day", "group_by"),
        ("?group_by=tag", "group_by"),
        ("?group_by=tag:", "group_by"),
        ("?group_by=tag:" + "x" * 65, "group_by"),
        ("?group_by=tag:a[b]", "group_by"),
        ("?group_by=tag:a,tag:b", "group_by"),
        ("?group_by=key,tag:a", "group_by"),
        ("?group_by=tag:a&member=mem_a", "group_by"),
        ("?tool=", "tool"),
        ("?since=2026-11-22", "since"),
        ("?from=2026-11-22&from=2026-11-23", "from"),
    ],
)
async def test_a_query_that_cannot_be_answered_names_the_parameter(gateway: Visitor, query: str, field: str) -> None:
    reply = await gateway.call("GET", f"/v1/usage{query}", await gateway.account())
    assert (reply.status, reply.code, reply.fields) == (422, "invalid_request", [field])


async def test_more_groups_than_a_response_holds_are_refused(gateway: Visitor, monkeypatch: pytest.MonkeyPatch) -> None:
    key = await some_history(gateway)
    monkeypatch.setattr(own_usage, "GROUPS_MAX", 1)
    await usage(gateway, key, "?group_by=day")
    refused = await gateway.call("GET", "/v1/usage?group_by=model", key, headers={"Accept": "text/csv"})
    assert (refused.status, refused.fields) == (422, ["group_by"])
    assert "gives more than 1 rows: choose a shorter period or fewer dimensions" in refused.message


async def test_a_range_of_400_days_is_taken_and_one_more_is_not(gateway: Visitor, key: str) -> None:
    await usage(gateway, key, "?from=2025-10-19&to=2026-11-22")
    reply = await gateway.call("GET", "/v1/usage?from=2025-10-18&to=2026-11-22", key)
    assert reply.code == "invalid_request"
