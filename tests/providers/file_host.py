"""Vendors whose outputs are at another host than their API, which a key must never reach."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import ClassVar

from aiohttp import web

from tests.providers.vendor import Vendor
from tests.until import until


@dataclass
class FileHost:
    """Gives files by their digests. `open`: only these are handed out, the others not before it is None."""

    files: dict[str, bytes] = field(default_factory=dict)
    open: list[bytes] | None = None
    keys_seen: int = 0
    port: int = 0
    _runner: web.AppRunner | None = None

    def give(self, data: bytes) -> str:
        """The address of a file."""
        name = hashlib.sha256(data).hexdigest()
        self.files[name] = data
        return f"http://127.0.0.1:{self.port}/{name}.png?signature=a%2Fb~c"

    async def up(self) -> None:
        app = web.Application()
        app.router.add_get("/{name}.png", self.get)
        self._runner = web.AppRunner(app, shutdown_timeout=0)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self.port, reuse_address=True).start()
        self.port = self._runner.addresses[0][1]

    async def down(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    async def get(self, request: web.Request) -> web.Response:
        if "Authorization" in request.headers:
            self.keys_seen += 1
            return web.Response(status=400, text="Only one auth mechanism allowed")
        data = self.files.get(request.match_info["name"])
        if data is None or request.rel_url.raw_query_string != "signature=a%2Fb~c":
            return web.Response(status=403)
        await until(lambda: not (self.open is not None and data not in self.open))
        return web.Response(body=data, content_type="image/png")


@dataclass
class HostedVendor(Vendor):
    """A vendor with a host for its files, without idempotency keys. `hooks`: for each job, where it is to call."""

    knows_keys: ClassVar[bool] = False

    hooks: dict[str, str] = field(default_factory=dict)
    hosted: FileHost = field(default_factory=FileHost)

    async def up(self) -> None:
        await self.hosted.up()
        await super().up()

    async def down(self) -> None:
        await super().down()
        await self.hosted.down()
