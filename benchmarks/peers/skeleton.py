"""The floor of a create: Farebox's connections and one short script, without anything else that Farebox does.

The key is known by its digest, the price is held, the generation, its journal entry, deadline, place in the queue and
idempotency record are written, in one script, before the answer. What the other peers do not do, it does not either.
`python -m benchmarks.peers.skeleton PORT REDIS_SOCKET`.
"""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

from aiohttp import web

from benchmarks.accounts import Account
from benchmarks.peers.serving import BALANCE_MILLICREDITS, PRICE_MILLICREDITS, created, digest_of, refused, serve
from benchmarks.recorded import RawConnection, packed
from gateway.domain import generation_id, partition_of_account
from gateway.ledger.keys import account as key_of_account
from gateway.redis_link.calls import Calls
from gateway.redis_link.connections import connect_ledger
from gateway.redis_link.scripts import ScriptFolder

PARTITIONS = 64
_CALLS = web.AppKey("calls", Calls)


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


async def prepare(redis_socket: Path, accounts: Sequence[Account]) -> None:
    """Write the accounts that the script reads."""
    raw = await RawConnection.open(redis_socket)
    made = [_made(account) for account in accounts]
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


def _unchanged(error: BaseException, _: str) -> BaseException:
    return error


async def connected(app: web.Application) -> AsyncIterator[None]:
    """The connections, while the server runs."""
    redis = connect_ledger(f"unix://{sys.argv[2]}")
    app[_CALLS] = Calls(redis, ScriptFolder("benchmarks.peers"), _unchanged)
    yield
    await redis.aclose()


if __name__ == "__main__":
    serve(int(sys.argv[1]), create, connected)
