"""Creates beside what others would write: requests per second, p99, and CPU time with the database's in it.

Everything is durable and gets the same requests, 32 at a time, in the same rounds: a bare handler, three small programs
(`benchmarks/peers/`), Farebox with one gateway process and with two, and its skeleton: what no target can be below.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from redis.asyncio import Redis

from benchmarks.accounts import Account, make
from benchmarks.bench import Bench
from benchmarks.http_calls import PLAN, generation_in_turn, get_of, post_of
from benchmarks.loaded import loaded as load
from benchmarks.peers import skeleton
from benchmarks.peers.postgres import MISSING, postgres_at, prepare, programs
from benchmarks.result import Result, Target, at_least, at_most
from benchmarks.servers import cpu_seconds, durable_redis, gateway_at, ledger_at, peer_at

CONNECTIONS = 32
SECONDS = 3
SECONDS_QUICK = 1
# Few enough that keys are in use (the first use in a minute runs another script), and enough that what is created is
# queued (of an account the first sixteen).
ACCOUNTS = 3000
ACCOUNTS_QUICK = 1000
STEADY_PER_SECOND = 300
CORES_FREE = 5  # two gateways, Redis, the load, and one for the rest of the machine

ECHO, ONE_CALL, ROW_LOCK, COUNTER = "aiohttp echo", "one PL/pgSQL call", "row lock, statements", "DECRBY and arq"
UNITS = {"per_second": "/s", "p99_ms": "ms", "cpu": "µs"}
ONE, TWO, SKELETON = "Farebox", "Farebox, two processes", "skeleton"
READ, LEAST_READ = "read", "read, skeleton"


@dataclass(frozen=True, slots=True)
class Stack:
    """One way to create: its port, and what is part of it."""

    port: int
    servers: Sequence[int]
    database: int | None = None

    def cpu(self) -> tuple[float, float]:
        """The CPU seconds so far: of all that answers HTTP, and of the database."""
        return sum(map(cpu_seconds, self.servers)), cpu_seconds(self.database) if self.database else 0.0


@dataclass(frozen=True, slots=True)
class Measured:
    """One load: what its program said, and the CPU time of one request in µs."""

    per_second: float
    p99_ms: float
    server: float
    database: float

    @property
    def cpu(self) -> float:
        """Of both."""
        return self.server + self.database


Rounds = dict[str, list[Measured]]


async def measure(bench: Bench) -> Sequence[Result]:
    """Load each stack in turn, then read from Farebox, then create at a steady rate."""
    rounds: Rounds = {}
    seconds = bench.size(SECONDS, SECONDS_QUICK)
    async with stacks(bench) as (stack, posts, gets):
        accounts = [Account.number(number) for number in range(skeleton.READ)]
        least_gets = [get_of(account, skeleton.generation_of(account)) for account in accounts]
        for _ in bench.rounds():
            for name, one in stack.items():
                rounds.setdefault(name, []).append(await loaded(one, posts, seconds))
            rounds.setdefault(READ, []).append(await loaded(stack[ONE], gets, seconds))
            rounds.setdefault(LEAST_READ, []).append(await loaded(stack[SKELETON], least_gets, seconds))
            steady = await loaded(stack[ONE], posts, seconds, per_second=STEADY_PER_SECOND)
            rounds.setdefault("steady", []).append(steady)
    return list(_results(rounds))


async def loaded(
    stack: Stack, requests: Sequence[str], seconds: float, *, connections: int = CONNECTIONS, per_second: float = 0
) -> Measured:
    """Send requests for so long; without `per_second`, as many as it answers."""
    server, database = stack.cpu()
    said = await load(stack.port, requests, connections=connections, seconds=seconds, per_second=per_second)
    server_after, database_after = stack.cpu()
    micro = 1_000_000 / said["sent"]  # the warm-up too: its CPU time is in there
    return Measured(
        said["per_second"], said["p99_ms"], (server_after - server) * micro, (database_after - database) * micro
    )


@asynccontextmanager
async def stacks(bench: Bench) -> AsyncIterator[tuple[dict[str, Stack], list[str], list[str]]]:
    """Everything that is compared, running; requests that create, and requests that read from Farebox."""
    with ExitStack() as running:
        redis_socket, arq_socket, skeleton_socket = [running.enter_context(durable_redis()) for _ in range(3)]
        async with ledger_at(redis_socket) as ledger:
            numbers = range(bench.size(ACCOUNTS, ACCOUNTS_QUICK))
            accounts = await make(ledger, redis_socket, numbers, plan=PLAN)
            readers = accounts[: skeleton.READ]
            made = [await generation_in_turn(ledger, account, number) for number, account in enumerate(readers)]

        def peer(module: str, *arguments: object, database: int | None = None) -> Stack:
            server = running.enter_context(peer_at(module, *arguments))
            return Stack(server.port, [server.pid], database)

        stack = {ECHO: peer("echo")}
        if (found := programs()) is not None:
            postgres = running.enter_context(postgres_at(found))
            await prepare(postgres, len(accounts))
            for name, module in ((ONE_CALL, "one_call"), (ROW_LOCK, "row_lock")):
                stack[name] = peer(module, postgres.sockets, database=postgres.pid)
        stack[COUNTER] = peer("counter", arq_socket, database=await pid_of(arq_socket))
        await skeleton.prepare(skeleton_socket, accounts)
        stack[SKELETON] = peer("skeleton", skeleton_socket, database=await pid_of(skeleton_socket))
        redis = await pid_of(redis_socket)
        for name, processes in ((ONE, 1), (TWO, 2)):
            gateway = running.enter_context(gateway_at(redis_socket, processes=processes))
            stack[name] = Stack(gateway.port, [gateway.pid], redis)
        reads = [get_of(*pair) for pair in zip(readers, made, strict=True)]
        yield stack, [post_of(account) for account in accounts], reads


def _results(rounds: Rounds) -> Iterator[Result]:
    def of(name: str, figure: str) -> list[float]:
        return [getattr(measured, figure) for measured in rounds[name]]

    def beside(what: str, ours: str, figure: str, floor: str, target: Target | None = None) -> Result:
        figures, floors, unit = of(ours, figure), of(floor, figure), UNITS[figure]
        return Result(what=what, figures=figures, floors=floors, floor=floor, unit=unit, target=target)

    for name in (ONE_CALL, ROW_LOCK, COUNTER):
        if name in rounds:
            yield beside(f"peer: {name}", name, "per_second", ECHO)
            yield beside(f"peer: {name}, CPU", name, "cpu", ECHO)
    yield beside("create, CPU of gateway and ledger", ONE, "cpu", ECHO, at_most(7.5))
    yield Result(what="of it the gateway's", figures=of(ONE, "server"), unit="µs", target=None)
    yield Result(what="of it the ledger's", figures=of(ONE, "database"), unit="µs", target=None)
    yield beside("its floor: skeleton, CPU", SKELETON, "cpu", ECHO)
    yield Result(what="of it the ledger's", figures=of(SKELETON, "database"), unit="µs", target=None)
    yield beside("read, CPU of gateway and ledger", READ, "cpu", ECHO)
    yield Result(what="of it the ledger's", figures=of(READ, "database"), unit="µs", target=None)
    yield beside("its floor: skeleton, CPU", LEAST_READ, "cpu", ECHO)
    if ONE_CALL in rounds:
        yield beside("creates, one process", ONE, "per_second", ONE_CALL)
        yield beside("creates, two processes", TWO, "per_second", ONE_CALL, at_least(1.0))
        yield beside("floor of both: skeleton, one process", SKELETON, "per_second", ONE_CALL)
        yield beside("create, p99", ONE, "p99_ms", ONE_CALL, at_most(2))
    else:
        yield Result(what="creates", figures=of(ONE, "per_second"), unit="/s", target=None, note=MISSING)
    yield beside("creates, two processes", TWO, "per_second", COUNTER, at_least(1.6))
    free = (os.cpu_count() or 1) >= CORES_FREE
    note = "" if free else f"no target with fewer than {CORES_FREE} cores: none is free for the second process"
    scaled = beside("creates, two processes", TWO, "per_second", ONE, at_least(1.8) if free else None)
    yield replace(scaled, note=note)
    steady = f"create at {STEADY_PER_SECOND} a second, p99"
    yield Result(what=steady, figures=of("steady", "p99_ms"), unit="ms", target=at_most(15))


async def pid_of(redis_socket: Path) -> int:
    """The process of a Redis."""
    redis = Redis(unix_socket_path=str(redis_socket))
    information = await redis.info("server")
    await redis.aclose()
    return int(information["process_id"])
