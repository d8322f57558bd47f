"""A strict ComfyUI: it validates workflows node by node, and says what the real server says (its `server.py`).

`modern`: it has /api/jobs/{id}/cancel, else only the older ways. `sockets`: whether /ws works. `break_answers`: so many
submits are taken and answered 500. `deaf`, if need be after a submit: it cannot be asked for its queue. `speechless`:
nor for its history.

What it tells by its sockets is what the real one tells, and to whom: how far a job is, and its end, only to the client
that queued it; that the queue has changed, to everyone. `says_progress`: what it says of the job that runs.
"""

from __future__ import annotations

import asyncio
import json
import time
import uuid
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from aiohttp import web

from tests.providers.vendor import Fault, Vendor, answering, as_json
from tests.until import until

WORKFLOW = {
    "1": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "flux.safetensors"}},
    "2": {"class_type": "CLIPTextEncode", "inputs": {"text": "best quality, {{prompt}}", "clip": ["1", 1]}},
    "4": {
        "class_type": "EmptyLatentImage",
        "inputs": {"width": "{{width}}", "height": "{{height}}", "batch_size": "{{outputs}}"},
    },
    "5": {
        "class_type": "KSampler",
        "inputs": {"seed": "{{seed}}", "steps": 20, "model": ["1", 0], "positive": ["2", 0], "latent_image": ["4", 0]},
    },
    "10": {"class_type": "SaveImage", "inputs": {"filename_prefix": "farebox", "images": ["5", 0]}},
}
EDIT = WORKFLOW | {
    "20": {"class_type": "LoadImage", "inputs": {"image": "{{input_image_1}}"}},
    "21": {"class_type": "LoadImage", "inputs": {"image": "{{input_image_2}}"}},
}

_LINK = list
_NODES: Mapping[str, Mapping[str, type]] = {
    "CheckpointLoaderSimple": {"ckpt_name": str},
    "CLIPTextEncode": {"text": str, "clip": _LINK},
    "EmptyLatentImage": {"width": int, "height": int, "batch_size": int},
    "KSampler": {"seed": int, "steps": int, "model": _LINK, "positive": _LINK, "latent_image": _LINK},
    "LoadImage": {"image": str},
    "SaveImage": {"filename_prefix": str, "images": _LINK},
}
_RUNS = 0.15  # seconds
_PROMPT_FIELDS = {"prompt", "prompt_id", "client_id"}


@dataclass
class ComfyUiVendor(Vendor):
    kind: ClassVar[str] = "comfyui"
    for_inputs: ClassVar[Mapping[str, str]] = {"model": "flux-edit", "provider_model": "edit.json"}

    modern: bool = True
    sockets: bool = True
    says_progress: tuple[int, int] = (1, 2)
    uploads: dict[str, bytes] = field(default_factory=dict)
    interrupts: list[str | None] = field(default_factory=list)
    listeners: int = 0
    break_answers: int = 0
    deaf: bool = False
    deaf_after_submit: bool = False
    speechless: bool = False
    _looked_at: dict[str, float] = field(default_factory=dict)
    _connections: list[asyncio.Transport] = field(default_factory=list)

    def card(self) -> str:
        return f"""
[providers.box]
kind = "comfyui"
base_url = "{self.url}"
key_env = "BOX_KEY"
[models.flux-dev]
name = "FLUX dev"
tool = "image"
provider = "box"
provider_model = "flux.json"
outputs_max = 4
{self._settings("flux-dev")}
[models.flux-edit]
name = "FLUX edit"
tool = "image"
provider = "box"
provider_model = "edit.json"
outputs_max = 4
inputs = {{ image = 2 }}
{self._settings("flux-edit")}
"""

    @staticmethod
    def _settings(model: str) -> str:
        return f"""
[models.{model}.settings]
resolution = {{ values = ["1K", "2K"] }}
[models.{model}.provider_settings]
resolution = {{ "1K" = {{ width = 1024, height = 1024 }}, "2K" = {{ width = 2048, height = 2048 }} }}
[[models.{model}.rates]]
credits = 5
"""

    def files(self) -> Mapping[str, str]:
        return {"flux.json": json.dumps(WORKFLOW), "edit.json": json.dumps(EDIT)}

    def rejections(self) -> list[Fault]:
        return [_invalid({"5": {"errors": [_problem("Value not in list", "steps")], "class_type": "KSampler"}})]

    def inputs_of(self, job: str) -> list[bytes]:
        nodes = self.jobs[job].asked["prompt"].values()
        return [self.uploads[node["inputs"]["image"]] for node in nodes if node["class_type"] == "LoadImage"]

    def routes(self) -> Iterable[web.AbstractRouteDef]:
        yield web.post("/prompt", self.submit)
        yield web.get("/queue", self.queue)
        yield web.post("/queue", self.delete)
        yield web.get("/history/{job}", self.history)
        yield web.post("/interrupt", self.interrupt)
        yield web.post("/upload/image", self.upload)
        yield web.get("/view", self.view)
        if self.sockets:
            yield web.get("/ws", self.socket)
        if self.modern:
            yield web.post("/api/jobs/{job}/cancel", self.cancel)

    # --- submitting -------------------------------------------------------------------------------------------------

    async def submit(self, request: web.Request) -> web.Response:
        asked = as_json(await request.read())
        if asked.keys() - _PROMPT_FIELDS:
            return answering(400, {"error": {"type": "odd", "message": f"{asked.keys()}"}, "node_errors": {}})()
        job = asked["prompt_id"]
        if str(uuid.UUID(job)) != job:
            return answering(400, {"error": {"type": "invalid_prompt_id"}, "node_errors": {}})()
        problems = dict(self._problems(asked["prompt"]))
        if problems and not self._runnable(asked["prompt"], problems):
            return _invalid(problems)()
        if (fault := self.fault()) is not None:
            return fault
        # The real one queues a second job of the same id without a word.
        name = job if job not in self.jobs else f"{job} again"
        self.take(name, asked, asked["prompt"]["4"]["inputs"]["batch_size"])
        self.after_submit(request)
        self.deaf = self.deaf_after_submit
        if self.break_answers:
            self.break_answers -= 1
            return web.Response(status=500, text="500 Internal Server Error")
        return web.json_response({"prompt_id": job, "number": len(self.jobs), "node_errors": problems})

    @classmethod
    def _runnable(cls, workflow: dict[str, Any], problems: Mapping[str, Any]) -> bool:
        """Whether an output needs nothing of what is wrong: the real server then runs that, and answers 200."""
        outputs = [number for number, node in workflow.items() if node["class_type"] == "SaveImage"]
        return any(problems.keys().isdisjoint(cls._needed(workflow, output)) for output in outputs)

    @classmethod
    def _needed(cls, workflow: dict[str, Any], number: str) -> set[str]:
        links = [value[0] for value in workflow[number]["inputs"].values() if isinstance(value, list)]
        return {number, *(needed for link in links if link in workflow for needed in cls._needed(workflow, link))}

    def _problems(self, workflow: dict[str, Any]) -> Iterator[tuple[str, Any]]:
        for number, node in workflow.items():
            wanted = _NODES.get(node["class_type"])
            if wanted is None:
                yield number, {"errors": [_problem("Unknown node", "")], "class_type": node["class_type"]}
                continue
            errors = [_problem("Required input is missing", name) for name in wanted.keys() - node["inputs"].keys()]
            for name, value in node["inputs"].items():
                if type(value) is not wanted.get(name):
                    errors.append(_problem("Return type mismatch", f"{name}: {value}"))
                if isinstance(value, list) and value[0] not in workflow:
                    errors.append(_problem("Bad linked input", name))
                if name == "image" and value not in self.uploads:
                    errors.append(_problem("Custom validation failed for node", f"Invalid image file: {value}"))
            if errors:
                yield number, {"errors": errors, "class_type": node["class_type"]}

    async def upload(self, request: web.Request) -> web.Response:
        post = await request.post()
        image = post.get("image")
        if not isinstance(image, web.FileField) or not image.filename or post.get("type") != "input":
            return web.Response(status=400)
        subfolder = str(post.get("subfolder", ""))
        name = f"{subfolder}/{image.filename}" if subfolder else image.filename
        assert name not in self.uploads or post.get("overwrite") == "true"
        self.uploads[name] = image.file.read()
        return web.json_response({"name": image.filename, "subfolder": subfolder, "type": "input"})

    # --- where a job is ---------------------------------------------------------------------------------------------

    def has_ended(self, job: str) -> bool:
        """A job runs for a moment from when it was first looked for, and while the server is holding."""
        open_to_all = not self.holding or self.early > 0
        looked_at = self._looked_at.get(job)
        return job in self.stopped or (open_to_all and looked_at is not None and time.monotonic() > looked_at + _RUNS)

    async def down(self) -> None:
        """Be away, and leave every socket as a process does that ends."""
        for connection in self._connections:
            connection.abort()
        self._connections.clear()
        await super().down()

    async def restart(self) -> None:
        """Forget the queue and the history, which are in its memory."""
        await self.down()
        self.jobs.clear()
        self._looked_at.clear()
        await self.up()

    async def queue(self, _: web.Request) -> web.Response:
        if self.deaf:
            return web.Response(status=502)
        entries = [
            [number, job.removesuffix(" again"), taken.asked["prompt"], {"client_id": taken.asked["client_id"]}, ["10"]]
            for number, (job, taken) in enumerate(self.jobs.items())
            if not self.has_ended(job)
        ]
        return web.json_response({"queue_running": entries[:1], "queue_pending": entries[1:]})

    async def history(self, request: web.Request) -> web.Response:
        job = request.match_info["job"]
        if self.speechless:
            self._looked_at.setdefault(job, time.monotonic())
            return web.Response(status=502)
        if job not in self.jobs:
            return web.json_response({})
        taken = self.jobs[job]
        taken.looks += 1
        self._looked_at.setdefault(job, time.monotonic())
        if not self.has_ended(job):
            return web.json_response({})
        status: dict[str, Any] = {"status_str": "success", "completed": True, "messages": [
            ["execution_start", {"prompt_id": job, "timestamp": 1_796_000_000_000}],
            ["execution_cached", {"nodes": [], "prompt_id": job, "timestamp": 1_796_000_000_010}],
            ["execution_success", {"prompt_id": job, "timestamp": 1_796_000_002_500}],
        ]}  # fmt: skip
        outputs: dict[str, Any] = {"10": {"images": [_file(job, number) for number in range(len(taken.made))]}}
        outputs["9"] = {"images": [{"filename": "preview.png", "subfolder": "", "type": "temp"}], "animated": [True]}
        outputs["8"] = {"text": ["not a file"]}
        if self.spoil is not None or job in self.stopped:
            status = {"status_str": "error", "completed": False, "messages": [["execution_start", {}], self._end(job)]}
            outputs = {}
        prompt = [1, job, taken.asked["prompt"], {}, ["10"]]
        return web.json_response({job: {"prompt": prompt, "outputs": outputs, "status": status, "meta": {}}})

    def _end(self, job: str) -> list[Any]:
        if job in self.stopped:
            return ["execution_interrupted", {"prompt_id": job, "node_id": "5", "node_type": "KSampler"}]
        told = {"node_type": "KSampler", "exception_type": "torch.OutOfMemoryError"}
        message = f"Allocation failed for {self.jobs[job].asked['prompt']['2']['inputs']['text']}"
        return ["execution_error", told | {"prompt_id": job, "exception_message": message, "traceback": ["…"]}]

    async def socket(self, request: web.Request) -> web.WebSocketResponse:
        client = request.query["clientId"]
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        self.listeners += 1
        assert request.transport is not None
        self._connections.append(request.transport)
        await socket.send_json({"type": "executing", "data": {"node": "5"}})
        await socket.send_json(_progress("another", 9, 10))
        await socket.send_bytes(b"\0\0\0\1\0\0\0\1preview")
        told: dict[str, object] = {}
        remaining = None
        while not socket.closed:
            running = [job for job in self.jobs if not self.has_ended(job)]
            for job in self._queued_by(client):
                if job not in running:
                    word: object = "ended"
                    message = {"type": "executing", "data": {"node": None, "prompt_id": job}}
                else:
                    word = self.says_progress
                    message = _progress(job, *self.says_progress)
                if told.get(job) != word and (job in told or word != "ended"):
                    await socket.send_json(message)
                told[job] = word
            if len(running) != remaining:
                remaining = len(running)
                status = {"exec_info": {"queue_remaining": remaining}}
                await socket.send_json({"type": "status", "data": {"status": status, "sid": client}})
            await self._pass(socket)
        return socket

    def _queued_by(self, client: str) -> list[str]:
        return [job for job, taken in self.jobs.items() if taken.asked["client_id"] == client]

    @staticmethod
    async def _pass(socket: web.WebSocketResponse) -> None:
        try:
            async with asyncio.timeout(0.02):
                await socket.receive()
        except TimeoutError:
            return

    async def view(self, request: web.Request) -> web.Response:
        query = request.query
        if query.keys() != {"filename", "subfolder", "type"} or query["type"] != "output":
            return web.Response(status=400)
        number = int(query["filename"].rpartition("_")[2].removesuffix(".png"))
        await until(lambda: not (self.holding and number >= self.early))
        return web.Response(body=self.jobs[query["subfolder"].rpartition("/")[2]].made[number])

    # --- stopping ---------------------------------------------------------------------------------------------------

    async def cancel(self, request: web.Request) -> web.Response:
        job = request.match_info["job"]
        known = job in self.jobs and not self.has_ended(job)
        if known:
            self.stopped.append(job)
        return web.json_response({"cancelled": known})

    async def delete(self, request: web.Request) -> web.Response:
        running = next((job for job in self.jobs if not self.has_ended(job)), None)
        for job in as_json(await request.read())["delete"]:
            if job in self.jobs and not self.has_ended(job) and job != running:
                self.stopped.append(job)
        return web.Response()

    async def interrupt(self, request: web.Request) -> web.Response:
        job = as_json(await request.read()).get("prompt_id")
        self.interrupts.append(job)
        if job in self.jobs:
            self.stopped.append(job)
        return web.Response()


def _progress(job: str, value: int, most: int) -> dict[str, Any]:
    return {"type": "progress", "data": {"value": value, "max": most, "prompt_id": job, "node": "5"}}


def _file(job: str, number: int) -> dict[str, str]:
    return {"filename": f"farebox_{number:05}.png", "subfolder": f"jobs & more/{job}", "type": "output"}


def _problem(message: str, details: str) -> dict[str, Any]:
    return {"type": "invalid", "message": message, "details": details, "extra_info": {}}


def _invalid(nodes: dict[str, Any]) -> Fault:
    kind = {"type": "prompt_outputs_failed_validation", "message": "Prompt outputs failed validation"}
    return answering(400, {"error": kind | {"details": "", "extra_info": {}}, "node_errors": nodes})
