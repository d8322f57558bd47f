"""A ledger that the version before wrote is read by this one, and everything in it goes on (docs/upgrading.md).

`ledger-<commit>.json` was written by the code of that commit, with something in every state: `write_ledger.py` says
how. It is never edited; after a release a new one takes its place.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from gateway.clock import LedgerTimeSigner
from gateway.domain import FINAL_STATES, Bucket, Interval, State
from gateway.ledger import keys, outcomes
from gateway.ledger.audit import Report, audit
from gateway.ledger.core import PARTITIONS
from gateway.ledger.ledger import SCHEMA_VERSION, Ledger
from gateway.ledger.payments import Billed, Paid
from tests.api.visitor import Visitor, open_gateway
from tests.invariants.checks import check_partition, partition_of
from tests.invariants.contents import read_contents
from tests.ledger.world import the
from tests.payments import shop
from tests.preforked import run_farebox
from tests.redis_servers import RedisServer
from tests.until import until
from tests.upgrade.stored import Stored, put
from tests.webhooks.receiving import LOCAL, Receiver, receiving
from tests.workers.stage import Stage, open_stage

(FILE,) = Path(__file__).parent.glob("ledger-*.json")
STORED = Stored.read(FILE)
TOLD = STORED.told
MONTH = timedelta(days=31) // timedelta(milliseconds=1)
PASSING = {"url", "now", "last_used_at"}  # links are signed for an hour; clocks go on
CALENDAR = timedelta(days=4)  # months are not all of one length, and what is said of the next depends on today's
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")


@dataclass
class Upgraded:
    """The gateway of this version on the ledger of the one before. Processes are yet to be started."""

    gateway: Visitor
    stage: Stage
    receiver: Receiver
    passed_ms: int

    def start(self) -> None:
        """Start the workers and the caretaker."""
        settings = {
            "FAREBOX_RATE_CARD": str(self.stage.directory / "pricing.toml"), "FAREBOX_WEBHOOK_NETWORKS": LOCAL,
            "FAREBOX_SIGNING_KEY": TOLD["signing_key"], "FAREBOX_ADMIN_KEY": TOLD["admin_key"],
        }  # fmt: skip
        self.stage.caretaker(**settings)
        for tool in ("image", "video"):
            self.stage.worker(tool, **settings)

    async def read(self, path: str) -> Any:
        reply = await self.gateway.call("GET", path, TOLD["key"])
        assert reply.status == 200, reply.raw
        return reply.body


@pytest.fixture
async def upgraded(own_redis: RedisServer, tmp_path: Path) -> AsyncIterator[Upgraded]:
    (tmp_path / "pricing.toml").write_text(TOLD["card"])
    secrets = {name: TOLD[name] for name in ("signing_key", "admin_key")}
    async with receiving() as receiver, open_stage(own_redis.url, tmp_path) as stage:
        await stage.ledger.redis.flushall()
        passed = await put(stage.ledger.redis, STORED, {"http://127.0.0.1:1/": f"{receiver.url}/"})
        async with open_gateway(own_redis.url, tmp_path, **secrets, webhook_networks=LOCAL) as gateway:
            yield Upgraded(gateway, stage, receiver, passed)


@asynccontextmanager
async def as_then(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[None]:
    """Signed tokens are judged as of when the file was written."""
    with monkeypatch.context() as patched:
        patched.setattr(LedgerTimeSigner, "get_timestamp", lambda _: STORED.taken_at // 1000 + 1)
        yield


async def agrees(ledger: Ledger) -> Report:
    """Nothing contradicts anything else, by the tests' own count and by the audit."""
    contents = await read_contents(ledger.redis, "{fb")
    for partition in range(ledger.partitions):
        check_partition(partition_of(contents, f"{keys.tag(partition)}:"))
    report = await audit(ledger)
    assert not report.differences, report.differences
    return report


async def test_all_of_it_is_there_and_agrees(upgraded: Upgraded) -> None:
    gateway = upgraded.gateway
    ready = await gateway.call("GET", "/readyz")
    assert ready.status == 200, ready.raw
    report = await agrees(gateway.ledger)
    assert report.accounts == len(TOLD["accounts"])
    for path, was in TOLD["answers"].items():
        assert_told(was, await upgraded.read(path), upgraded.passed_ms, path)
    for account, was in TOLD["accounts"].items():
        now = await gateway.call("GET", f"/v1/admin/accounts/{account}", gateway.admin)
        assert_told(was, now.body, upgraded.passed_ms, account)


def assert_told(was: Any, now: Any, passed_ms: int, where: str) -> None:
    """Whatever was told then is told now, at its time; there may be more of it."""
    match was:
        case dict():
            for name in was.keys() - PASSING:
                assert name in now, f"{where}.{name}"
                if name != "message":  # for people, in words that may get better
                    assert_told(was[name], now[name], passed_ms, f"{where}.{name}")
        case list():
            assert len(was) == len(now), where
            for index, (one, other) in enumerate(zip(was, now, strict=True)):
                assert_told(one, other, passed_ms, f"{where}[{index}]")
        case str() if TIME.fullmatch(was):
            moved = datetime.fromisoformat(was) + timedelta(milliseconds=passed_ms)
            assert abs(datetime.fromisoformat(now) - moved) < CALENDAR, f"{where}: {now}"
        case _:
            assert was == now, where


async def test_an_account_of_before_gets_members(upgraded: Upgraded) -> None:
    """R25: its keys stay its own, and see what they saw; a member sees nothing of before."""
    gateway, account = upgraded.gateway, "acme"
    before = (await upgraded.read("/v1/generations"))["data"]
    assert before
    assert {generation["member"] for generation in before} == {None}
    own = await upgraded.read("/v1/key")
    assert (own["member"], own["role"], own["member_limit"]) == (None, None, None)
    key = await gateway.owner(account)
    member = (await gateway.call("GET", "/v1/key", key)).body["member"]
    eve = await gateway.call("POST", "/v1/members", key, {"name": "Eve", "limit": {"credits": 0, "period": "daily"}})
    theirs = (await gateway.call("POST", "/v1/keys", key, {"member": eve.body["id"]})).body["key"]
    assert (await gateway.call("GET", "/v1/generations", theirs)).body["data"] == []
    path = f"/v1/generations/{before[0]['id']}"
    assert [(await gateway.call("GET", path, one)).status for one in (TOLD["key"], key, theirs)] == [200, 200, 404]
    assert (await gateway.create(theirs)).error["whose"] == "member"
    assert (await gateway.create(key)).body["member"] == member
    await agrees(gateway.ledger)


async def test_what_was_open_goes_on_to_its_end_and_webhooks_get_pending_and_new_events(upgraded: Upgraded) -> None:
    upgraded.start()
    ledger = upgraded.gateway.ledger
    ended = {name: await upgraded.stage.ended(TOLD["generations"][name]) for name in TOLD["open"]}
    expected = dict.fromkeys(TOLD["open"], State.SUCCEEDED) | {"to be cancelled": State.CANCELLED}
    assert {name: generation.state for name, generation in ended.items()} == expected
    assert ended["half delivered"].committed_millicredits == ended["half delivered"].request.price_millicredits
    assert str(ended["running with a job"].provider_ref).startswith("sbx_"), "resumed, not begun anew"
    await agrees(ledger)
    balance = await upgraded.read("/v1/balance")
    assert balance["held"] == 0
    webhooks = (await upgraded.read("/v1/webhooks"))["data"]
    (webhook,) = [one["id"] for one in webhooks if one["url"].endswith("/acme")]

    async def all_told() -> bool:
        page = await upgraded.read(f"/v1/webhooks/{webhook}/deliveries?limit=100")
        return all(delivery["status"] == "delivered" for delivery in page["data"])

    await until(all_told)
    told = [call.body for call in upgraded.receiver.told if call.path == "/acme"]
    assert any(TOLD["generations"]["succeeded"] in body for body in told), "pending since before"
    assert any(TOLD["generations"]["waiting"] in body for body in told), "it ended now"


async def test_keys_and_what_was_remembered_stay_in_force(upgraded: Upgraded) -> None:
    gateway = upgraded.gateway
    assert (await gateway.call("GET", "/v1/balance", TOLD["revoked_key"])).status == 401
    assert (await gateway.call("GET", "/v1/ops/queues", TOLD["ops_key"])).status == 200
    again = await gateway.create(TOLD["key"], once=TOLD["once"], prompt="once")
    assert (again.status, again.body["id"]) == (200, TOLD["generations"]["once"])


async def test_a_key_of_before_has_spent_nothing_and_can_have_a_limit(upgraded: Upgraded) -> None:
    """What it reserved then was not counted; what of that is refunded now makes no room."""
    gateway, key = upgraded.gateway, (await upgraded.read("/v1/key"))["id"]
    assert (await upgraded.read("/v1/key"))["usage"] == 0
    path, limit = f"/v1/admin/accounts/acme/keys/{key}", {"credits": 1, "period": "daily"}
    limited = await gateway.call("PATCH", path, gateway.admin, {"limit": limit})
    assert (limited.status, limited.body["limit"]) == (200, limit)
    for name in ("queued", "waiting"):
        ended = await gateway.call("POST", f"/v1/generations/{TOLD['generations'][name]}/cancel", TOLD["key"])
        assert (ended.body["status"], ended.body["key"]) == ("cancelled", None)
    assert (await upgraded.read("/v1/key"))["limit_remaining"] == 1
    whole = (await upgraded.read("/v1/usage"))["totals"]
    for name in ("key", "tag:project"):
        (row,) = (await upgraded.read(f"/v1/usage?group_by={name}"))["data"]
        assert row == {name: None} | whole, "what it used then is of no key"
    assert whole["generations"] > 2, "more than has ended just now"
    assert (await gateway.call("POST", "/v1/generations", TOLD["key"], TOLD["order"])).code == "limit_reached"
    await agrees(gateway.ledger)


async def test_a_quote_and_a_session_of_before_hold(upgraded: Upgraded, monkeypatch: pytest.MonkeyPatch) -> None:
    """A session may have to sign in again after an upgrade; it must never be an error."""
    gateway = upgraded.gateway
    async with as_then(monkeypatch):
        ordered = await gateway.call("POST", "/v1/generations", TOLD["key"], {**TOLD["order"], "quote": TOLD["quote"]})
        assert (ordered.status, ordered.body["price"]["credits"]) == (202, TOLD["quoted_credits"]), ordered.raw
        cookie = {"Cookie": f"farebox_session={TOLD['session']}"}
        seen = await gateway.call("GET", "/v1/balance", None, headers=cookie)
        assert seen.status in {200, 401}, seen.raw


async def test_purchases_and_renewals_go_on(upgraded: Upgraded) -> None:
    ledger, checkouts = upgraded.gateway.ledger, TOLD["checkouts"]
    before = (await upgraded.read("/v1/balance"))["buckets"]["top_up"]["available"]
    for name, now in (("open", True), ("paid", False)):
        paid = the(Paid, await ledger.pay(account="acme", checkout=checkouts[name], ref="pi_new"))
        assert paid.now is now
    after = (await upgraded.read("/v1/balance"))["buckets"]["top_up"]["available"]
    assert after - before == shop.SMALL / 1000
    plan = await shop.read_checkout(ledger, "globex", checkouts["plan"])
    subscribed = the(outcomes.Account, await ledger.account(account="globex")).subscription
    assert subscribed is not None
    assert subscribed.paid_through is not None
    next_month = subscribed.paid_through + MONTH
    told = {"seen_at": int(time.time() * 1000), "plan": "standard", "interval": Interval.MONTHLY}
    lines = (shop.line_of(subscribed.paid_through, next_month),)
    billed = the(Billed, await ledger.bill(shop.billing(plan, "sub_1", lines=lines, **told)))
    assert billed.account.subscription is not None
    assert billed.account.subscription.paid_through == next_month
    await agrees(ledger)


async def test_what_a_payment_gave_before_is_given_never_again_and_can_be_taken_back(upgraded: Upgraded) -> None:
    """Then, a billing record knew until when a subscription was paid; now it knows each line of each invoice."""
    ledger = upgraded.gateway.ledger
    plan = await shop.read_checkout(ledger, "globex", TOLD["checkouts"]["plan"])
    before = the(outcomes.Account, await ledger.account(account="globex"))
    assert before.subscription is not None
    assert before.subscription.paid_through is not None
    start, end, now = before.subscription.started_at, before.subscription.paid_through, int(time.time() * 1000)

    async def say(**facts: Any) -> outcomes.Account:
        return the(Billed, await ledger.bill(shop.billing(plan, "sub_1", **facts))).account

    async def given() -> int:
        return the(outcomes.Account, await ledger.account(account="globex")).available_millicredits[Bucket.SUBSCRIPTION]

    for _ in range(2):
        await say(seen_at=now - 3_600_000, plan="standard", interval=Interval.MONTHLY, status="active")
        await say(started_at=start, lines=(shop.line_of(start, end),))
        await say(lines=(shop.line_of(start, start + MONTH, number="again"),))
    after = the(outcomes.Account, await ledger.account(account="globex"))
    assert (after.subscription, after.available_millicredits) == (before.subscription, before.available_millicredits)
    assert await given() == shop.STANDARD
    half = (start + end) // 2
    await say(lines=(shop.line_of(max(half, now), end, -1500, number="down", proration=True),))
    assert shop.STANDARD * 45 // 100 < await given() < shop.STANDARD * 55 // 100
    await agrees(ledger)


def test_the_file_has_something_in_every_state() -> None:
    states = {
        (key["value"]["state"], bool(key["value"].get("parked")))
        for name, key in STORED.keys.items()
        if ":generation:" in name
    }
    assert states >= {("waiting", False), ("queued", False), ("running", False), ("running", True)}
    assert {state for state, _ in states} >= set(map(str, FINAL_STATES))


@pytest.mark.parametrize("command", [["gateway"], ["worker", "image"], ["caretaker"]], ids=" ".join)
def test_no_process_starts_on_a_ledger_of_a_newer_version(
    own_redis: RedisServer, tmp_path: Path, command: list[str]
) -> None:
    newer = f"{SCHEMA_VERSION + 1},{PARTITIONS}"
    with own_redis.client() as redis:
        redis.set(keys.META, newer)
    environment = {"FAREBOX_LEDGER_URL": own_redis.url, "FAREBOX_DATA": str(tmp_path), "FAREBOX_PORT": "0"}
    ended = run_farebox(*command, environment=os.environ | environment)
    assert ended.returncode == 1
    assert f"the ledger has schema version {SCHEMA_VERSION + 1}" in ended.stderr
    with own_redis.client() as redis:
        assert redis.keys("*") == [keys.META.encode()]
        assert redis.get(keys.META) == newer.encode()
