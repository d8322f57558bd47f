"""A server of your own for Farebox: `python gpu_server.py [port]`. It needs aiohttp and Pillow.

Put your model into `make`; this one paints a gradient. With GPU_SERVER_KEY set it wants that key. It keeps its jobs in
memory: keep yours where they survive a restart, with their keys: the same Idempotency-Key must find the same job.
"""

import asyncio
import base64
import contextlib
import io
import os
import secrets
import sys
from dataclasses import dataclass, field
from typing import Any

from aiohttp import ClientError, ClientSession, web
from PIL import Image, ImageDraw, ImageOps

STEPS = int(os.environ.get("GPU_SERVER_STEPS", "10"))
KEY = os.environ.get("GPU_SERVER_KEY")


@dataclass
class Job:
    """What was asked for, and how far it is."""

    asked: dict[str, Any]
    id: str = field(default_factory=lambda: secrets.token_hex(8))
    state: dict[str, Any] = field(default_factory=lambda: {"status": "queued", "outputs": []})
    task: "asyncio.Task[None] | None" = None


jobs: dict[str, Job] = {}
by_key: dict[str, Job] = {}
gpu = asyncio.Lock()  # one job at a time


def make(asked: dict[str, Any], number: int) -> bytes:
    """One PNG: here is where your model goes."""
    settings = asked["settings"]
    size = (int(settings.get("width", 512)), int(settings.get("height", 512)))
    picture = ImageOps.colorize(Image.linear_gradient("L").resize(size), ("navy", "teal")[number % 2], "orange")
    ImageDraw.Draw(picture).text((8, 8), asked["prompt"][:60], fill="white")
    file = io.BytesIO()
    picture.save(file, "PNG")
    return file.getvalue()


async def run(job: Job) -> None:
    """Make all outputs; each is there to be fetched as soon as it is made."""
    try:
        async with gpu:
            job.state["status"] = "running"
            for number in range(job.asked["outputs"]):
                for step in range(STEPS):
                    await asyncio.sleep(0.05)  # your model's steps
                    job.state["progress"] = (number + (step + 1) / STEPS) / job.asked["outputs"]
                png = await asyncio.to_thread(make, job.asked, number)
                job.state["outputs"].append({"b64": base64.b64encode(png).decode()})
            job.state["status"] = "succeeded"
    except Exception as error:  # noqa: BLE001 - whatever a model raises is a job that failed
        job.state |= {"status": "failed", "error": {"code": "failed", "message": str(error)}}
    if url := job.asked.get("callback_url"):
        # A hint that spares Farebox the next look: if it is lost, nothing else is.
        with contextlib.suppress(ClientError, TimeoutError):
            async with ClientSession() as session, session.post(url, json={"id": job.id}):
                pass


@web.middleware
async def with_key(request: web.Request, handler: Any) -> web.StreamResponse:
    """Refuse who has not the key, if there is one."""
    given = request.headers.get("Authorization", "")
    if KEY and not secrets.compare_digest(given.encode(), f"Bearer {KEY}".encode()):
        return web.json_response({"error": {"code": "failed", "message": "wrong key"}}, status=401)
    answer: web.StreamResponse = await handler(request)
    return answer


async def submit(request: web.Request) -> web.Response:
    """Start a job, or find the one of this key."""
    key = request.headers["Idempotency-Key"]
    known = key in by_key
    if not known:
        asked = await request.json()
        if not asked["prompt"].strip():
            return web.json_response({"error": {"code": "rejected", "message": "no prompt"}}, status=422)
        job = by_key.setdefault(key, Job(asked))
        jobs[job.id] = job
        job.task = job.task or asyncio.create_task(run(job))
    return web.json_response({"id": by_key[key].id}, status=200 if known else 201)


async def look(request: web.Request) -> web.Response:
    """How far it is, with what is made so far."""
    job = jobs.get(request.match_info["id"])
    return web.json_response(job.state if job else {"error": {"code": "failed"}}, status=200 if job else 404)


async def stop(request: web.Request) -> web.Response:
    """Stop it, if it runs or waits."""
    job = jobs.get(request.match_info["id"])
    if job and job.task and job.task.cancel():
        job.state |= {"status": "failed", "error": {"code": "failed", "message": "stopped"}}
    return web.Response(status=204)


app = web.Application(middlewares=[with_key], client_max_size=1024**3)
app.add_routes([web.post("/jobs", submit), web.get("/jobs/{id}", look), web.delete("/jobs/{id}", stop)])

if __name__ == "__main__":
    web.run_app(app, host="127.0.0.1", port=int(sys.argv[1]) if len(sys.argv) > 1 else 9000)
