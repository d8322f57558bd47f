"""The floors of a create and of a read: Farebox's connections, and nothing else that Farebox does.

The key is known by its digest, the price is held, the generation, its journal entry, deadline, place in the queue and
idempotency record are written, in one script, before the answer. What the other peers do not do, it does not either.
A read compares the key and the generation in one round trip, without a script, and sends the last answer again.
`python -m benchmarks.peers.skeleton PORT REDIS_SOCKET`.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Sequence
from itertools import chain
from pathlib import Path

from aiohttp import web

from benchmarks.accounts import Account
from benchmarks.peers.serving import BALANCE_MILLICREDITS, PRICE_MILLICREDITS, created, digest_of, refused, serve
from benchmarks.recorded import RawConnection, packed
from gateway.domain import generation_id, partition_of_account, partition_of_generation
from gateway.json_text import to_json
from gateway.ledger.keys import account as key_of_account
from gateway.ledger.keys import generation as key_of_generation
from gateway.redis_link.calls import Calls
from gateway.redis_link.connections import connect_ledger
from gateway.redis_link.scripts import ScriptFolder

PARTITIONS = 64
READ = 300
"""So many of the accounts have a generation to read."""
_CALLS = web.AppKey("calls", Calls)
BODY_BYTES = 700  # with its fields, as long as Farebox's answer
_KEPT: dict[str, tuple[bytes, bytes]] = {}
"""The last answer of each generation, and the version that it shows."""


async def create(request: web.Request) -> web.Response:
    """One script."""
    body = await request.read()
    await request.json()
    key = request.headers["Authorization"].removeprefix("Bearer ")
    account = f"bench-{key[-8:]}"
    partition = partition_of_account(account, PARTITIONS)
    word, *made = await request.app[_CALLS].run(
        "create",
        key_of_account(partition, account),
        generation=generation_id(partition),
        key_digest=digest_of(key.encode()),
        memory_digest=digest_of(request.headers["Idempotency-Key"].encode()),
        request_digest=digest_of(body),
        price=PRICE_MILLICREDITS,
        request=body.decode(),
    )
    return refused() if word == b"refused" else created(made[0].decode())


async def read(request: web.Request) -> web.Response:
    """Two plain commands in one batch; the whole generation only if it has changed."""
    key, generation = request.headers["Authorization"].removeprefix("Bearer "), request.match_info["generation"]
    calls, account, partition = request.app[_CALLS], f"bench-{key[-8:]}", partition_of_generation(generation)
    name = key_of_generation(partition, generation)
    stored = calls.command("HMGET", name, "account", "version")
    in_force = calls.command("HGET", key_of_account(partition, account), "key")
    (owner, version), digest = await asyncio.gather(stored, in_force)
    if owner != account.encode() or digest != digest_of(key.encode()).encode():
        return web.Response(status=404)
    kept = _KEPT.get(generation)
    if kept is None or kept[0] != version:
        fields = await calls.command("HGETALL", name)
        kept = version, to_json({field.decode(): value.decode() for field, value in fields.items()})
        _KEPT[generation] = kept
    return web.Response(body=kept[1], content_type="application/json")


def generation_of(account: Account) -> str:
    """The one that it has from the beginning."""
    return generation_id(partition_of_account(account.name, PARTITIONS), account.name)


async def prepare(redis_socket: Path, accounts: Sequence[Account]) -> None:
    """Write the accounts that the script reads, and a generation for each of the first."""
    raw = await RawConnection.open(redis_socket)
    made = [_made(account) for account in accounts] + [_generation_made(account) for account in accounts[:READ]]
    await raw.send(packed(made), len(made))
    await raw.close()


def _made(account: Account) -> list[bytes]:
    name = key_of_account(partition_of_account(account.name, PARTITIONS), account.name)
    words = (
        "HSET",
        name,
        "key",
        digest_of(account.key.encode()),
        "available",
        str(BALANCE_MILLICREDITS),
        "held",
        "0",
        "entries",
        "0",
    )
    return [word.encode() for word in words]


def _generation_made(account: Account) -> list[bytes]:
    fields = {"account": account.name, "version": "1", "state": "queued", "request": "x" * BODY_BYTES}
    generation = generation_of(account)
    words = chain(("HSET", key_of_generation(partition_of_generation(generation), generation)), *fields.items())
    return [word.encode() for word in words]


def _unchanged(error: BaseException, _: str) -> BaseException:
    return error


async def connected(app: web.Application) -> AsyncIterator[None]:
    """The connections, while the server runs."""
    redis = connect_ledger(f"unix://{sys.argv[2]}")
    app[_CALLS] = Calls(redis, ScriptFolder("benchmarks.peers"), _unchanged)
    yield
    await redis.aclose()


if __name__ == "__main__":
    serve(int(sys.argv[1]), create, connected, read=read)
