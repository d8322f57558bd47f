"""Events leave the archive in order, at least once: over HTTP, and through a broker that speaks Kafka's protocol.

The broker is librdkafka's own mock cluster: real sockets, idempotent producers and groups, one process.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from confluent_kafka import Consumer, Producer
from prometheus_client import CollectorRegistry

from gateway.errors import SettingsError
from gateway.tasks import cancel
from tests.archive.archived import Archived
from workers.exporting.exporter import CURSOR, REFUSED, Exporter, ExportFigures
from workers.exporting.sinks import Sink, kafka_options, open_sink

SOURCE = "https://farebox.example"


class Receiver:
    """Accepts events, or refuses some batches first."""

    def __init__(self) -> None:
        self.events: list[dict[str, Any]] = []
        self.headers: list[Any] = []
        self.refuses = 0

    async def take(self, request: web.Request) -> web.Response:
        self.headers.append(request.headers.copy())
        if self.refuses:
            self.refuses -= 1
            return web.Response(status=503)
        self.events += await request.json()
        return web.Response(status=204)


@pytest.fixture
async def receiver() -> AsyncIterator[tuple[Receiver, str]]:
    made, app = Receiver(), web.Application()
    app.router.add_post("/events", made.take)
    async with TestServer(app) as server:
        yield made, str(server.make_url("/events"))


async def exporting(archived: Archived, sink: Sink) -> asyncio.Task[None]:
    exporter = Exporter(
        archived.archivist.url,
        SOURCE,
        sink,
        ExportFigures(CollectorRegistry()),
        idle_seconds=0.02,
        again_seconds=(0.01,),
    )
    return asyncio.create_task(exporter.run())


async def until(events: list[Any], number: int) -> None:
    while len(events) < number:
        await asyncio.sleep(0.02)


async def until_noted(archived: Archived) -> None:
    """Return when the exporter has noted the last entry as sent: what it has not noted it sends again."""
    numbers = "SELECT max(number)::text AS last, (SELECT value::text FROM farebox.state WHERE name = $1) AS noted"
    while True:
        row = await archived.row(f"{numbers} FROM farebox.entries", CURSOR)
        if row["last"] == row["noted"]:
            return
        await asyncio.sleep(0.02)


async def test_each_entry_is_an_event_in_order_and_refused_ones_are_sent_again(
    archived: Archived, receiver: tuple[Receiver, str]
) -> None:
    made, url = receiver
    made.refuses = 2
    world = archived.world
    for account in ("ann", "bob"):
        await world.account(account)
        await world.finish(await world.spend(1_000, account))
    await archived.copy()
    task = await exporting(archived, open_sink(url, "a-token"))
    entries = {one: await world.journal(one) for one in ("ann", "bob")}
    await until(made.events, sum(map(len, entries.values())))
    await until_noted(archived)
    await cancel(task)
    assert await archived.row("SELECT FROM farebox.state WHERE name = $1", REFUSED) is None, "they are accepted again"
    assert {headers["Authorization"] for headers in made.headers} == {"Bearer a-token"}
    assert {headers["Content-Type"] for headers in made.headers} == {"application/cloudevents-batch+json"}
    for account, journal in entries.items():
        mine = [event for event in made.events if event["subject"] == account]
        assert [event["id"] for event in mine] == [str(entry.id) for entry in journal]
        assert [event["type"] for event in mine] == [f"farebox.{entry.kind}" for entry in journal]
        assert {event["source"] for event in mine} == {f"{SOURCE}/accounts/{account}"}
        assert mine[-1]["data"]["kind"] == "commit"
        assert mine[-1]["data"]["held"] == -1
        assert mine[-1]["specversion"] == "1.0"


async def test_it_goes_on_after_the_last_that_was_accepted(archived: Archived, receiver: tuple[Receiver, str]) -> None:
    made, url = receiver
    world = archived.world
    await world.grant()
    await archived.copy()
    task = await exporting(archived, open_sink(url, None))
    await until(made.events, 2)
    await until_noted(archived)
    await cancel(task)
    await world.grant()
    await archived.copy()
    await archived.connection.fetch(  # a transaction that failed leaves a gap wider than what is read at once
        "SELECT setval(pg_get_serial_sequence('farebox.entries', 'number'), 100000)"
    )
    await world.grant()
    await archived.copy()
    task = await exporting(archived, open_sink(url, None))
    await until(made.events, 4)
    await cancel(task)
    assert [event["id"] for event in made.events] == ["1", "2", "3", "4"]


async def test_since_when_a_receiver_refuses_is_noted_until_it_accepts(
    archived: Archived, receiver: tuple[Receiver, str]
) -> None:
    made, url = receiver
    made.refuses = 1_000_000
    await archived.copy()
    task = await exporting(archived, open_sink(url, None))
    statement = "SELECT value::text AS value FROM farebox.state WHERE name = $1"
    while (row := await archived.row(statement, REFUSED)) is None:
        await asyncio.sleep(0.02)
    assert json.loads(row["value"])["error"] == "the receiver answered 503"
    seen = len(made.headers)
    while len(made.headers) < seen + 2:
        await asyncio.sleep(0.02)
    assert (await archived.row(statement, REFUSED))["value"] == row["value"], "the first of a series"
    made.refuses = 0
    await until_noted(archived)
    await cancel(task)
    assert await archived.row(statement, REFUSED) is None


async def test_through_kafka_an_accounts_events_are_in_one_partition_in_order(archived: Archived) -> None:
    broker = Producer({"bootstrap.servers": "none", "test.mock.num.brokers": 3, "log_level": 0})
    servers = [f"{one.host}:{one.port}" for one in broker.list_topics(timeout=60).brokers.values()]
    world = archived.world
    for _ in range(20):
        await world.grant()
    await archived.copy()
    task = await exporting(archived, open_sink(f"kafka://{','.join(servers)}/journal", None))
    consumer = Consumer({"bootstrap.servers": servers[0], "group.id": "test", "auto.offset.reset": "earliest"})
    consumer.subscribe(["journal"])
    found: list[Any] = []
    while len(found) < 21:
        message = await asyncio.to_thread(consumer.poll, 0.2)
        if message is not None and message.error() is None:
            found.append(message)
    await cancel(task)
    consumer.close()
    assert [json.loads(one.value())["id"] for one in found] == [str(number) for number in range(1, 22)]
    assert {one.key() for one in found} == {b"ann"}
    assert len({one.partition() for one in found}) == 1
    assert dict(found[0].headers())["content-type"].startswith(b"application/cloudevents+json")


def test_kafka_urls() -> None:
    options, topic = kafka_options("kafka+ssl://user:p%40ss@a:9092,b:9092/journal")
    assert topic == "journal"
    assert options["bootstrap_servers"] == ["a:9092", "b:9092"]
    assert (options["security_protocol"], options["sasl_plain_password"]) == ("SASL_SSL", "p@ss")
    for wrong in ("kafka://a:9092", "kafka:///topic", "kafka://a:9092/a/b"):
        with pytest.raises(SettingsError, match="FAREBOX_EVENTS_URL"):
            kafka_options(wrong)
