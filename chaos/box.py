"""Somebody's GPU server by the contract of the `http` provider, on a bad day: busy, slow, rude, never forgetful.

What it makes is decided by the seed and the prompt, how it behaves by the seed and the moment. It takes a job once for
each idempotency key, as the contract says, and remembers all that it was asked: nobody may have two jobs made for one
key, and every job it made must belong to a generation that is there.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import io
import json
import random
import secrets
import time
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import aiohttp
from aiohttp import web
from PIL import Image
from standardwebhooks import Webhook

from tests.free_ports import free_port

_SECONDS = (0.05, 2.0)
_LATE_SECONDS = (6.0, 12.0)  # longer than a worker stays with one that calls back: it parks, and the call wakes it
_DENIED_SECONDS = (0.5, 2.0)  # from a failure that is none to the success
_FATES = {
    "succeed": 40, "late": 14, "fewer": 10, "failed": 8, "moderated": 5, "rejected": 5, "broken": 5, "silent": 3,
    "denied": 10,
}  # fmt: skip
_FATES_SHORT = {"succeed": 45, "failed": 20, "denied": 20, "broken": 5, "fewer": 5, "moderated": 3, "rejected": 2}
"""Nothing that takes long, and more that leads to another provider."""
_BUSY_SHARE, _FAULT_SHARE, _CUT_SHARE, _NONSENSE_SHARE = 0.08, 0.05, 0.08, 0.03
_METER = "gpu_seconds"
_FIGURES: tuple[object, ...] = (0, 0.125, 1, 2.718, 3.5, 6, 6.001, 900, -1, "fast", True, None)
"""What it says that a picture took: mostly an amount, sometimes more than the card's ceiling, or nonsense."""
_CALLS_OF_DENIED = 20
_UNAVAILABLE = 503
METERED_MODEL = "etching"  # on the card: its price depends on what is reported
_LOST_CALL_SHARE, _SECOND_CALL_SHARE, _OTHER_CALL_SHARE = 0.15, 0.15, 0.05


@dataclass(slots=True)
class Job:
    """One job. `pictures` are the bytes that were handed out as outputs, those that cannot be decoded left out.

    `late`: those that it had denied. `unknown`: who submitted it was not told. `over_at`: since when it is said to have
    ended.
    """

    id: str
    key: str
    asked: dict[str, Any]
    fate: str
    state: dict[str, Any] = field(default_factory=lambda: {"status": "queued", "outputs": []})
    pictures: list[bytes] = field(default_factory=list)
    late: list[bytes] = field(default_factory=list)
    asked_again: int = 0
    stopped: bool = False
    unknown: bool = False
    accepted_at: float = field(default_factory=time.monotonic)
    over_at: float | None = None

    @property
    def generation(self) -> str:
        """The generation that it was made for: its key is `<generation>:<submission>`."""
        return self.key.partition(":")[0]

    def say(self, **state: Any) -> None:
        """Say this of it from now on."""
        self.state |= state
        if self.over_at is None and self.state["status"] in {"failed", "succeeded"}:
            self.over_at = time.monotonic()


class Box:
    """The server, from `open` to `close`; `away` takes it off the network with all that it remembers."""

    def __init__(self, seed: int, name: str = "box", *, polite: bool = False, short: bool = False) -> None:
        """Behave as `seed` says; a `polite` one answers as the contract says, and makes what it is asked for."""
        self.seed = seed
        self.name = name
        self.polite = polite
        self.secret = f"whsec_{base64.b64encode(secrets.token_bytes(32)).decode()}"
        self.jobs: dict[str, Job] = {}
        self.reported: dict[str, object] = {}
        """The SHA-256 of a picture → how long it is said to have taken, if anything is."""
        self.counts: Counter[str] = Counter()
        self.port = free_port()
        self._fates = _FATES_SHORT if short else _FATES
        self._dice = random.Random(f"{seed} box")
        self._runner: web.AppRunner | None = None
        self._site: web.TCPSite | None = None
        self._work: set[asyncio.Task[None]] = set()

    @property
    def address(self) -> str:
        """Its `base_url`."""
        return f"http://127.0.0.1:{self.port}"

    async def open(self) -> None:
        """Listen."""
        app = web.Application(middlewares=[self._on_a_bad_day], client_max_size=16 * 1024 * 1024)
        app.add_routes(
            [
                web.post("/jobs", self._submit),
                web.get("/jobs/{id}", self._look),
                web.delete("/jobs/{id}", self._stop),
            ]
        )
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0)
        await self._runner.setup()
        await self._listen()

    async def close(self) -> None:
        """Hang up and forget."""
        for task in self._work:
            task.cancel()
        await asyncio.gather(*self._work, return_exceptions=True)
        if self._runner is not None:
            await self._runner.cleanup()

    async def away(self, seconds: float) -> None:
        """Be unreachable for a while, and let no call that is on its way come to its end."""
        if self._site is not None:
            await self._site.stop()
        for transport in self._transports():
            transport.abort()
        try:
            await asyncio.sleep(seconds)
        finally:
            await self._listen()

    async def _listen(self) -> None:
        if self._runner is None:
            raise RuntimeError("open it first")
        self._site = web.TCPSite(self._runner, "127.0.0.1", self.port, reuse_address=True)
        await self._site.start()

    def _transports(self) -> list[asyncio.Transport]:
        server = self._runner.server if self._runner is not None else None
        if not isinstance(server, web.Server):
            return []
        return [each.transport for each in server.connections if each.transport is not None]

    # --- the contract -----------------------------------------------------------------------------------------------

    @web.middleware
    async def _on_a_bad_day(self, request: web.Request, handler: Any) -> web.StreamResponse:
        """Answer as asked, or not quite: what was asked for may have been done all the same."""
        dice = self._dice
        if self.polite:
            plain: web.StreamResponse = await handler(request)
            return plain
        if dice.random() < _BUSY_SHARE:
            self.counts["busy"] += 1
            return web.json_response({"error": {"code": "failed"}}, status=429, headers={"Retry-After": "1"})
        if dice.random() < _FAULT_SHARE:
            self.counts["500"] += 1
            return web.json_response({"error": {"code": "failed", "message": "out of memory"}}, status=500)
        answer: web.StreamResponse = await handler(request)
        if dice.random() < _CUT_SHARE and request.transport is not None:
            self.counts["answer lost"] += 1
            self._tells_nobody(request)
            request.transport.abort()
        elif dice.random() < _NONSENSE_SHARE:
            self.counts["nonsense"] += 1
            self._tells_nobody(request)
            return web.Response(text="<html>gateway", content_type="text/html")
        return answer

    def _tells_nobody(self, request: web.Request) -> None:
        job = self.jobs.get(request.headers.get("Idempotency-Key", ""))
        if job is not None:
            job.unknown = True

    async def _submit(self, request: web.Request) -> web.Response:
        key = request.headers["Idempotency-Key"]
        job = self.jobs.get(key)
        if job is not None:
            job.asked_again += 1
            return web.json_response({"id": job.id}, status=200)
        asked = await request.json()
        dice = random.Random(f"{self.seed} {self.name} {asked['prompt']} {key.partition(':')[2]}")
        fate = "succeed" if self.polite else dice.choices(list(self._fates), list(self._fates.values()))[0]
        if fate == "rejected":
            self.counts["rejected"] += 1
            return web.json_response({"error": {"code": "rejected", "message": "not this one"}}, status=422)
        job = self.jobs[key] = Job(f"{self.name}-{len(self.jobs)}", key, asked, fate)
        task = asyncio.create_task(self._make(job, dice))
        self._work.add(task)
        task.add_done_callback(self._work.discard)
        return web.json_response({"id": job.id}, status=201)

    async def _look(self, request: web.Request) -> web.Response:
        job = self._job(request)
        return web.json_response({} if job is None else job.state, status=404 if job is None else 200)

    async def _stop(self, request: web.Request) -> web.Response:
        job = self._job(request)
        if job is not None:
            job.stopped = True
            if job.state["status"] in {"queued", "running"}:
                job.say(status="failed", error={"code": "failed", "message": "stopped"})
        return web.Response(status=204)

    def _job(self, request: web.Request) -> Job | None:
        return next((job for job in self.jobs.values() if job.id == request.match_info["id"]), None)

    # --- making -----------------------------------------------------------------------------------------------------

    async def _make(self, job: Job, dice: random.Random) -> None:
        job.say(status="running")
        await asyncio.sleep(dice.uniform(*(_LATE_SECONDS if job.fate == "late" else _SECONDS)))
        if job.fate == "silent" or job.stopped:
            return
        if job.fate == "denied":
            await self._deny(job, dice)
            return
        outputs = job.asked["outputs"]
        made = dice.randint(0, outputs - 1) if job.fate == "fewer" else outputs
        if job.fate == "failed":
            made = dice.randint(0, outputs)
        for number in range(0 if job.fate == "moderated" else made):
            picture = _picture(dice)
            if job.fate == "broken" and number == made - 1:
                picture = picture[: len(picture) // 2]
            else:
                job.pictures.append(picture)
            job.state["outputs"].append(self._output(job, picture, dice))
        failed = job.fate if job.fate in {"failed", "moderated"} else ""
        job.say(status="failed" if failed else "succeeded", **({"error": {"code": failed}} if failed else {}))
        await self._call_back(job)

    async def _deny(self, job: Job, dice: random.Random) -> None:
        """Say that it failed, and make it all the same, whoever asks to stop it; then call until somebody answers."""
        job.say(status="failed", error={"code": "failed"})
        await asyncio.sleep(dice.uniform(*_DENIED_SECONDS))
        job.late = [_picture(dice) for _ in range(job.asked["outputs"])]
        job.state = {"status": "succeeded", "outputs": [self._output(job, one, dice) for one in job.late]}
        for _ in range(_CALLS_OF_DENIED):
            if await self._call(job.id, job.asked.get("callback_url")):
                return
            await asyncio.sleep(1)

    def _output(self, job: Job, picture: bytes, dice: random.Random) -> dict[str, Any]:
        """An output with what it is said to have taken, if its price depends on that."""
        output: dict[str, Any] = {"b64": base64.b64encode(picture).decode()}
        if job.asked["model"] == METERED_MODEL:
            figure = dice.choice((dice.randrange(6000) / 1000, dice.choice(_FIGURES)))
            self.reported[hashlib.sha256(picture).hexdigest()] = figure
            output["reported"] = {_METER: figure}
        return output

    async def _call_back(self, job: Job) -> None:
        """Say that it is done: perhaps not at all, perhaps twice, perhaps about another's job."""
        dice, url = self._dice, job.asked.get("callback_url")
        if url is None or dice.random() < _LOST_CALL_SHARE:
            self.counts["callbacks lost"] += 1
            return
        jobs = [job.id] * (2 if dice.random() < _SECOND_CALL_SHARE else 1)
        if dice.random() < _OTHER_CALL_SHARE:
            jobs.insert(0, f"box-{dice.randrange(len(self.jobs))}-other")
        for name in jobs:
            await self._call(name, url)

    async def _call(self, job: str, url: str | None) -> bool:
        """Call back about a job, signed; whether there was an answer."""
        if url is None:
            return False
        body, at = json.dumps({"id": job}), datetime.now(UTC)
        signature = Webhook(self.secret).sign(f"msg_{job}", at, body)
        headers = {
            "webhook-id": f"msg_{job}",
            "webhook-timestamp": str(int(at.timestamp())),
            "webhook-signature": signature,
            "Content-Type": "application/json",
        }
        with contextlib.suppress(aiohttp.ClientError, TimeoutError, OSError):
            async with (
                aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=5)) as session,
                session.post(url, data=body, headers=headers) as answer,
            ):
                self.counts[f"callbacks answered {answer.status}"] += 1
                return answer.status < _UNAVAILABLE
        return False


def _picture(dice: random.Random) -> bytes:
    """A small picture like no other."""
    picture = Image.frombytes("RGB", (16, 16), dice.randbytes(16 * 16 * 3))
    file = io.BytesIO()
    picture.save(file, "PNG")
    return file.getvalue()
