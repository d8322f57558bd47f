"""Real nginx and Caddy with the examples of `deploy/`, in front of a real gateway."""

from __future__ import annotations

import io
import ssl
import subprocess
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import ClientError, ClientSession, TCPConnector

from gateway.outputs import output_key
from gateway.remote.objects import path_of
from tests.api.visitor import SKETCH, Visitor, open_gateway
from tests.free_ports import free_port
from tests.made_media import tone
from tests.proxies import NAME, caddy, certificate, nginx
from tests.until import until

CLIENT = "127.0.0.2"  # this machine too, and not the address of the proxy
SECONDS_OF_SOUND = 240  # 23 MB: more than any proxy's buffers
LARGE_OUTPUT_BYTES = 116 * 2**20  # more than clients may send


@asynccontextmanager
async def behind(
    make: Callable[[Path, int, int], list[str]], redis_url: str, folder: Path
) -> AsyncIterator[tuple[Visitor, ClientSession, str]]:
    """A gateway, a client at another address, and the proxy's address."""
    port = free_port()
    certificate(folder)
    async with open_gateway(redis_url, folder, public_url=f"https://{NAME}", trusted_proxies="127.0.0.1/32") as gateway:
        command = make(folder, int(gateway.address.rpartition(":")[2]), port)
        trusted = ssl.create_default_context(cafile=str(folder / "fullchain.pem"))
        log = (folder / "proxy.log").open("wb")
        process = subprocess.Popen(  # noqa: ASYNC220 - starting it takes a moment, once
            command, stdout=log, stderr=log, env={"HOME": str(folder), "PATH": "/usr/bin"}
        )
        try:
            connector = TCPConnector(ssl=trusted, local_addr=(CLIENT, 0))
            async with ClientSession(connector=connector) as client:
                address = f"https://127.0.0.1:{port}"

                async def answers() -> bool:
                    assert process.poll() is None, (folder / "proxy.log").read_text()
                    try:
                        async with client.get(f"{address}/healthz", server_hostname=NAME, headers=HOST) as response:
                            return response.status == 200
                    except ClientError:
                        return False

                await until(answers)
                yield gateway, client, address
        finally:
            process.kill()  # nginx once took no SIGTERM here; it leaves nothing that is needed
            process.wait()
            log.close()


HOST = {"Host": NAME}


@pytest.mark.parametrize("proxy", [nginx, caddy])
async def test_events_pass_at_once_large_uploads_pass_and_the_client_is_who_it_is(
    proxy: Callable[[Path, int, int], list[str]], redis_url: str, tmp_path: Path
) -> None:
    async with behind(proxy, redis_url, tmp_path) as (gateway, client, address):
        key = await gateway.account()
        mine = {**HOST, "Authorization": f"Bearer {key}"}

        async with client.get(f"{address}/v1/events", server_hostname=NAME, headers=mine) as events:
            assert await events.content.readline() == b"retry: 2000\n"
            made = await gateway.call("POST", "/v1/generations", key, SKETCH)
            async for line in events.content:  # it is still open: what is buffered would never come
                if made.body["id"].encode() in line:
                    break

        sound = {**mine, "Content-Type": "audio/wav"}
        data = tone(seconds=SECONDS_OF_SOUND)
        async with client.post(
            f"{address}/v1/uploads", server_hostname=NAME, headers=sound, data=io.BytesIO(data)
        ) as uploaded:
            assert uploaded.status == 201, await uploaded.text()

        pretended = {**HOST, "Authorization": f"Bearer {gateway.admin}", "X-Forwarded-For": "203.0.113.7"}
        grant = {"bucket": "top_up", "credits": 1, "reason": "a test"}
        grants = f"{address}/v1/admin/accounts/acme/grants"
        async with client.post(grants, server_hostname=NAME, headers=pretended, json=grant) as granted:
            assert granted.status == 201, await granted.text()
        entries = (await gateway.call("GET", "/v1/admin/audit-log?action=grantCredits", gateway.admin)).body["data"]
        assert [entry["address"] for entry in entries] == [CLIENT]

        async with client.get(f"{address}/metrics", server_hostname=NAME, headers=HOST) as metrics:
            assert metrics.status == 404
        await gateway.begin(made.body["id"])  # a worker writes outputs of running attempts only
        output = f"{address}{path_of(output_key(made.body['id'], 1, 0, 'image/png'))}"
        worker = {**HOST, "Authorization": f"Bearer {await gateway.operator_key('worker')}"}
        large = io.BytesIO(bytes(LARGE_OUTPUT_BYTES))
        async with client.put(output, server_hostname=NAME, headers=worker, data=large) as stored:
            assert stored.status == 200, await stored.text()
