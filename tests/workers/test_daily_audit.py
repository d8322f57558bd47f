"""The audit that one of several caretakers makes once a day."""

from __future__ import annotations

import asyncio

import pytest
from structlog.testing import capture_logs

from gateway.errors import LedgerFull, LedgerUnavailable
from gateway.ledger import keys
from gateway.ledger.audit import last_audit
from gateway.ledger.audit.result import CLAIM_MS, EVERY_MS
from tests.redis_servers import RedisServer
from tests.until import until
from tests.workers.stage import Stage
from workers.care import daily_audit
from workers.care.daily_audit import DailyAudit


async def test_of_several_caretakers_one_audits_and_the_next_is_due_in_a_day(stage: Stage) -> None:
    await stage.order()
    caretakers = [DailyAudit(stage.ledger) for _ in range(3)]
    with capture_logs() as lines:
        reports = await asyncio.gather(*(one.audit_if_due() for one in caretakers))
    (made,) = [report for report in reports if report is not None]
    assert (made.clean, made.accounts, made.generations) == (True, 1, 1)
    assert [line["event"] for line in lines] == ["audit_finished"]
    kept = await last_audit(stage.ledger)
    assert kept is not None
    assert (kept.at, kept.differences) == (made.at, 0)
    assert await caretakers[0].audit_if_due() is None
    left = await stage.ledger.redis.pttl(keys.AUDIT_CLAIM)
    assert EVERY_MS - 60_000 < left <= EVERY_MS
    await stage.ledger.redis.delete(keys.AUDIT_CLAIM)  # as if the day were over
    assert await caretakers[1].audit_if_due() is not None


async def test_it_is_due_again_when_most_accounts_are_new(stage: Stage) -> None:
    """On a new ledger it had checked nothing, and for a day the console showed 0 differences of 0 accounts."""
    caretaker = DailyAudit(stage.ledger)
    first = await caretaker.audit_if_due()
    assert first is not None
    assert first.accounts == 1
    await stage.ledger.put_account(account="bob")
    assert await caretaker.audit_if_due() is None, "half of them are new, not most"
    await stage.ledger.put_account(account="carol")
    again = await caretaker.audit_if_due()
    assert again is not None
    assert again.accounts == 3


async def test_the_turn_of_a_dead_caretaker_lapses(stage: Stage) -> None:
    await stage.ledger.redis.set(keys.AUDIT_CLAIM, "dead", px=CLAIM_MS)
    caretaker = DailyAudit(stage.ledger)
    assert await caretaker.audit_if_due() is None
    await stage.ledger.redis.pexpire(keys.AUDIT_CLAIM, 1)

    async def audited() -> bool:
        return await caretaker.audit_if_due() is not None

    await until(audited)


async def test_differences_are_loud_and_name_no_prompt(stage: Stage) -> None:
    reserved = await stage.reserve()
    generation = reserved.generation.id
    await stage.ledger.redis.zrem(keys.deadlines(int(generation[4:6], 16)), generation)
    with capture_logs() as lines:
        await DailyAudit(stage.ledger).audit_if_due()
    difference, finished = lines
    assert (difference["event"], difference["log_level"]) == ("audit_difference", "error")
    assert (difference["kind"], difference["generation"]) == ("deadline", generation)
    assert finished["differences"] == 1
    assert "lighthouse" not in str(lines)


async def test_differences_are_logged_even_if_the_ledger_cannot_store_the_result(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A memory that filled up, or an outage, at the end of an audit kept what it had found out of the log too."""
    generation = (await stage.reserve()).generation.id
    await stage.ledger.redis.zrem(keys.deadlines(int(generation[4:6], 16)), generation)
    run = stage.ledger.command

    async def full(*words: str | int) -> object:
        if words[:2] == ("SET", keys.AUDIT):
            raise LedgerFull("SET: OOM")
        return await run(*words)

    monkeypatch.setattr(stage.ledger, "command", full)
    with capture_logs() as lines, pytest.raises(LedgerFull):
        await DailyAudit(stage.ledger).audit_if_due()
    assert [line["event"] for line in lines] == ["audit_difference", "audit_finished"]


async def test_an_outage_only_delays_it(
    own_redis: RedisServer, own_stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage = own_stage
    monkeypatch.setattr(daily_audit, "_FIRST_CHECK_SECONDS", 0)
    monkeypatch.setattr(daily_audit, "_CHECK_SECONDS", 0.05)
    own_redis.kill()
    caretaker = DailyAudit(stage.ledger)
    with pytest.raises(LedgerUnavailable):
        await caretaker.audit_if_due()
    running = asyncio.create_task(caretaker.run())
    own_redis.start()

    async def audited() -> bool:
        return await last_audit(stage.ledger) is not None

    try:
        await until(audited)
    finally:
        running.cancel()


async def test_a_caretaker_audits_soon_after_its_start_when_none_was_made(stage: Stage) -> None:
    caretaker = stage.caretaker()

    await until(lambda: caretaker.says("audit_finished"))
    assert await last_audit(stage.ledger) is not None
