"""Workers without Redis (`farebox worker TOOL --via URL`): all they do goes through the gateway."""

from __future__ import annotations

import ast
import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import pytest

from gateway.api import limits
from gateway.api.services import CALLBACK_LINKS, OUTPUTS, QUEUE
from gateway.client import calls
from gateway.client.calls import GatewayClient, GatewayUnreachable
from gateway.domain import Cost, State, generation_id, operation_id
from gateway.ledger import outcomes
from gateway.ledger.audit import audit
from gateway.outputs import OutputStore, output_key
from gateway.pricing.reload import RateCards
from gateway.remote.calls import CALLS
from tests.api.visitor import CARD, Visitor, open_gateway, open_stream
from tests.lengths import LONG
from tests.preforked import Forked
from tests.until import until
from workers.provider_registry import ProviderRegistry
from workers.remote.connection import CallRefused, GatewayConnection
from workers.remote.stand_ins import (
    RemoteCallbacks,
    RemoteDispatcher,
    RemoteJobTimes,
    RemoteLedger,
    RemoteQueue,
    RemoteStore,
)

ROOT = Path(__file__).parents[2]

PUBLIC_URL = "https://farebox.example.com"
AT_ONCE = 300 if LONG else 30
LEASE_SECONDS = 15.0 if LONG else 3.0  # renewed three times as often, by each


class Cut:
    """A network between a worker and its gateway, which can be cut off."""

    def __init__(self, address: str) -> None:
        self._to = urlsplit(address)
        self._open: set[asyncio.Task[None]] = set()
        self._whole = True
        self.address = ""

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[Cut]:
        async with await asyncio.start_server(self._pass_on, "127.0.0.1", 0) as server:
            host, port = server.sockets[0].getsockname()
            self.address = f"http://{host}:{port}"
            yield self
            self.off()

    def off(self) -> None:
        """End every connection, and accept none."""
        self._whole = False
        for one in self._open:
            one.cancel()

    def on(self) -> None:
        self._whole = True

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if not self._whole:
            writer.transport.abort()
            return
        their_reader, their_writer = await asyncio.open_connection(self._to.hostname, self._to.port)
        ways = [asyncio.create_task(_copy(*way)) for way in ((reader, their_writer), (their_reader, writer))]
        self._open.update(ways)
        await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        for one in ways:
            one.cancel()
        self._open.difference_update(ways)
        for each in (writer, their_writer):
            each.transport.abort()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()


@pytest.fixture
async def gateway(redis_url: str, tmp_path: Path) -> AsyncIterator[Visitor]:
    """One with room for everything that a test orders."""
    card = CARD.read_text().replace("concurrency = { image = 2, video = 1 }", f"concurrency = {{ image = {AT_ONCE} }}")
    card = card.replace(
        "[tools.image]\n", "[tools.image]\nattempts_max = 20\n"
    )  # a busy machine may lose a lease again
    (tmp_path / "pricing.toml").write_text(card)
    settings: dict[str, Any] = {"lease_seconds": LEASE_SECONDS, "dispatch_seconds": 0.2, "public_url": PUBLIC_URL}
    async with open_gateway(redis_url, tmp_path, **settings) as gateway:
        yield gateway


@asynccontextmanager
async def running(command: str, *arguments: str, folder: Path, **environment: str) -> AsyncIterator[Forked]:
    """A process of ours, killed in the end. Its log is shown if the test fails."""
    log, known = folder / f"{command}.log", {"FAREBOX_LEASE_SECONDS": str(LEASE_SECONDS)}
    process = Forked.start(command, arguments, {**os.environ, **known, **environment}, log)
    try:
        yield process
    finally:
        process.kill()
        await asyncio.to_thread(process.wait)
        print(log.read_text())  # noqa: T201


def where(folder: Path, key: str) -> dict[str, str]:
    """The environment of such a worker: a card and a key, and a Redis that does not exist."""
    return {
        "FAREBOX_RATE_CARD": str(folder / "pricing.toml"),
        "FAREBOX_DATA": str(folder / "remote"),
        "FAREBOX_WORKER_KEY": key,
        "FAREBOX_LEDGER_URL": "redis://127.0.0.1:1",
    }


async def test_cut_off_for_longer_than_a_lease_it_loses_nothing(
    gateway: Visitor, redis_url: str, tmp_path: Path
) -> None:
    key = await gateway.account()
    await gateway.grant(10_000)
    controls: dict[str, Any] = {"sandbox": {"delay_seconds": 6}, "settings": {"strength": 0.25}}
    made = [await gateway.made(key, **controls) for _ in range(AT_ONCE)]
    worker = where(tmp_path, await gateway.operator_key("worker"))

    async def running_are(count: int) -> bool:
        return (await gateway.ledger.totals()).running.get("image", 0) == count

    async def none_is_open() -> bool:
        return (await gateway.ledger.totals()).open == 0

    async with (
        Cut(gateway.address).listening() as network,
        running("worker", "image", "--jobs", str(AT_ONCE), "--via", network.address, folder=tmp_path, **worker),
        running("caretaker", folder=tmp_path, FAREBOX_LEDGER_URL=redis_url, FAREBOX_DATA=str(tmp_path / "data")),
    ):
        await until(lambda: running_are(AT_ONCE))
        network.off()
        await until(lambda: running_are(0))  # a caretaker took them away
        network.on()
        await until(none_is_open)
    balance = (await gateway.call("GET", "/v1/balance", key)).body
    assert (balance["available"], balance["held"]) == (10_100 - 5 * AT_ONCE, 0)
    assert not (await audit(gateway.ledger)).differences
    for one in made:
        generation = await gateway.ledger.generation(generation=one)
        assert isinstance(generation, outcomes.Generation)
        assert generation.state is State.SUCCEEDED
        (output,) = generation.outputs
        assert len(await gateway.app[OUTPUTS].get(output.object_key)) == output.bytes


async def test_a_cancel_reaches_it_at_once_and_so_do_stop_jobs(gateway: Visitor, tmp_path: Path) -> None:
    key, worker_key = await gateway.account(), await gateway.operator_key("worker")
    patient = where(tmp_path, worker_key) | {"FAREBOX_LEASE_SECONDS": "3600"}  # no renewal would tell it
    gateway.ledger.lease_ms = 3_600_000
    async with running("worker", "image", "--via", gateway.address, folder=tmp_path, **patient):
        generation = await gateway.made(key, sandbox={"hang": True})

        async def has(state: str) -> bool:
            return bool((await gateway.call("GET", f"/v1/generations/{generation}", key)).body["status"] == state)

        await until(lambda: has("running"))
        await gateway.call("POST", f"/v1/generations/{generation}/cancel", key)
        await until(lambda: has("cancelled"))
        queue = gateway.app[QUEUE]
        await queue.stop(tool="image", generation=generation, ref="a job that is gone")

        async def is_done() -> bool:
            return not await queue.redis.exists("farebox:queue:image")

        await until(is_done)
    assert "job_crashed" not in (tmp_path / "worker.log").read_text()


async def test_it_waits_for_a_store_that_takes_longer_than_any_call(
    gateway: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It hung up after half a minute and sent the file again, and so it went on until the generation's time was up."""
    worker, made = await gateway.operator_key("worker"), await gateway.made(await gateway.account())
    await gateway.begin(made)
    object_key, put_file = output_key(made, 1, 0, "image/png"), OutputStore.put_file
    asked, waited = asyncio.Event(), asyncio.Event()

    async def put_slowly(store: OutputStore, *arguments: Any) -> None:
        asked.set()
        await waited.wait()
        await put_file(store, *arguments)

    monkeypatch.setattr(OutputStore, "put_file", put_slowly)
    monkeypatch.setattr(calls, "_TIMEOUT", aiohttp.ClientTimeout(sock_read=0.01))
    async with GatewayClient(gateway.address, worker) as client:
        storing = asyncio.create_task(RemoteStore(client).put(object_key, b"picture"))
        await asyncio.wait({storing, asyncio.create_task(asked.wait())}, return_when=asyncio.FIRST_COMPLETED)
        with pytest.raises(GatewayUnreachable):
            await client.call("GET", "/v1/worker/checks")  # a stream: it has no end
        waited.set()
        await storing
    assert await gateway.app[OUTPUTS].get(object_key) == b"picture"


async def test_many_workers_of_one_key_are_told_what_to_check(
    gateway: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The streams of a key were counted: beyond 50 workers, a cancel reached the others only with a renewal."""
    monkeypatch.setattr(limits, "STREAMS_MAX", 1)
    worker, queue = await gateway.operator_key("worker"), gateway.app[QUEUE]
    async with (
        open_stream(gateway, "/v1/worker/checks", worker) as first,
        open_stream(gateway, "/v1/worker/checks", worker) as second,
    ):
        for stream in (first, second):
            told = asyncio.create_task(stream.until("check"))
            while not told.done():  # whoever has just connected may not be listening yet
                await queue.request_check(generation_id(0))
                await asyncio.wait([told], timeout=0.05)
            assert told.result().data.keys() == {"generation"}


async def test_a_generation_arrives_as_it_was_stored(gateway: Visitor) -> None:
    key = await gateway.account()
    made = await gateway.made(key, settings={"strength": 0.25}, metadata={"settings": {"decimal": "1"}, "n": 1.5})
    stored = await gateway.ledger.generation(generation=made)
    assert isinstance(stored, outcomes.Generation)
    async with GatewayClient(gateway.address, await gateway.operator_key("worker")) as client:
        ledger = RemoteLedger(GatewayConnection(client))
        assert await ledger.generation(generation=made) == stored
        assert stored.request.settings["strength"] == Decimal("0.25")
        operation = operation_id()
        begun = await ledger.begin(generation=made, attempt=1, operation=operation)
        assert isinstance(begun, outcomes.Begun)
        assert await ledger.begin(generation=made, attempt=1, operation=operation) == begun, "cut off and sent again"
        assert await ledger.note(generation=made, attempt=2, ref="x") == outcomes.Stale()
        assert not await ledger.paused_providers(generation=made, providers=["sandbox"])
    with pytest.raises(AttributeError, match="is no call"):
        await ledger.grant(account="acme")
    async with GatewayClient(gateway.address, key) as client:
        with pytest.raises(CallRefused, match="operator's key with the role worker"):
            await RemoteLedger(GatewayConnection(client)).time()


async def test_an_answer_of_another_version_is_named_without_what_is_in_it(
    gateway: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The library's message repeats the answer, and so a prompt would have been in the worker's log."""
    made = await gateway.made(await gateway.account(), prompt="a secret of mine")
    async with GatewayClient(gateway.address, await gateway.operator_key("worker")) as client:
        call = client.call

        async def of_another_version(*asked: Any) -> dict[str, Any]:
            answered = await call(*asked)
            del answered["value"]["state"]
            answered["value"]["request"]["outputs"] = "a secret of mine"
            return answered

        connection = GatewayConnection(client)
        monkeypatch.setattr(GatewayClient, "call", lambda _, *asked: of_another_version(*asked))
        with pytest.raises(CallRefused, match=r"ledger.generation: .*state: Field required") as refused:
            await RemoteLedger(connection).generation(generation=made)
    assert "secret" not in str(refused.value)


async def test_what_nobody_gets_is_booked_from_afar(gateway: Visitor) -> None:
    made = await gateway.finished(await gateway.account())
    async with GatewayClient(gateway.address, await gateway.operator_key("worker")) as client:
        ledger = RemoteLedger(GatewayConnection(client))
        for _ in range(2):  # cut off and sent again
            booked = await ledger.book_loss(generation=made, job="late", lost=[Cost("sandbox", 40_000, None)])
            assert booked == outcomes.Noted()
    day = (await gateway.call("GET", "/v1/ops/margin", gateway.admin)).body["last_day"]
    assert sum(row.margin.losses for row in await gateway.ledger.margin(days=[day])) == 40_000


def test_every_call_that_a_worker_makes_can_be_made_from_afar() -> None:
    """`book_loss` could not: an attempt that had lost its lease crashed, and a job that was left was not stopped."""
    afar = {"ledger": RemoteLedger, "queue": RemoteQueue, "job_times": RemoteJobTimes, "dispatcher": RemoteDispatcher}
    files = [*(ROOT / "workers" / "attempts").glob("*.py"), ROOT / "workers" / "context.py",
             ROOT / "workers" / "arq_worker.py", ROOT / "gateway" / "queue" / "follow_ups.py"]  # fmt: skip
    made = {call for file in files for call in _calls(ast.parse(file.read_text()))}
    only_caretakers = {("slots", "fill")}
    missing = {
        f"{kind}.{method}"
        for kind, method in made - only_caretakers
        if method not in CALLS[kind][1] and not hasattr(afar.get(kind), method)
    }
    assert {("ledger", "begin"), ("ledger", "book_loss"), ("slots", "hold"), ("queue", "claim")} <= made
    assert not missing


def _calls(module: ast.Module) -> Iterator[tuple[str, str]]:
    """Every method of a ledger, a queue and the like that is called or named: what it belongs to, and its name."""
    for node in ast.walk(module):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Attribute):
            kind = node.value.attr.removeprefix("_")
            if kind in CALLS and callable(getattr(CALLS[kind][0], node.attr, None)):
                yield kind, node.attr


async def test_providers_call_the_gateway_back_about_its_jobs(gateway: Visitor, tmp_path: Path) -> None:
    """They never did, so that it polled for each of them."""
    card = tmp_path / "remote.toml"
    card.write_text(f'{CARD.read_text()}\n[providers.gpus]\nkind = "http"\nbase_url = "https://gpus.example.com"\n')
    made = await gateway.made(await gateway.account())
    async with GatewayClient(gateway.address, await gateway.operator_key("worker")) as client:
        connection = GatewayConnection(client)
        stored = await RemoteLedger(connection).generation(generation=made)
        registry = ProviderRegistry(RateCards(card), RemoteStore(client), RemoteCallbacks(connection))
        there = replace(stored, request=replace(stored.request, provider="gpus"))
        url = (await registry.request(there, 1, ())).callback_url
        assert url is not None
        address, _, token = url.rpartition("/")
        assert address == f"{PUBLIC_URL}/v1/callbacks/gpus"
        assert gateway.app[CALLBACK_LINKS].open("gpus", token) == made
    async with GatewayClient(gateway.address, "fbx_nobody") as nobody:
        assert await RemoteCallbacks(GatewayConnection(nobody)).url("gpus", made) is None, "it polls then"


async def test_without_a_key_of_a_worker_it_says_so_and_ends(gateway: Visitor, tmp_path: Path) -> None:
    for key, said in (("", "FAREBOX_WORKER_KEY"), (await gateway.account(), "operator key worker")):
        environment = where(tmp_path, key)
        if not key:
            del environment["FAREBOX_WORKER_KEY"]
        async with running("worker", "image", "--via", gateway.address, folder=tmp_path, **environment) as process:
            assert await asyncio.to_thread(process.wait) == 1
        assert said in (tmp_path / "worker.log").read_text()
