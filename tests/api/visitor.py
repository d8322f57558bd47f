"""A client of a gateway under test, and the moves of a worker made directly on the ledger."""

from __future__ import annotations

import asyncio
import functools
import hashlib
import io
import json
import re
import secrets
import shutil
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

from aiohttp import ClientResponse, ClientSession, web
from prometheus_client.parser import text_string_to_metric_families

from gateway.api import services
from gateway.api.console import Console
from gateway.api.description.description import Description
from gateway.api.description.openapi import document
from gateway.api.middleware.server import Runner
from gateway.api.routes import ROUTES
from gateway.app import create_app
from gateway.domain import FailureCode, Output, Scope, operation_id
from gateway.ledger import outcomes
from gateway.ledger.key_records import AccountKey
from gateway.ledger.ledger import Ledger
from gateway.metering import Reports
from gateway.outputs import output_key
from gateway.queue import workforce
from gateway.queue.messages import ChangeNotice
from gateway.settings import Settings
from tests.until import until

CARD = Path(__file__).with_name("card.toml")
SKETCH = {"tool": "image", "model": "sketch", "prompt": "a red bicycle"}
PICTURE = bytes(range(256)) * 4


# What never changes while tests run, read for the first gateway only: a quarter of what it costs to open one.
console = functools.cache(Console.read)


@functools.cache
def description(address: str) -> Description:
    """What a gateway at this address says of itself."""
    return Description(lambda: document(ROUTES, address), console(address))


_GLUED = re.compile(r"[a-z)][.:;,][A-Z][a-z]")  # two sentences that were joined without a space


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer, read to its end."""

    status: int
    headers: Mapping[str, str]
    raw: bytes

    @property
    def body(self) -> Any:
        return json.loads(self.raw)

    @property
    def error(self) -> dict[str, Any]:
        """The envelope's inside; Replicate's form has it all at the top."""
        body: dict[str, Any] = self.body
        error: dict[str, Any] = body.get("error", body)
        return error

    @property
    def code(self) -> str:
        return str(self.error["code"])

    @property
    def message(self) -> str:
        return str(self.error["message"])

    @property
    def fields(self) -> list[str]:
        """The paths of the fields that are to blame."""
        return [field["path"] for field in self.error.get("fields", [])]


class Visitor:
    """Calls the gateway; `admin` is its root key."""

    def __init__(self, app: web.Application, address: str, session: ClientSession, admin: str) -> None:
        self.app = app
        self.address = address
        self.session = session
        self.admin = admin

    @property
    def ledger(self) -> Ledger:
        return self.app[services.LEDGER]

    async def call(
        self,
        method: str,
        path: str,
        key: str | None = None,
        body: Any = None,
        headers: Mapping[str, str] | None = None,
        *,
        raw: bytes | None = None,
    ) -> Reply:
        """One request with `key`; `body` is sent as JSON, `raw` as it is."""
        data = raw if raw is not None else None if body is None else json.dumps(body).encode()
        sent = dict(headers or {}) | ({"Authorization": f"Bearer {key}"} if key else {})
        url = path if path.startswith("http") else self.address + path
        sending = None if data is None else io.BytesIO(data)
        async with self.session.request(method, url, headers=sent, data=sending) as response:
            reply = Reply(response.status, response.headers, await response.read())
        if reply.raw.startswith(b'{"error":'):
            assert _GLUED.search(reply.message) is None, f"a space is missing: {reply.message}"
        return reply

    async def samples(self) -> dict[str, dict[tuple[str, ...], float]]:
        """Every sample of `/metrics` by name, then by its labels' values in the order of the labels' names."""
        found: dict[str, dict[tuple[str, ...], float]] = {}
        for family in text_string_to_metric_families((await self.call("GET", "/metrics")).raw.decode()):
            for sample in family.samples:
                labels = tuple(value for name, value in sorted(sample.labels.items()) if name != "le")
                found.setdefault(sample.name, {})[labels] = sample.value
        return found

    async def until_ready(self, status: str = "ok") -> dict[str, Any]:
        """What `/readyz` says as soon as it has this status."""
        told: dict[str, Any] = {}

        async def has_status() -> bool:
            told.clear()
            told.update((await self.call("GET", "/readyz")).body)
            return bool(told["status"] == status)

        await until(has_status)
        return told

    async def account(self, name: str = "acme") -> str:
        """Make an account and a key of it: in the ledger itself, since two audited calls cost as much as ten others."""
        made, key = await self.ledger.put_account(account=name), f"fbx_{secrets.token_urlsafe(32)}"
        assert isinstance(made, tuple), made
        added = await self.ledger.add_key(key=key, scope=Scope.ACCOUNT, account=name, label=None)
        assert isinstance(added, AccountKey), added
        return key

    async def owner(self, name: str = "acme") -> str:
        """The key of an account's owner: unlike one of the account's own, it makes every call of accounts."""
        await self.account(name)
        members = f"/v1/admin/accounts/{name}/members"
        known = (await self.call("GET", members, self.admin)).body["data"]
        owner = known[0] if known else (await self.call("POST", members, self.admin, {"name": "Owner"})).body
        made = await self.call("POST", f"/v1/admin/accounts/{name}/keys", self.admin, {"member": owner["id"]})
        return str(made.body["key"])

    async def operator_key(self, scope: str) -> str:
        """Make an operator's key."""
        return str((await self.call("POST", "/v1/admin/keys", self.admin, {"scope": scope})).body["key"])

    async def grant(self, credits_: float, name: str = "acme", bucket: str = "top_up") -> None:
        """Give an account credits."""
        body = {"bucket": bucket, "credits": credits_, "reason": "a test"}
        assert (await self.call("POST", f"/v1/admin/accounts/{name}/grants", self.admin, body)).status == 201

    async def subscribe(self, plan: str = "basic", name: str = "acme") -> None:
        """Subscribe an account."""
        body = {"plan": plan, "interval": "monthly"}
        assert (await self.call("PUT", f"/v1/admin/accounts/{name}/subscription", self.admin, body)).status == 200

    async def create(self, key: str, once: str | None = None, **body: Any) -> Reply:
        """Ask for a generation: a sketch unless said otherwise."""
        return await self.call(
            "POST", "/v1/generations", key, SKETCH | body, {} if once is None else {"Idempotency-Key": once}
        )

    async def made(self, key: str, **body: Any) -> str:
        """A generation that was accepted; its id."""
        reply = await self.create(key, **body)
        assert reply.status == 202, reply.raw
        return str(reply.body["id"])

    # --- what a worker would do -------------------------------------------------------------------------------------

    async def begin(self, generation: str, attempt: int = 1) -> None:
        begun = await self.ledger.begin(generation=generation, attempt=attempt, operation=operation_id())
        assert isinstance(begun, outcomes.Begun), begun

    async def deliver(
        self,
        generation: str,
        index: int = 0,
        attempt: int = 1,
        data: bytes = PICTURE,
        *,
        content_type: str = "image/png",
        reports: Reports | None = None,
    ) -> None:
        key = output_key(generation, attempt, index, content_type)
        await self.app[services.OUTPUTS].put(key, data)
        output = Output(
            index=index,
            object_key=key,
            content_type=content_type,
            bytes=len(data),
            width=16,
            height=16,
            sha256=hashlib.sha256(data).hexdigest(),
            reports=reports or {},
        )
        noted = await self.ledger.deliver(generation=generation, attempt=attempt, output=output)
        assert isinstance(noted, outcomes.Noted), noted

    async def settle(self, generation: str, failure: FailureCode | None = None, attempt: int = 1) -> None:
        ended = await self.ledger.settle(
            generation=generation, attempt=attempt, operation=operation_id(), failure=failure
        )
        assert isinstance(ended, outcomes.Ended), ended

    async def finished(self, key: str, **body: Any) -> str:
        """A generation that has succeeded with all its outputs."""
        generation = await self.made(key, **body)
        await self.finish(generation, body.get("outputs", 1))
        return generation

    async def finish(self, generation: str, outputs: int = 1) -> None:
        """Make outputs of a generation, and end it."""
        await self.begin(generation)
        for index in range(outputs):
            await self.deliver(generation, index)
        await self.settle(generation)

    async def notice(self, generation: str, account: str = "acme") -> None:
        """Tell the gateway that a generation has changed, as workers do."""
        await self.app[services.QUEUE].dispatch([], [ChangeNotice(account, generation)])


@dataclass(frozen=True, slots=True)
class Event:
    """One server-sent event."""

    name: str
    id: str | None
    data: Any


class Stream:
    """Reads a stream event by event."""

    def __init__(self, response: ClientResponse) -> None:
        self.response = response

    async def next(self) -> Event | None:
        """The next event; None when the stream has ended. Comments and `retry` are passed over."""
        fields: dict[str, str] = {}
        while line := await self.response.content.readline():
            text = line.decode().rstrip("\n")
            if not text and "event" in fields:
                return Event(fields["event"], fields.get("id"), json.loads(fields["data"]))
            name, _, value = text.partition(": ")
            if name:
                fields[name] = value
        return None

    async def until(self, name: str) -> Event:
        """The next event of this name."""
        while (event := await self.next()) is not None:
            if event.name == name:
                return event
        raise AssertionError(f"the stream ended without {name}")


@asynccontextmanager
async def open_stream(visitor: Visitor, path: str, key: str) -> AsyncIterator[Stream]:
    """Follow a stream."""
    headers = {"Authorization": f"Bearer {key}"}
    async with visitor.session.get(visitor.address + path, headers=headers) as response:
        assert response.status == 200, await response.text()
        assert response.headers["Content-Type"].startswith("text/event-stream")
        yield Stream(response)


@asynccontextmanager
async def open_gateway(
    redis_url: str, directory: Path, *, says_who_is_missing: bool = False, **overrides: Any
) -> AsyncIterator[Visitor]:
    """A gateway of its own on a free port, its rate card a copy that a test may change.

    No worker runs beside it, which `/readyz` would say in the midst of a test that takes ten seconds.
    """
    card = directory / "pricing.toml"
    if not card.exists():
        shutil.copy(CARD, card)
    chosen: dict[str, Any] = {"ledger_url": redis_url, "data": directory / "data", "rate_card": card}
    settings = Settings(**chosen | {"test_mode": True} | overrides)
    with patch.object(Console, "read", console):
        app = create_app(settings)
    app[services.DESCRIPTION] = description(settings.public_address)
    runner = Runner(app, shutdown_timeout=2)
    said_after = workforce.SAID_AFTER_SECONDS if says_who_is_missing else 3600
    try:
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        host, port = runner.addresses[0][:2]
        with patch.object(workforce, "SAID_AFTER_SECONDS", said_after):
            async with ClientSession() as session:
                yield Visitor(app, f"http://{host}:{port}", session, settings.secret("admin-key"))
    finally:
        await runner.cleanup()
        await asyncio.sleep(0)  # let closed transports say so, or their sockets look leaked
