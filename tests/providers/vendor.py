"""What the vendors' servers of these tests have in common: a port of their own, and what a test may do to them.

They run in the test's process and speak their wire format strictly: what the real one refuses, they refuse. Jobs are
kept while the server is away, as a real one keeps them.
"""

from __future__ import annotations

import asyncio
import json
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from aiohttp import web

from gateway.domain import Input
from gateway.kinds import MediaKind
from gateway.outputs import OutputStore, input_key
from tests.made_media import picture

KEY = "box-key-5f1c2d3e4a5b6c7d8e9f"
PROMPT = "a red fox that walks through the deep snow of a northern forest"

CARD = """
[tools.image]
name = "Image"
baseline_model = "flux-dev"
"""

_REFUSALS = frozenset({400, 401, 403, 404, 405, 415, 422})

Fault = Callable[[], web.Response]


def pictures(count: int) -> list[bytes]:
    """So many different PNG files."""
    return [picture(width=64 + 8 * number) for number in range(count)]


def answering(status: int, document: object = None, **headers: str) -> Fault:
    """Answer a call with this instead of doing it."""
    return lambda: web.json_response(
        document, status=status, headers={k.replace("_", "-"): v for k, v in headers.items()}
    )


@dataclass
class TakenJob:
    """A job that the vendor took: what was asked, and the pictures that it makes of it."""

    asked: dict[str, Any]
    made: list[bytes]
    looks: int = 0


@dataclass
class Vendor(ABC):
    """A vendor's server. Nothing ends while it is `holding`; `early` outputs of each job are there before.

    `knows_keys`: the same idempotency key is the same job.

    `faults` are answered to the next submits, in order; `drop_answers` so many submits are taken, and their answers
    lost. `spoil` is what all jobs end with, in the vendor's words. `fewer` is how many outputs each job makes less.
    """

    kind: ClassVar[str]
    early_most: ClassVar[int] = 1
    knows_keys: ClassVar[bool] = True
    for_inputs: ClassVar[Mapping[str, str]] = {}  # what to ask for instead, where inputs need another model

    jobs: dict[str, TakenJob] = field(default_factory=dict)
    stopped: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    drop_answers: int = 0
    holding: bool = False
    early: int = 0
    fewer: int = 0
    spoil: str | None = None
    port: int = 0
    _told: list[web.Response] = field(default_factory=list)
    _runner: web.AppRunner | None = None

    @abstractmethod
    def routes(self) -> Iterable[web.AbstractRouteDef]:
        """What it answers."""

    @abstractmethod
    def card(self) -> str:
        """`[providers.box]` and `[models.flux-dev]` for it, as TOML."""

    @abstractmethod
    def rejections(self) -> list[Fault]:
        """How it refuses a request for good."""

    @abstractmethod
    def inputs_of(self, job: str) -> list[bytes]:
        """The inputs that a job came with."""

    def files(self) -> Mapping[str, str]:
        """The files that the card names besides, and what is in them."""
        return {}

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def up(self) -> None:
        """Serve, after the first time on the same port."""
        app = web.Application(client_max_size=2**28, middlewares=[self._strictly])
        app.add_routes(self.routes())
        self._runner = web.AppRunner(app, shutdown_timeout=0)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self.port, reuse_address=True).start()
        self.port = self._runner.addresses[0][1]

    async def down(self) -> None:
        """Be away: nobody gets a connection."""
        if self._runner is not None:
            await self._runner.cleanup()

    def take(self, job: str, asked: dict[str, Any], outputs: int) -> None:
        """Remember a job that was asked for; a second one of the same id is a mistake of the server."""
        assert job not in self.jobs
        self.jobs[job] = TakenJob(asked, pictures(outputs)[: max(0, outputs - self.fewer)])

    def fault(self) -> web.Response | None:
        """What a submit is answered with instead of being taken, if anything."""
        if not self.faults:
            return None
        self._told.append(self.faults.pop(0)())
        return self._told[-1]

    def after_submit(self, request: web.Request) -> None:
        """Lose the answer, if that is what the test wants."""
        if self.drop_answers:
            self.drop_answers -= 1
            assert request.transport is not None
            request.transport.abort()

    def ready(self, job: str) -> list[bytes]:
        """The pictures of a job that are there by now."""
        taken = self.jobs[job]
        if self.spoil is not None:
            return []
        return taken.made[: self.early] if self.holding else taken.made

    @web.middleware
    async def _strictly(self, request: web.Request, handler: Callable[[web.Request], Any]) -> web.StreamResponse:
        response: web.StreamResponse = await handler(request)
        if response.status in _REFUSALS and isinstance(response, web.Response) and response not in self._told:
            self.refused.append(f"{request.method} {request.path} {response.status} {response.text}")
        return response


@asynccontextmanager
async def served(vendor: Vendor, folder: Path) -> AsyncIterator[Path]:
    """Serve, and write a rate card that names the server; the card's path."""
    await vendor.up()
    try:
        yield await asyncio.to_thread(_write_card, vendor, folder)
    finally:
        await vendor.down()


def _write_card(vendor: Vendor, folder: Path) -> Path:
    folder.mkdir(exist_ok=True)
    for name, text in vendor.files().items():
        (folder / name).write_text(text)
    path = folder / "pricing.toml"
    path.write_text(CARD + vendor.card())
    return path


async def stored_input(directory: Path, generation: str, number: int, data: bytes) -> Input:
    """An input in the object store, as the gateway keeps what came as a `data:` URL."""
    key = input_key(generation, "0a1b2c3d", number, "image/png")
    await OutputStore.open((directory / "outputs").as_uri()).put(key, data)
    return Input(kind=MediaKind.IMAGE, url=key)


def as_json(text: bytes) -> dict[str, Any]:
    """A body, if it is a JSON object; ValueError if not."""
    match json.loads(text):
        case dict() as document:
            return document
        case _:
            raise ValueError("not an object")
