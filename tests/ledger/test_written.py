"""Scripts reply with a generation as they have it in memory; it is what they have stored, field by field."""

from __future__ import annotations

from collections.abc import Mapping

from gateway.domain import operation_id
from gateway.ledger.scripts import SCRIPTS
from gateway.redis_link.scripts import sent_whole
from tests.ledger.world import DAY, HOUR, World

TRIED = '[["fal","provider_failed",1,1795305600000,0]]'
BEGIN = {"attempt": 1, "lease_ms": 60_000, "dispatch_ms": 2_000}
SETTLE = {"attempt": 1, "failure": None, "dispatch_ms": 2_000, "tried": None, "untried": 0, "lost": None}
CANCEL = {"account": None, "keys_version": None, "member": None, "reason": None, "dispatch_ms": 2_000}


async def check(world: World, word: str, script: str, generation: str, given: Mapping[str, str | int | None]) -> None:
    """Run a script, which must reply with this word, and compare the generation in its reply with what is stored."""
    operation = {"operation": operation_id()} if script not in {"cancel", "renew"} else {}
    key = world.ledger.generation_key(generation)
    reply = await world.redis.execute_command(*sent_whole(SCRIPTS.command(script, [key], **given, **operation)))
    (shown,) = (part for part in reply if isinstance(part, list) and part and part[0] == generation.encode())
    flat = [text.decode() for text in shown[1]]
    assert reply[0].decode() == word
    assert dict(zip(flat[::2], flat[1::2], strict=True)) == await world.fields(generation)


async def test_what_begin_replies_is_what_is_stored(world: World) -> None:
    await check(world, "begun", "begin", await world.spend(), BEGIN)
    parked = await world.parked()
    await check(world, "begun", "begin", parked, {**BEGIN, "attempt": 2})


async def test_what_an_ending_replies_is_what_is_stored(world: World) -> None:
    delivered = await world.running(9_000, outputs=3)
    await world.deliver(delivered, 1)
    await check(world, "ended", "settle", delivered, {**SETTLE, "lost": "fal,7,"})
    failed = await world.running()
    await check(world, "ended", "settle", failed, {**SETTLE, "failure": "provider_rejected", "tried": TRIED})
    await check(world, "ended", "cancel", await world.spend(), {**CANCEL, "reason": "a duplicate"})
    stopped = await world.running()
    await world.ledger.cancel(generation=stopped, reason="a duplicate")
    await check(world, "ended", "settle", stopped, SETTLE)
    await world.spend()
    await world.spend()
    await check(world, "ended", "cancel", await world.spend(), CANCEL)  # it was waiting


async def test_what_an_ending_at_its_time_limit_replies_is_what_is_stored(world: World) -> None:
    renewed = await world.noted()
    await world.pass_time(renewed, HOUR)
    await check(world, "ended", "renew", renewed, {"attempt": 1, "progress": 500, "lease_ms": 60_000, "dispatch_ms": 9})
    queued = await world.spend()
    await world.pass_time(queued, DAY)
    deadline = await world.due(queued)
    await check(world, "ended", "rescue", queued, {"deadline": deadline, "judge_leases": 1, "dispatch_ms": 2_000})
