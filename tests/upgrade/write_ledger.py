"""Write the ledger of a version of Farebox into a file, with something in every state: run with that version's code.

    git archive <commit> | tar x -C /tmp/before
    cd /tmp/before && PYTHONPATH=/tmp/before python <here>/tests/upgrade/write_ledger.py <commit> <file>

So the gateway, the scripts, the worker and the tests' tools are all of that version; only this file and `stored.py`
are of the version that reads it.
"""

from __future__ import annotations

import asyncio
import secrets
import sys
import tempfile
import time
from datetime import timedelta
from fractions import Fraction
from pathlib import Path
from typing import Any

from gateway.domain import FailureCode, Interval, generation_id, operation_id, partition_of_account
from gateway.ledger.audit import audit, remember
from tests.api.visitor import CARD, Visitor, open_gateway
from tests.ledger.world import World
from tests.payments import shop
from tests.redis_servers import RedisServer
from tests.upgrade.stored import Stored, now_ms, take
from tests.webhooks.receiving import register

RECEIVER = "http://127.0.0.1:1"  # nobody is there, so all that it should be told is pending
MONTH = timedelta(days=31) // timedelta(milliseconds=1)
DAY = timedelta(days=1) // timedelta(milliseconds=1)
CLIP: dict[str, Any] = {"tool": "video", "model": "clip", "settings": {"duration": 1, "resolution": "480p"}}


async def open_ones(gateway: Visitor, key: str) -> dict[str, str]:
    """A generation of `acme` in every state that it can go on from."""
    ledger = gateway.ledger
    made = {
        "queued": await gateway.made(key, prompt="queued"),
        "waited for": await gateway.made(key, **CLIP),
        "waiting": await gateway.made(key, **CLIP),
    }
    for name in ("running", "running with a job", "called back", "parked", "half delivered", "handed back"):
        made[name] = await gateway.made(key, prompt=name, outputs=2 if name == "half delivered" else 1)
        await gateway.begin(made[name])
    for name in ("running with a job", "called back", "parked"):
        ref = f"sbx_{time.time_ns() // 1_000_000}_{secrets.token_hex(8)}"
        await ledger.note(generation=made[name], attempt=1, ref=ref)
        if name == "called back":
            await ledger.call_back(generation=made[name], job=ref)
    await ledger.renew(generation=made["running"], attempt=1, progress_thousandths=400)
    await ledger.park(generation=made["parked"], attempt=1, operation=operation_id())
    await gateway.deliver(made["half delivered"])
    await ledger.hand_back(generation=made["handed back"], attempt=1, operation=operation_id())
    for name in ("to be cancelled", "failed once"):
        made[name] = await gateway.made(key, prompt=name)
        await gateway.begin(made[name])
    await ledger.cancel(generation=made["to be cancelled"])
    await ledger.settle(
        generation=made["failed once"], attempt=1, operation=operation_id(), failure=FailureCode.PROVIDER_FAILED
    )
    made["in line"] = await gateway.made(key, prompt="in line")
    await ledger.wait_for_slot(generation=made["in line"], attempt=1)
    return made


async def ended_ones(gateway: Visitor, key: str) -> dict[str, str]:
    """Generations of `acme` that have ended, in every way."""
    made = {
        "succeeded": await gateway.finished(key, outputs=2),
        "free of charge": await gateway.made(key, prompt="cancelled"),
        "partly": await gateway.made(key, outputs=2),
        "failed": await gateway.made(key, prompt="failed"),
    }
    await gateway.ledger.cancel(generation=made["free of charge"])
    await gateway.begin(made["partly"])
    await gateway.deliver(made["partly"])
    await gateway.settle(made["partly"], FailureCode.PROVIDER_REJECTED)
    await gateway.begin(made["failed"])
    await gateway.settle(made["failed"], FailureCode.MODERATED)
    return made


async def purchases(world: World) -> dict[str, str]:
    """Purchases of `acme` and `globex`: open, paid, declined, partly refunded; and a plan that a provider renews."""
    await world.ledger.put_account(account="globex", email="pay@globex.example")
    bought = {name: await shop.buy(world, "acme") for name in ("open", "paid", "declined", "refunded")}
    await shop.pay(world, bought["paid"], "pi_paid")
    await shop.pay(world, bought["refunded"], "pi_refunded")
    await world.ledger.decline(account="acme", checkout=bought["declined"].id)
    await world.ledger.take_back(account="acme", checkout=bought["refunded"].id, part=Fraction(1, 4))
    bought["plan"] = await shop.buy_plan(world, "standard", Interval.MONTHLY, "globex")
    now = await world.now()
    facts = {"lines": (shop.line_of(now - DAY, now - DAY + MONTH),), "seen_at": now}
    await world.ledger.bill(shop.billing(bought["plan"], "sub_1", plan="standard", interval=Interval.MONTHLY, **facts))
    return {name: checkout.id for name, checkout in bought.items()}


async def old_customers(world: World) -> None:
    """Accounts whose clocks went on: a lapsed plan, a cancelled one, a scheduled change, a refund after midnight."""
    for account in ("lapsed", "cancelled", "changing"):
        await world.ledger.put_account(account=account, email=f"{account}@example.com", metadata={"is": account})
        more = {"paid_through": await world.now() + MONTH} if account == "lapsed" else {}
        await world.subscribe(account, "standard", **more)
        await world.grant(account, 250_500)
    held = await world.spend(150_000, "lapsed", model="sketch", generation=generation_of("lapsed", world))
    await world.advance(2 * MONTH, "lapsed")
    await world.ledger.cancel(generation=held)
    await world.ledger.unsubscribe(account="cancelled", operation=operation_id(), when="period_end")
    await world.ledger.change(
        account="changing", operation=operation_id(), plan="basic", interval=None, when="period_end"
    )


def generation_of(account: str, world: World) -> str:
    return generation_id(partition_of_account(account, world.ledger.partitions))


async def session_of(gateway: Visitor, key: str) -> str:
    """The cookie of a session of this key."""
    reply = await gateway.call("POST", "/session", None, {"key": key}, {"Sec-Fetch-Site": "same-origin"})
    return str(reply.headers["Set-Cookie"].partition(";")[0].partition("=")[2])


async def write(gateway: Visitor, secrets_of: dict[str, str]) -> dict[str, Any]:
    """Live a busy day; what has to be known of it."""
    world = World(gateway.ledger)
    key = await gateway.account()
    revoked = await gateway.call("POST", "/v1/admin/accounts/acme/keys", gateway.admin, {})
    await gateway.call("DELETE", f"/v1/admin/accounts/acme/keys/{revoked.body['id']}", gateway.admin)
    await gateway.call("PUT", "/v1/admin/accounts/acme", gateway.admin, {"email": "ann@acme.example"})
    await gateway.subscribe()
    await gateway.grant(500)
    webhook = await register(gateway, key, f"{RECEIVER}/acme")
    operators = await register(gateway, gateway.admin, f"{RECEIVER}/operators")
    ops = await gateway.operator_key("ops")
    ended = await ended_ones(gateway, key)
    once = await gateway.create(key, once="order-7", prompt="once")
    made = await open_ones(gateway, key)
    checkouts = await purchases(world)
    await old_customers(world)
    order = {"tool": "image", "model": "gallery", "settings": {"resolution": "2K"}, "outputs": 1}
    quote = await gateway.call("POST", "/v1/quotes", key, {**order, "prompt": "quoted"})
    await remember(gateway.ledger, await audit(gateway.ledger))
    names = {**made, **ended, "once": once.body["id"]}
    return {
        **secrets_of, "key": key, "revoked_key": revoked.body["key"], "ops_key": ops, "open": [*made, "once"],
        "generations": names, "checkouts": checkouts, "webhook_secret": webhook["secret"],
        "operators_secret": operators["secret"], "once": "order-7", "order": {**order, "prompt": "quoted"},
        "quote": quote.body["quote"], "quoted_credits": quote.body["credits"],
        "session": await session_of(gateway, key),
        "answers": {path: (await gateway.call("GET", path, key)).body for path in paths(names)},
        "accounts": {name: (await gateway.call("GET", f"/v1/admin/accounts/{name}", gateway.admin)).body
                     for name in ("acme", "globex", "lapsed", "cancelled", "changing")},
    }  # fmt: skip


def paths(names: dict[str, str]) -> list[str]:
    """What the account's key reads, to be read again by the next version."""
    receipts = [f"/v1/generations/{name}/receipt" for name in names.values()]
    return ["/v1/balance", "/v1/journal?limit=100", "/v1/generations?limit=100", "/v1/webhooks", *receipts]


async def main(commit: str, file: Path) -> None:
    """Write the file."""
    with tempfile.TemporaryDirectory() as directory:
        server = RedisServer(Path(directory) / "redis")
        server.start()
        card = CARD.read_text().replace("concurrency = { image = 4 }\nmax_waiting = 2", ROOMY)
        (Path(directory) / "pricing.toml").write_text(card)
        secrets_of: dict[str, Any] = {name: secrets.token_urlsafe(32) for name in ("signing_key", "admin_key")}
        try:
            async with open_gateway(
                server.url, Path(directory), **secrets_of, webhook_networks="127.0.0.0/8"
            ) as gateway:
                told = await write(gateway, secrets_of)
                redis: Any = gateway.ledger.redis
                await asyncio.sleep(0.5)  # the dispatcher has put into arq what was ordered
                Stored(commit, await now_ms(redis), await take(redis), {**told, "card": card}).save(file)
        finally:
            server.stop()


ROOMY = "concurrency = { image = 20, video = 1 }\nmax_waiting = 20"

if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], Path(sys.argv[2]).resolve()))
