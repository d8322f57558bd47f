"""Slow clients are cut off, and so are more of them than there is room for; whoever is not slow is served meanwhile.

The limits are made small here. Where a client waits for its end it waits as long as the test may run.
"""

from __future__ import annotations

import asyncio
import gzip
import json
import resource
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import structlog
from aiohttp import StreamReader

from gateway.api import limits, services
from gateway.api.middleware import server
from gateway.api.streams import event_stream
from tests.api.visitor import SKETCH, Visitor, open_gateway
from tests.made_media import picture
from tests.until import until


class Client:
    """A client that says what it likes, as slowly as it likes, and may leave unread what it is sent."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def say(self, text: str) -> None:
        await self.send(text.encode())

    async def send(self, data: bytes) -> None:
        self._writer.write(data)
        await self._writer.drain()

    async def dribble(self, text: str) -> None:
        """Say the same again and again until the connection is gone."""
        while not self._reader.at_eof():
            try:
                await self.say(text)
            except ConnectionError:
                return
            await asyncio.sleep(0.02)

    async def answer(self) -> tuple[int, dict[str, str], bytes]:
        """The next answer's status, headers (in lower case) and body."""
        head = (await self._reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:] if line)}
        return int(head[0].split()[1]), headers, await self._reader.readexactly(int(headers["content-length"]))

    async def begun(self) -> int:
        """The status of an answer that does not end, such as a stream."""
        return int((await self._reader.readuntil(b"\r\n\r\n")).split()[1])

    async def ended(self) -> bytes:
        """What else comes, once the other side has ended the connection."""
        try:
            return await self._reader.read()
        except ConnectionResetError:
            return b""


@asynccontextmanager
async def connected(gateway: Visitor, read_bytes: int | None = None) -> AsyncIterator[Client]:
    """A connection; with `read_bytes` its buffers hold about so much, so that an answer is soon stuck."""
    host, port = gateway.address.removeprefix("http://").split(":")
    made = socket.socket()
    if read_bytes is not None:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, read_bytes)
    made.setblocking(False)  # noqa: FBT003 - socket takes no keyword
    await asyncio.get_running_loop().sock_connect(made, (host, int(port)))
    reader, writer = await asyncio.open_connection(sock=made, limit=read_bytes or 2**16)
    try:
        yield Client(reader, writer)
    finally:
        writer.transport.abort()


@pytest.fixture
async def hasty(redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Visitor]:
    """A gateway that waits half a second for anything."""
    for name in ("HEAD_SECONDS", "BODY_SECONDS", "READ_SECONDS", "LINGER_SECONDS"):
        monkeypatch.setattr(limits, name, 0.5)
    async with open_gateway(redis_url, tmp_path) as visitor:
        yield visitor


async def is_served(gateway: Visitor, key: str) -> bool:
    return (await gateway.call("GET", "/v1/balance", key)).status == 200


async def test_headers_that_never_end_end_the_connection(hasty: Visitor) -> None:
    key = await hasty.account()
    async with connected(hasty) as silent, connected(hasty) as slow:
        await slow.say("GET /healthz HTTP/1.1\r\nHost: x\r\n")
        dribbling = asyncio.create_task(slow.dribble("X-A: b\r\n"))
        assert await is_served(hasty, key)
        assert await silent.ended() == b""
        assert await slow.ended() == b""
        await dribbling
    assert await is_served(hasty, key)


async def test_a_second_request_that_never_ends_ends_the_connection(hasty: Visitor) -> None:
    async with connected(hasty) as client:
        await client.say("GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        assert (await client.answer())[0] == 200
        await client.say("GET /healthz HTTP/1.1\r\n")
        dribbling = asyncio.create_task(client.dribble("X-A: b\r\n"))
        assert await client.ended() == b""
        await dribbling


async def test_a_slow_body_gets_408_and_is_closed(hasty: Visitor) -> None:
    key = await hasty.account()
    async with connected(hasty) as client:
        await client.say(
            f"POST /v1/quotes HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\r\nContent-Length: 100000\r\n\r\n"
        )
        dribbling = asyncio.create_task(client.dribble(" "))
        assert await is_served(hasty, key)
        status, headers, body = await client.answer()
        error = json.loads(body)["error"]
        assert (status, error["code"]) == (408, "body_too_slow")
        assert headers["x-request-id"] == error["request_id"]
        assert headers["connection"] == "close"
        assert await client.ended() == b""
        await dribbling


UPLOAD = "POST /v1/uploads HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\r\nContent-Type: image/png\r\n"


async def test_a_slow_upload_gets_408_and_is_closed(hasty: Visitor) -> None:
    key = await hasty.account()
    async with connected(hasty) as client:
        await client.say(UPLOAD.format(key=key) + "Content-Length: 50000000\r\n\r\n")
        dribbling = asyncio.create_task(client.dribble("x"))
        assert await is_served(hasty, key)
        status, headers, body = await client.answer()
        assert (status, json.loads(body)["error"]["code"]) == (408, "body_too_slow")
        assert headers["connection"] == "close"
        assert await client.ended() == b""
        await dribbling
    assert not hasty.app[services.INTAKE].coming_in


FORM = (
    "POST /openai/v1/videos HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\r\n"
    "Content-Type: multipart/form-data; boundary=b\r\n"
)


@pytest.mark.parametrize(
    "sent",
    [
        "",
        "before the first part",
        "--b\r\nContent-Disposition: form-data;",
        '--b\r\nContent-Disposition: form-data; name="x"\r\n\r\n',
    ],
    ids=["nothing", "preamble", "head of a part", "part"],
)
async def test_a_form_that_stalls_anywhere_gets_408_and_is_closed(hasty: Visitor, sent: str) -> None:
    """Between its parts it was waited for without end, and held one of its account's places for uploads."""
    key = await hasty.account()
    async with connected(hasty) as client:
        await client.say(FORM.format(key=key) + "Content-Length: 5000\r\n\r\n" + sent)
        status, headers, body = await client.answer()
        assert (status, json.loads(body)["error"]["code"]) == (408, "body_too_slow")
        assert headers["connection"] == "close"
    assert not hasty.app[services.INTAKE].coming_in


async def test_an_upload_that_is_slow_but_steady_is_taken(hasty: Visitor, monkeypatch: pytest.MonkeyPatch) -> None:
    """All of it takes longer than a body may, but what has come pays for what is to come."""
    data = picture("PNG", width=128, height=128)
    steps = 16
    monkeypatch.setattr(limits, "UPLOAD_BYTES_PER_SECOND", len(data) / steps / 20)  # each step pays for 20 seconds
    key = await hasty.account()
    parts = [data[step * len(data) // steps : (step + 1) * len(data) // steps] for step in range(steps)]
    async with connected(hasty) as client:
        await client.send((UPLOAD.format(key=key) + f"Content-Length: {len(data)}\r\n\r\n").encode() + parts[0])
        for part in parts[1:]:
            await asyncio.sleep(1.5 * limits.BODY_SECONDS / len(parts))
            await client.send(part)
        assert (await client.answer())[0] == 201


async def test_an_upload_that_says_it_is_too_large_is_refused_before_it_is_sent(hasty: Visitor) -> None:
    key = await hasty.account()
    async with connected(hasty) as client:
        size = limits.UPLOAD_MAX_BYTES + 1
        await client.say(UPLOAD.format(key=key) + f"Content-Length: {size}\r\n\r\n")
        status, _, body = await client.answer()
        assert (status, json.loads(body)["error"]["code"]) == (413, "body_too_large")
        assert await client.ended() == b"", "nobody waits for the rest"


async def test_an_upload_whose_client_goes_away_leaves_nothing(hasty: Visitor, tmp_path: Path) -> None:
    key = await hasty.account()
    async with connected(hasty) as client:
        await client.say(UPLOAD.format(key=key) + "Content-Length: 50000000\r\n\r\nxxx")
        await until(lambda: hasty.app[services.INTAKE].coming_in)
    await until(lambda: not hasty.app[services.INTAKE].coming_in)
    assert {path.name for path in (tmp_path / "data").iterdir()} <= {"admin-key", "signing-key", "outputs"}
    assert not list((tmp_path / "data" / "outputs").iterdir())


async def test_a_rejected_body_is_not_awaited(hasty: Visitor) -> None:
    async with connected(hasty) as client:
        await client.say("POST /v1/quotes HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n")
        dribbling = asyncio.create_task(client.dribble(" "))
        assert (await client.answer())[0] == 401
        assert await client.ended() == b""
        await dribbling


async def test_a_client_that_does_not_read_its_events_is_cut_off(
    hasty: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(event_stream, "RETRY_MS", "9" * 10_000_000)  # more than all buffers on the way hold
    key = await hasty.account()
    with structlog.testing.capture_logs() as lines:
        async with connected(hasty, read_bytes=4096) as client:
            await client.say(f"GET /v1/events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\r\n\r\n")
            await until(lambda: hasty.app[services.HUB].watched)
            assert await is_served(hasty, key)
            await until(lambda: not hasty.app[services.HUB].watched)
            assert "client_cut_off" in [line["event"] for line in lines]
            assert len(await client.ended()) < 10_000_000
    assert await is_served(hasty, key)


async def test_a_client_that_does_not_read_its_output_is_cut_off(hasty: Visitor) -> None:
    key = await hasty.account()
    generation = await hasty.made(key)
    await hasty.begin(generation)
    await hasty.deliver(generation, data=bytes(20_000_000))
    await hasty.settle(generation)
    request = f"GET /v1/generations/{generation}/outputs/0 HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\r\n\r\n"
    with structlog.testing.capture_logs() as lines:
        async with connected(hasty, read_bytes=4096) as client:
            await client.say(request)
            assert await is_served(hasty, key)
            await until(lambda: "client_cut_off" in [line["event"] for line in lines])
            assert len(await client.ended()) < 20_000_000


async def test_a_client_that_reads_slowly_but_reads_gets_all_of_it(
    hasty: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It takes longer than a client may read nothing, and the answer is stuck now and then, but never for so long."""
    size = 30_000_000  # more than all buffers on the way hold
    stuck: list[None] = []
    pause = server.ClientConnection.pause_writing

    def noted_pause(connection: server.ClientConnection) -> None:
        stuck.append(None)
        pause(connection)

    monkeypatch.setattr(server.ClientConnection, "pause_writing", noted_pause)
    monkeypatch.setattr(limits, "READ_SECONDS", 2.5)  # all of it takes three seconds at least
    key = await hasty.account()
    generation = await hasty.made(key)
    await hasty.begin(generation)
    await hasty.deliver(generation, data=bytes(size))
    await hasty.settle(generation)
    async with hasty.session.get(
        f"{hasty.address}/v1/generations/{generation}/outputs/0", headers={"Authorization": f"Bearer {key}"}
    ) as response:
        read = 0
        while read < size:
            read += len(await response.content.readexactly(1_000_000))
            await asyncio.sleep(0.1)
    assert stuck


async def test_more_clients_than_there_is_room_for_are_turned_away(
    redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "connections_max", lambda: 3)
    async with open_gateway(redis_url, tmp_path) as gateway:
        key = await gateway.account()  # one connection, kept open
        async with connected(gateway) as first, connected(gateway) as second:
            for one in (first, second):
                await one.say("GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
                assert (await one.answer())[0] == 200
            async with connected(gateway) as one_too_many:
                assert await one_too_many.ended() == b""
            assert await is_served(gateway, key)
            await first.say("GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
            assert (await first.answer())[0] == 200
        assert (await gateway.call("POST", "/v1/quotes", key, SKETCH)).status == 200


def test_the_gateway_keeps_file_descriptors_for_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    for files, clients in ((256, 128), (1024, 768), (1_048_576, 1_048_320)):
        monkeypatch.setattr(resource, "getrlimit", lambda _, files=files: (files, files))
        assert server.connections_max() == clients


async def test_the_rest_of_a_rejected_compressed_body_is_not_decompressed(
    hasty: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever has no key is refused at once, and yet all that he had sent was read to be thrown away.

    Packed, that is work: each 200 KB of his cost the gateway a third of a second in which it answered nobody, so that
    less than a megabyte a second, from a stranger, kept it busy for good.
    """
    unpacked: list[int] = []
    feed = StreamReader.feed_data

    def counted(self: StreamReader, data: bytes, *others: int) -> bool:
        unpacked.append(len(data))
        return feed(self, data, *others)

    monkeypatch.setattr(StreamReader, "feed_data", counted)
    monkeypatch.setattr(limits, "PACKED_LINGER_SECONDS", 0.05)
    bomb = gzip.compress(bytes(100_000_000))
    async with connected(hasty) as client:
        head = f"POST /v1/quotes HTTP/1.1\r\nHost: x\r\nContent-Encoding: gzip\r\nContent-Length: {len(bomb)}\r\n\r\n"
        await client.send(head.encode() + bomb)
        status, headers, _ = await client.answer()
        assert (status, headers["connection"]) == (401, "close")
        assert await client.ended() == b""
    assert sum(unpacked) < 10_000_000
    assert await is_served(hasty, await hasty.account())


async def test_behind_a_trusted_proxy_its_clients_are_bound_one_by_one(redis_url: str, tmp_path: Path) -> None:
    """They all have the proxy's address: bound by that, one of them would use up the others' share."""
    async with open_gateway(redis_url, tmp_path, trusted_proxies="127.0.0.0/8", connections_per_address=1) as gateway:
        key = await gateway.account()
        follow = (
            f"GET /v1/events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\r\nX-Forwarded-For: 192.0.2.1\r\n\r\n"
        )
        async with connected(gateway) as following:
            await following.say(follow)
            assert await following.begun() == 200
            for client, path, status in (
                ("192.0.2.1", "/v1/balance", 429),
                ("192.0.2.1", "/healthz", 200),
                ("192.0.2.2", "/v1/balance", 200),
                ("192.0.2.1, 192.0.2.2", "/v1/balance", 200),
                ("192.0.2.2, 192.0.2.1", "/v1/balance", 429),
            ):
                reply = await gateway.call("GET", path, key, headers={"X-Forwarded-For": client})
                assert reply.status == status, (client, path)
            assert reply.code == "rate_limited"
            assert reply.headers["Retry-After"] == "5"
            assert reply.headers["X-Request-Id"].startswith("req_")
