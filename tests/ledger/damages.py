"""What can be wrong with a ledger: a small scene, each way to break it by hand, and what the audit must call it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from typing import Any

from gateway.domain import EventType, generation_id, partition_of_account
from gateway.ledger import keys, outcomes
from gateway.ledger.audit.report import DifferenceKind
from tests.ledger.world import DAY, PARTITIONS, World, the


@dataclass
class Scene:
    """A ledger with one generation of each kind, all `ann`'s, and the raw keys to break it by."""

    world: World
    running: str
    waiting: str
    ended: str
    webhook_id: str
    event: str
    partition: int = field(default_factory=lambda: partition_of_account("ann", PARTITIONS))

    @property
    def redis(self) -> Any:
        return self.world.redis

    @property
    def account(self) -> str:
        return keys.account(self.partition, "ann")

    @property
    def journal(self) -> str:
        return keys.journal(self.partition, "ann")

    @property
    def recent(self) -> str:
        return keys.recent(self.partition, "ann")

    @property
    def deadlines(self) -> str:
        return keys.deadlines(self.partition)

    @property
    def outputs(self) -> str:
        return keys.outputs(self.partition)

    @property
    def totals(self) -> str:
        return keys.totals(self.partition)

    @property
    def waiting_room(self) -> str:
        return keys.waiting(self.partition, "ann", "image")

    @property
    def webhook(self) -> str:
        return keys.webhook(self.partition, "ann", self.webhook_id)

    @property
    def delivery(self) -> str:
        return keys.delivery(self.partition, "ann", self.webhook_id, self.event)

    def generation(self, name: str) -> str:
        return keys.generation(self.partition, name)

    async def grant(self, change: Callable[[list[str]], list[str]]) -> None:
        """Change the parts of the first grant that holds something."""
        for name, text in sorted((await self.redis.hgetall(self.account)).items()):
            parts = text.decode().split(",")
            if name.startswith(b"grant:") and parts[2] != "0":
                await self.redis.hset(self.account, name, ",".join(change(parts)))
                return
        raise AssertionError("no grant holds anything")


async def set_scene(world: World) -> Scene:
    """Two in work, one waiting, one delivered, one refunded; some credits of each bucket."""
    standard = replace(world.policy.plans["standard"], concurrency={"image": 2})
    await world.publish(plans={"standard": standard})
    await world.account(top_up=50_000, plan="standard")
    webhook = await world.listen("ann", EventType.GENERATION_SUCCEEDED)
    ended = await world.spend(120_000)
    await world.finish(ended)
    await world.fail(await world.spend(7_000))
    running = await world.running(20_000)
    await world.spend(30_000)
    waiting = await world.spend(40_000)
    page = the(outcomes.Page, await world.ledger.deliveries(webhook=webhook, account="ann", limit=1))
    return Scene(world, running, waiting, ended, webhook, page.data[0].event)


async def _lose_due_times(scene: Scene) -> None:
    await scene.redis.delete(keys.pending(scene.partition, "ann", scene.webhook_id))
    await scene.redis.delete(keys.webhooks(scene.partition))


Damage = Callable[[Scene], Awaitable[Any]]


async def _settle_twice(scene: Scene) -> None:
    """The generation says that it committed and refunded more than its price."""
    await scene.redis.hset(scene.generation(scene.ended), "refunded", "5000")


async def _change_an_entry(scene: Scene) -> None:
    entry = (await scene.redis.lindex(scene.journal, 1)).decode().split("|")
    entry[3] = str(int(entry[3]) + 1)
    await scene.redis.lset(scene.journal, 1, "|".join(entry))


async def _remove_an_entry(scene: Scene, index: int) -> None:
    entry = await scene.redis.lindex(scene.journal, index)
    assert await scene.redis.lrem(scene.journal, 1, entry) == 1


async def _lose_an_open_generation(scene: Scene) -> None:
    await scene.redis.delete(scene.generation(scene.running))


def _more(index: int, amount: int = 1) -> Callable[[list[str]], list[str]]:
    """A grant with more in one of its parts."""
    return lambda parts: [*parts[:index], str(int(parts[index]) + amount), *parts[index + 1 :]]


ORPHAN = keys.journal(partition_of_account("nobody", PARTITIONS), "nobody")

DAMAGES: dict[str, tuple[Damage, DifferenceKind, str]] = {
    "a grant changed": (lambda scene: scene.grant(_more(1)), DifferenceKind.BALANCE, "account ann, available credits"),
    "credits moved between buckets": (
        lambda scene: scene.grant(lambda parts: ["t", *parts[1:]]),
        DifferenceKind.BALANCE,
        "account ann, sum of bucket",
    ),
    "held of a grant wrong": (lambda scene: scene.grant(_more(2)), DifferenceKind.HELD, "account ann, held of grant"),
    "a held amount of a bucket wrong": (
        lambda scene: scene.redis.hincrby(scene.account, "held:s", 1),
        DifferenceKind.HELD,
        "account ann, held of bucket subscription",
    ),
    "a held amount that the journal does not know": (
        lambda scene: scene.redis.hincrby(scene.account, "held:t", 1),
        DifferenceKind.BALANCE,
        "account ann, held credits",
    ),
    "the newest entry removed": (
        lambda scene: _remove_an_entry(scene, 0),
        DifferenceKind.JOURNAL,
        "account ann, newest entry",
    ),
    "an entry in the middle removed": (
        lambda scene: _remove_an_entry(scene, 3),
        DifferenceKind.JOURNAL,
        "account ann, entry",
    ),
    "the oldest entry removed": (
        lambda scene: _remove_an_entry(scene, -1),
        DifferenceKind.JOURNAL,
        "account ann, oldest entry",
    ),
    "an entry changed": (_change_an_entry, DifferenceKind.JOURNAL, "account ann, entry"),
    "the whole journal gone": (
        lambda scene: scene.redis.delete(scene.journal),
        DifferenceKind.JOURNAL,
        "account ann, newest entry",
    ),
    "a journal that is no list": (
        lambda scene: scene.redis.rename(scene.waiting_room, scene.journal),
        DifferenceKind.UNREADABLE,
        "account ann",
    ),
    "a debt below zero": (
        lambda scene: scene.redis.hset(scene.account, "debt", "-1"),
        DifferenceKind.BALANCE,
        "account ann, debt",
    ),
    "a count of work wrong": (
        lambda scene: scene.redis.hincrby(scene.account, "work:image", 1),
        DifferenceKind.WORK,
        "account ann, field work:image",
    ),
    "a count of work of a tool that nobody uses": (
        lambda scene: scene.redis.hset(scene.account, "work:video", "1"),
        DifferenceKind.WORK,
        "account ann, field work:video",
    ),
    "a count of who waits wrong": (
        lambda scene: scene.redis.hincrby(scene.account, "waiting:image", 1),
        DifferenceKind.WAITING,
        "account ann, field waiting:image",
    ),
    "a waiting one out of line": (
        lambda scene: scene.redis.delete(scene.waiting_room),
        DifferenceKind.WAITING,
        "{waiting}",
    ),
    "a stranger in line": (
        lambda scene: scene.redis.zadd(scene.waiting_room, {scene.running: 1}),
        DifferenceKind.WAITING,
        "{running}",
    ),
    "a deadline missing": (
        lambda scene: scene.redis.zrem(scene.deadlines, scene.running),
        DifferenceKind.DEADLINE,
        "{running}",
    ),
    "all deadlines missing": (lambda scene: scene.redis.delete(scene.deadlines), DifferenceKind.DEADLINE, "{waiting}"),
    "a deadline of an ended one": (
        lambda scene: scene.redis.zadd(scene.deadlines, {scene.ended: 1}),
        DifferenceKind.DEADLINE,
        "{ended}",
    ),
    "a deadline of nothing": (
        lambda scene: scene.redis.zadd(scene.deadlines, {generation_id(scene.partition, "x"): 1}),
        DifferenceKind.DEADLINE,
        "generation " + generation_id(partition_of_account("ann", PARTITIONS), "x"),
    ),
    "an open generation deleted": (_lose_an_open_generation, DifferenceKind.HELD, "account ann, held of bucket"),
    "an open generation deleted, its deadline": (_lose_an_open_generation, DifferenceKind.DEADLINE, "{running}"),
    "an ended generation deleted": (
        lambda scene: scene.redis.delete(scene.generation(scene.ended)),
        DifferenceKind.RECENT,
        "{ended}",
    ),
    "a generation in no list": (
        lambda scene: scene.redis.zrem(scene.recent, scene.ended),
        DifferenceKind.RECENT,
        "{ended}",
    ),
    "an open generation that the account does not list": (
        lambda scene: scene.redis.zrem(scene.recent, scene.running),
        DifferenceKind.RECENT,
        "{running}",
    ),
    "too little refunded": (_settle_twice, DifferenceKind.SETTLED, "{ended}"),
    "too much committed": (
        lambda scene: scene.redis.hset(scene.generation(scene.ended), "committed", "120001"),
        DifferenceKind.SETTLED,
        "{ended}",
    ),
    "an output lost": (
        lambda scene: scene.redis.hdel(scene.generation(scene.ended), "output:0"),
        DifferenceKind.SETTLED,
        "{ended}",
    ),
    "a price changed": (
        lambda scene: scene.redis.hset(scene.generation(scene.running), "price", "1"),
        DifferenceKind.SETTLED,
        "{running}",
    ),
    "outputs that nobody will delete": (
        lambda scene: scene.redis.zrem(scene.outputs, scene.ended),
        DifferenceKind.OUTPUTS,
        "{ended}",
    ),
    "outputs deleted while they are made": (
        lambda scene: scene.redis.zadd(scene.outputs, {scene.running: 1}),
        DifferenceKind.OUTPUTS,
        "{running}",
    ),
    "an open generation that expires": (
        lambda scene: scene.redis.pexpire(scene.generation(scene.running), DAY),
        DifferenceKind.LIFETIME,
        "{running}",
    ),
    "an ended generation that stays": (
        lambda scene: scene.redis.persist(scene.generation(scene.ended)),
        DifferenceKind.LIFETIME,
        "{ended}",
    ),
    "an account that expires": (
        lambda scene: scene.redis.pexpire(scene.account, DAY),
        DifferenceKind.LIFETIME,
        "key {{fb",
    ),
    "a record without a TTL": (
        lambda scene: scene.redis.set(keys.idempotency(scene.partition, "ann", "d"), "x pending"),
        DifferenceKind.LIFETIME,
        "key {{fb",
    ),
    "a state that is no state": (
        lambda scene: scene.redis.hset(scene.generation(scene.ended), "state", "lost"),
        DifferenceKind.UNREADABLE,
        "{ended}",
    ),
    "a generation that is no hash": (
        lambda scene: scene.redis.rename(scene.recent, scene.generation(generation_id(scene.partition, "z"))),
        DifferenceKind.UNREADABLE,
        "generation " + generation_id(partition_of_account("ann", PARTITIONS), "z"),
    ),
    "a grant that is no grant": (
        lambda scene: scene.redis.hset(scene.account, "grant:o99", "much"),
        DifferenceKind.UNREADABLE,
        "account ann",
    ),
    "too many held in the totals": (
        lambda scene: scene.redis.hincrby(scene.totals, "held", 1),
        DifferenceKind.TOTALS,
        "field held",
    ),
    "too many open in the totals": (
        lambda scene: scene.redis.hincrby(scene.totals, "open", 1),
        DifferenceKind.TOTALS,
        "field open",
    ),
    "the totals gone": (lambda scene: scene.redis.delete(scene.totals), DifferenceKind.TOTALS, "field running:image"),
    "too many accounts in the totals": (
        lambda scene: scene.redis.hincrby(scene.totals, "accounts", 1),
        DifferenceKind.TOTALS,
        "field accounts",
    ),
    "an account gone": (lambda scene: scene.redis.delete(scene.account), DifferenceKind.ORPHAN, "{ended}"),
    "an account gone, its journal": (
        lambda scene: scene.redis.delete(scene.account),
        DifferenceKind.ORPHAN,
        ":journal:ann",
    ),
    "a journal without an account": (
        lambda scene: scene.redis.rpush(ORPHAN, "1"),
        DifferenceKind.ORPHAN,
        ":journal:nobody",
    ),
    "an account in another's partition": (
        lambda scene: scene.redis.hset(keys.account((scene.partition + 1) % PARTITIONS, "ann"), "created_at", "1"),
        DifferenceKind.ORPHAN,
        ":account:ann",
    ),
    "a key that nobody described": (
        lambda scene: scene.redis.set("{fb00}:surprise", "1"),
        DifferenceKind.ORPHAN,
        "surprise",
    ),
    "a webhook that its owner does not list": (
        lambda scene: scene.redis.hdel(scene.account, "webhooks"),
        DifferenceKind.WEBHOOK,
        "webhook whk_",
    ),
    "a webhook gone": (lambda scene: scene.redis.delete(scene.webhook), DifferenceKind.ORPHAN, ":delivery:ann:whk_"),
    "a webhook gone, what is due": (
        lambda scene: scene.redis.delete(scene.webhook),
        DifferenceKind.WEBHOOK,
        ":webhooks, ann:whk_",
    ),
    "a webhook gone, the account": (
        lambda scene: scene.redis.delete(scene.webhook),
        DifferenceKind.WEBHOOK,
        "account ann, field webhooks",
    ),
    "a webhook that nobody looks at": (
        lambda scene: scene.redis.delete(keys.webhooks(scene.partition)),
        DifferenceKind.WEBHOOK,
        ", when it is due",
    ),
    "an event that nobody will tell": (
        _lose_due_times,
        DifferenceKind.WEBHOOK,
        ", event evt_",
    ),
    "an event that is told for ever": (
        lambda scene: scene.redis.hset(scene.delivery, "status", "delivered"),
        DifferenceKind.WEBHOOK,
        ", event evt_",
    ),
    "a delivery that stays": (
        lambda scene: scene.redis.persist(scene.delivery),
        DifferenceKind.LIFETIME,
        ":delivery:ann:whk_",
    ),
    "a webhook of nobody": (
        lambda scene: scene.redis.hset(keys.webhook(scene.partition, "*", "whk_" + "a" * 24), "url", "x"),
        DifferenceKind.WEBHOOK,
        "webhook whk_aaaa",
    ),
    "a key past the partitions": (
        lambda scene: scene.redis.hset("{fb3f}:totals", "open", "1"),
        DifferenceKind.ORPHAN,
        "{{fb3f}}:totals",
    ),
    "an API key of nobody": (
        lambda scene: scene.redis.set(keys.key("key_" + "0" * 32), "account,nobody,ff,1,"),
        DifferenceKind.ORPHAN,
        "fb:key:key_000",
    ),
    "an API key's record that is none": (
        lambda scene: scene.redis.set(keys.key("key_" + "0" * 32), "garbage"),
        DifferenceKind.ORPHAN,
        "fb:key:key_000",
    ),
    "a deadline that is no time": (
        lambda scene: scene.redis.zadd(scene.deadlines, {scene.running: float("inf")}),
        DifferenceKind.UNREADABLE,
        ":deadlines",
    ),
}
