"""What a command says when the gateway that it calls cannot be used."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from gateway.client.calls import GatewayClient, GatewayUnreachable
from tests.proxies import certificate


async def test_a_certificate_that_is_not_trusted_is_named_and_what_to_do(tmp_path: Path) -> None:
    """It said that no gateway is responding, and to start one."""
    certificate(tmp_path, "127.0.0.1")
    own = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    own.load_cert_chain(tmp_path / "fullchain.pem", tmp_path / "privkey.pem")
    server = TestServer(web.Application(), scheme="https", host="127.0.0.1")
    await server.start_server(ssl=own)
    try:
        async with GatewayClient(str(server.make_url("/")), "a key") as client:
            with pytest.raises(GatewayUnreachable, match=r"certificate at https://.* is not trusted") as refused:
                await client.call("GET", "/v1/balance")
    finally:
        await server.close()
    assert "SSL_CERT_FILE" in str(refused.value)
