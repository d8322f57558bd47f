"""Real nginx and Caddy with the examples of `deploy/`, in front of a real gateway."""

from __future__ import annotations

import datetime as dt
import io
import shutil
import ssl
import subprocess
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import ClientError, ClientSession, TCPConnector
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from tests.api.visitor import SKETCH, Visitor, open_gateway
from tests.free_ports import free_port
from tests.made_media import tone
from tests.missing import not_run
from tests.until import until

DEPLOY = Path(__file__).parents[2] / "deploy"
NAME = "farebox.example.com"
CLIENT = "127.0.0.2"  # this machine too, and not the address of the proxy
SECONDS_OF_SOUND = 240  # 23 MB: more than any proxy's buffers


def program(name: str) -> str:
    found = shutil.which(name, path="/usr/sbin:/usr/bin:/sbin:/bin:/usr/local/bin")
    if found is None:
        not_run(f"{name} is not installed: apt-get install {name}")
    return found


def certificate(folder: Path) -> None:
    """A certificate of its own making, as `fullchain.pem` and `privkey.pem`."""
    key, name = ec.generate_private_key(ec.SECP256R1()), x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, NAME)])
    now = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(NAME)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    (folder / "fullchain.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    (folder / "privkey.pem").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )


def nginx(folder: Path, gateway: int, port: int) -> list[str]:
    text = (DEPLOY / "nginx" / "farebox.conf").read_text()
    for before, after in {
        "127.0.0.1:8080": f"127.0.0.1:{gateway}",
        "    listen [::]:443 ssl http2;\n": "",
        "    listen [::]:80;\n": "",
        "listen 443": f"listen 127.0.0.1:{port}",
        "listen 80;": f"listen 127.0.0.1:{free_port()};",
        f"/etc/letsencrypt/live/{NAME}": str(folder),
    }.items():
        assert before in text, f"the example has changed: {before}"
        text = text.replace(before, after)
    temporary = " ".join(
        f"{kind}_temp_path {folder}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    (folder / "farebox.conf").write_text(text)
    (folder / "nginx.conf").write_text(
        f"daemon off; master_process off; pid {folder}/pid; error_log {folder}/error.log; \n"
        f"events {{}}\nhttp {{ access_log off; {temporary} include {folder}/farebox.conf; }}\n"
    )
    return [program("nginx"), "-p", str(folder), "-e", f"{folder}/error.log", "-c", f"{folder}/nginx.conf"]


def caddy(folder: Path, gateway: int, port: int) -> list[str]:
    text = (DEPLOY / "caddy" / "Caddyfile").read_text()
    for before, after in {
        "127.0.0.1:8080": f"127.0.0.1:{gateway}",
        f"{NAME} {{": (
            f"{{\n\tadmin off\n\tauto_https off\n}}\n\nhttps://{NAME}:{port} {{\n"
            f"\tbind 127.0.0.1\n\ttls {folder}/fullchain.pem {folder}/privkey.pem"
        ),
    }.items():
        assert before in text, f"the example has changed: {before}"
        text = text.replace(before, after)
    (folder / "Caddyfile").write_text(text)
    return [program("caddy"), "run", "--config", f"{folder}/Caddyfile"]


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
