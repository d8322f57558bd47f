"""`POST /v1/generations` and `GET /v1/generations/{id}`: one gateway process beside a bare aiohttp handler.

Both get the same load from the same program, on the same cores. Nobody works the queue, so what is posted stays queued
(each account's first sixteen) or waiting; posting is therefore measured with the dispatch to arq, and without the work.
Those that are read are by thirds queued, running and succeeded.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from benchmarks.accounts import PROMPT, REQUEST, Account, make, reserve
from benchmarks.bench import Bench
from benchmarks.load import UNIQUE
from benchmarks.loaded import loaded
from benchmarks.result import Result, at_least, at_most
from benchmarks.servers import answers, child, durable_redis, gateway_at, ledger_at, wait_until
from gateway.domain import Output, operation_id
from gateway.ledger.ledger import Ledger
from gateway.ledger.outcomes import Reserved
from tests.free_ports import free_port

ACCOUNTS = 10_000
ACCOUNTS_QUICK = 1000
CONNECTIONS = 64
SECONDS = 4
SECONDS_QUICK = 1
READ = 300
PLAN = "creator"
FLOOR = "bare aiohttp"

Load = dict[str, float]


@dataclass(slots=True)
class Rounds:
    """What the load program said, by round."""

    floor: list[Load] = field(default_factory=list)
    post: list[Load] = field(default_factory=list)
    get: list[Load] = field(default_factory=list)


async def measure(bench: Bench) -> Sequence[Result]:
    """Load the floor, the posts and the reads, in turn."""
    with durable_redis() as redis_socket:
        async with ledger_at(redis_socket) as ledger:
            numbers = range(bench.size(ACCOUNTS, ACCOUNTS_QUICK))
            accounts = await make(ledger, redis_socket, numbers, plan=PLAN)
            generations = [await generation_in_turn(ledger, accounts[number], number) for number in range(READ)]
        posts = [post_of(account) for account in accounts]
        gets = [get_of(*pair) for pair in zip(accounts[:READ], generations, strict=True)]
        rounds = Rounds()
        with bare_handler() as (bare_port, _), gateway_at(redis_socket) as gateway:
            for _ in bench.rounds():
                rounds.floor.append(await _load(bench, bare_port, posts))
                rounds.post.append(await _load(bench, gateway.port, posts))
                rounds.get.append(await _load(bench, gateway.port, gets))
    return _results(rounds)


def _results(rounds: Rounds) -> list[Result]:
    def of(loads: list[Load], name: str) -> list[float]:
        return [load[name] for load in loads]

    speed, p99 = of(rounds.floor, "per_second"), of(rounds.floor, "p99_ms")
    return [
        Result(
            what="POST /v1/generations",
            figures=of(rounds.post, "per_second"),
            floors=speed,
            floor=FLOOR,
            unit="/s",
            target=at_least(0.35),
        ),
        Result(
            what="POST /v1/generations, p99",
            figures=of(rounds.post, "p99_ms"),
            floors=p99,
            floor=FLOOR,
            unit="ms",
            target=at_most(3),
        ),
        Result(
            what="GET /v1/generations/{id}",
            figures=of(rounds.get, "per_second"),
            floors=speed,
            floor=FLOOR,
            unit="/s",
            target=at_least(0.60),
        ),
    ]


async def _load(bench: Bench, port: int, requests: list[str]) -> Load:
    seconds = bench.size(SECONDS, SECONDS_QUICK)
    return await loaded(port, requests, connections=CONNECTIONS, seconds=seconds)


def post_of(account: Account) -> str:
    """A create, as `benchmarks.load` sends it."""
    body = json.dumps(
        {"tool": REQUEST.tool, "model": REQUEST.model, "prompt": PROMPT, "settings": {"resolution": "1K"}}
    )
    return (
        "POST /v1/generations HTTP/1.1\r\nHost: 127.0.0.1\r\n"
        f"Authorization: Bearer {account.key}\r\nIdempotency-Key: {UNIQUE}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n{body}"
    )


def get_of(account: Account, generation: str) -> str:
    """A read of one of the account's generations."""
    return (
        f"GET /v1/generations/{generation} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {account.key}\r\n\r\n"
    )


async def generation_in_turn(ledger: Ledger, account: Account, number: int) -> str:
    """A generation that is queued, running or succeeded, in turn."""
    reserved = await reserve(ledger, account)
    if not isinstance(reserved, Reserved):
        raise TypeError(f"not reserved: {reserved}")
    generation = reserved.generation.id
    if number % 3 > 0:
        await ledger.begin(generation=generation, attempt=1, operation=operation_id())
    if number % 3 > 1:
        await ledger.deliver(generation=generation, attempt=1, output=an_output(generation))
        await ledger.settle(generation=generation, attempt=1, operation=operation_id(), failure=None)
    return generation


def an_output(generation: str) -> Output:
    """What a worker says of one finished image."""
    return Output(
        index=0,
        object_key=f"{generation}/1-0.png",
        content_type="image/png",
        bytes=1_234_567,
        width=1024,
        height=1024,
        sha256="5" * 64,
    )


@contextmanager
def bare_handler() -> Iterator[tuple[int, int]]:
    """The floor of every HTTP row: its port and its process."""
    port = free_port()
    with child([sys.executable, "-m", "benchmarks.peers.echo", str(port)]) as process:
        wait_until(lambda: answers(port), process)
        yield port, process.pid
