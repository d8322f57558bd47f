"""`POST /v1/generations` and `GET /v1/generations/{id}`: one gateway process beside a bare aiohttp handler.

All get the same load from the same program, on the same cores. Between the two is a skeleton (`benchmarks/peers/`):
what no target can be beyond. Nobody works the queue, so what is posted stays queued (each account's first sixteen) or
waiting; posting is therefore measured with the dispatch to arq, and without the work. Those that are read are by
thirds queued, running and succeeded.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field

from benchmarks.accounts import PROMPT, REQUEST, Account, make, reserve
from benchmarks.bench import Bench
from benchmarks.load import UNIQUE
from benchmarks.loaded import loaded
from benchmarks.peers import skeleton
from benchmarks.result import Result, Target, at_least, at_most
from benchmarks.servers import durable_redis, gateway_at, ledger_at, peer_at
from gateway.domain import Output, operation_id
from gateway.ledger.ledger import Ledger
from gateway.ledger.outcomes import Reserved

ACCOUNTS = 10_000
ACCOUNTS_QUICK = 1000
CONNECTIONS = 64
SECONDS = 4
SECONDS_QUICK = 1
PLAN = "creator"
FLOOR = "bare aiohttp"

Load = dict[str, float]


@dataclass(slots=True)
class Rounds:
    """What the load program said, by round."""

    floor: list[Load] = field(default_factory=list)
    post: list[Load] = field(default_factory=list)
    least_post: list[Load] = field(default_factory=list)
    get: list[Load] = field(default_factory=list)
    least_get: list[Load] = field(default_factory=list)


async def measure(bench: Bench) -> Sequence[Result]:
    """Load the floor, the posts and the reads, in turn."""
    with ExitStack() as running:
        redis_socket, least_socket = [running.enter_context(durable_redis()) for _ in range(2)]
        async with ledger_at(redis_socket) as ledger:
            numbers = range(bench.size(ACCOUNTS, ACCOUNTS_QUICK))
            accounts = await make(ledger, redis_socket, numbers, plan=PLAN)
            readers = accounts[: skeleton.READ]
            generations = [await generation_in_turn(ledger, account, number) for number, account in enumerate(readers)]
        await skeleton.prepare(least_socket, accounts)
        posts = [post_of(account) for account in accounts]
        gets = [get_of(*pair) for pair in zip(readers, generations, strict=True)]
        least_gets = [get_of(account, skeleton.generation_of(account)) for account in readers]
        bare, least = [running.enter_context(peer_at(*peer)) for peer in (("echo",), ("skeleton", least_socket))]
        gateway, rounds = running.enter_context(gateway_at(redis_socket)), Rounds()
        for _ in bench.rounds():
            rounds.floor.append(await _load(bench, bare.port, posts))
            rounds.post.append(await _load(bench, gateway.port, posts))
            rounds.least_post.append(await _load(bench, least.port, posts))
            rounds.get.append(await _load(bench, gateway.port, gets))
            rounds.least_get.append(await _load(bench, least.port, least_gets))
    return _results(rounds)


def _results(rounds: Rounds) -> list[Result]:
    def beside(what: str, loads: list[Load], target: Target | None, figure: str = "per_second") -> Result:
        figures, floors = [load[figure] for load in loads], [load[figure] for load in rounds.floor]
        unit = "/s" if figure == "per_second" else "ms"
        return Result(what=what, figures=figures, floors=floors, floor=FLOOR, unit=unit, target=target)

    least = "its floor: skeleton"
    return [
        beside("POST /v1/generations", rounds.post, at_least(0.35)),
        beside(least, rounds.least_post, None),
        beside("POST /v1/generations, p99", rounds.post, at_most(3), "p99_ms"),
        beside(least, rounds.least_post, None, "p99_ms"),
        beside("GET /v1/generations/{id}", rounds.get, at_least(0.60)),
        beside(least, rounds.least_get, None),
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
