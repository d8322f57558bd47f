"""A strict server of the `http` contract, as `docs/providers.md` has it."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, ClassVar

from aiohttp import web

from tests.providers.vendor import KEY, Fault, Vendor, answering, as_json

_FIELDS: dict[str, type] = {"model": str, "prompt": str, "outputs": int, "settings": dict, "inputs": list}
_OPTIONAL: dict[str, type] = {"callback_url": str}


@dataclass
class HttpVendor(Vendor):
    kind: ClassVar[str] = "http"

    by_key: dict[str, str] = field(default_factory=dict)

    def card(self) -> str:
        return f"""
[providers.box]
kind = "http"
base_url = "{self.url}/gpu"
key_env = "BOX_KEY"
[models.flux-dev]
name = "FLUX dev"
tool = "image"
provider = "box"
provider_model = "flux.1-dev"
outputs_max = 4
inputs = {{ image = 2 }}
[models.flux-dev.settings]
resolution = {{ values = ["1K", "2K"] }}
[models.flux-dev.provider_settings]
resolution = {{ "1K" = {{ width = 1024, height = 1024 }}, "2K" = {{ width = 2048, height = 2048 }} }}
[[models.flux-dev.rates]]
credits = 5
"""

    def rejections(self) -> list[Fault]:
        return [answering(422, {"error": {"code": "rejected", "message": "not this"}})]

    def inputs_of(self, job: str) -> list[bytes]:
        return [base64.b64decode(given["b64"]) for given in self.jobs[job].asked["inputs"]]

    def routes(self) -> Iterable[web.AbstractRouteDef]:
        yield web.post("/gpu/jobs", self.submit)
        yield web.get("/gpu/jobs/{job}", self.look)
        yield web.delete("/gpu/jobs/{job}", self.stop)
        yield web.get("/gpu/files/{job}/{number}", self.file)

    async def submit(self, request: web.Request) -> web.Response:
        body = await request.read()
        if wrong := next(self._wrong(request, body), None):
            return web.json_response({"error": {"code": "rejected", "message": wrong}}, status=422)
        if not self._authorized(request):
            return web.json_response({"error": {"code": "failed", "message": "who are you?"}}, status=401)
        if (fault := self.fault()) is not None:
            return fault
        key = request.headers["Idempotency-Key"]
        known = key in self.by_key
        if not known:
            job = self.by_key[key] = f"job/{len(self.jobs) + 1}"
            asked = as_json(body)
            self.take(job, asked, asked["outputs"])
        self.after_submit(request)
        return web.json_response({"id": self.by_key[key]}, status=200 if known else 201)

    async def look(self, request: web.Request) -> web.Response:
        job = request.match_info["job"]
        if not self._authorized(request) or job not in self.jobs:
            return web.json_response({"error": {"code": "failed"}}, status=404)
        taken = self.jobs[job]
        taken.looks += 1
        ready = self.ready(job)
        state: dict[str, Any] = {"status": "running", "progress": 0.5}
        if taken.looks == 1:
            state = {"status": "queued"}
            ready = []
        elif self.spoil is not None and not self.holding:
            state = {"status": "failed", "error": {"code": self.spoil, "message": f"it is {taken.asked['prompt']}"}}
        elif not self.holding:
            state = {"status": "succeeded", "progress": 1}
        state["outputs"] = [self._output(job, number, data) for number, data in enumerate(ready)]
        return web.json_response(state)

    async def stop(self, request: web.Request) -> web.Response:
        if not self._authorized(request) or request.match_info["job"] not in self.jobs:
            return web.json_response({"error": {"code": "failed"}}, status=404)
        self.stopped.append(request.match_info["job"])
        return web.Response(status=204)

    async def file(self, request: web.Request) -> web.Response:
        if not self._authorized(request):
            return web.Response(status=401)
        return web.Response(body=self.jobs[request.match_info["job"]].made[int(request.match_info["number"])])

    def _output(self, job: str, number: int, data: bytes) -> dict[str, Any]:
        """The even ones by an address, the odd ones as they are."""
        reported = {"gpu_seconds": number + 0.5, "cost": 1}
        said = {"reported": reported, "cost": (number + 1) / 100}
        if number % 2:
            return {"b64": base64.b64encode(data).decode(), **said}
        return {"url": f"{self.url}/gpu/files/{job.replace('/', '%2F')}/{number}", **said}

    def _authorized(self, request: web.Request) -> bool:
        return request.headers.get("Authorization") == f"Bearer {KEY}"

    def _wrong(self, request: web.Request, body: bytes) -> Iterator[str]:
        if request.content_type != "application/json":
            yield "not JSON"
        if not 0 < len(request.headers.get("Idempotency-Key", "")) <= 255:
            yield "no Idempotency-Key"
        try:
            asked = as_json(body)
        except ValueError:
            yield "not JSON"
            return
        if missing := _FIELDS.keys() - asked.keys():
            yield f"lacks {missing}"
        for name, value in asked.items():
            if type(value) is not (_FIELDS | _OPTIONAL).get(name):
                yield f"{name} is unknown, or of the wrong type"
        if not 1 <= asked["outputs"] <= 16 or not asked["prompt"]:
            yield "outputs or prompt out of range"
        yield from filter(None, map(_wrong_input, asked["inputs"]))


def _wrong_input(given: Any) -> str:
    if not isinstance(given, dict) or given.get("kind") not in {"image", "video"}:
        return "an input without a kind"
    if given.keys() == {"kind", "url"} and given["url"].startswith("https://"):
        return ""
    if given.keys() == {"kind", "content_type", "b64"} and base64.b64decode(given["b64"], validate=True):
        return ""
    return "an input with neither an address nor bytes"
