"""A strict server of Replicate's API: its own objects, which the official SDK takes, and files at another host."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, ClassVar

from aiohttp import web
from standardwebhooks import Webhook

from tests.providers.file_host import HostedVendor
from tests.providers.vendor import KEY, Fault, answering, as_json

VERSION = "5c7d5dc6dd8bf75c1acaa8565735e7986bc5b66206b55cca93cb72c9bf15ccaa"
SECRET = "whsec_" + base64.b64encode(b"a secret of this test's vendor").decode()
MODEL = "black-forest-labs/flux-dev"

_EVENTS = frozenset({"start", "output", "logs", "completed"})
_BODY = frozenset({"input", "version", "webhook", "webhook_events_filter"})
_DATA_URL_MAX = 1_000_000
_INPUTS: dict[str, tuple[type, ...]] = {
    "prompt": (str,),
    "num_outputs": (int,),
    "megapixels": (str,),
    "image_prompts": (list,),
    "go_fast": (bool,),
}
_SAID = {"moderated": "NSFW content detected. Try running it again, or try a different prompt.", "failed": "CUDA error"}


@dataclass
class ReplicateVendor(HostedVendor):
    """`shape` is how a prediction names its files: a list, or one of them alone, or a table, or in itself."""

    kind: ClassVar[str] = "replicate"

    shape: str = "list"
    status: str = "processing"
    metrics: dict[str, Any] = field(default_factory=lambda: {"predict_time": 3.5, "total_time": 4.0})
    uploaded: dict[str, bytes] = field(default_factory=dict)

    def card(self) -> str:
        return f"""
[providers.box]
kind = "replicate"
base_url = "{self.url}/v1"
key_env = "BOX_KEY"
callback_secret_env = "BOX_SECRET"
[models.flux-dev]
name = "FLUX dev"
tool = "image"
provider = "box"
provider_model = "{MODEL}"
outputs_max = 4
inputs = {{ image = 2 }}
[models.flux-dev.settings]
resolution = {{ values = ["1K", "2K"] }}
[models.flux-dev.provider_settings]
resolution = {{ "1K" = {{ megapixels = "1" }}, "2K" = {{ megapixels = "4" }} }}
outputs = "num_outputs"
input_images = "image_prompts"
always = {{ go_fast = true }}
[[models.flux-dev.rates]]
credits = 5
"""

    def rejections(self) -> list[Fault]:
        told = "- input.prompt: Invalid type. Expected: string"
        return [answering(422, {"title": "Input validation failed", "detail": told, "status": 422})]

    def inputs_of(self, job: str) -> list[bytes]:
        return [self._content(address) for address in self.jobs[job].asked["input"]["image_prompts"]]

    def callback(self, job: str) -> tuple[str, dict[str, str], bytes]:
        """What it calls when a job has ended: the address, the headers and the body."""
        body = json.dumps(self._prediction(job, "succeeded")).encode()
        now = datetime.now(UTC).replace(microsecond=0)
        said = {"webhook-id": f"msg_{job}", "webhook-timestamp": str(round(now.timestamp()))}
        signature = Webhook(SECRET).sign(said["webhook-id"], now, body.decode())
        return self.hooks[job], said | {"webhook-signature": signature}, body

    def routes(self) -> Iterable[web.AbstractRouteDef]:
        yield web.post("/v1/models/{owner}/{name}/predictions", self.create)
        yield web.post("/v1/predictions", self.create)
        yield web.get("/v1/predictions/{job}", self.get)
        yield web.post("/v1/predictions/{job}/cancel", self.cancel)
        yield web.post("/v1/files", self.upload)

    async def create(self, request: web.Request) -> web.Response:
        body = await request.read()
        if not self._authorized(request):
            return _problem(401, "Unauthenticated", "You did not pass a valid authentication token")
        if wrong := self._wrong(request, body):
            return _problem(422, "Input validation failed", wrong)
        if (fault := self.fault()) is not None:
            return fault
        asked = as_json(body)
        job = f"ufawqhfynnddngldkgtslldr{len(self.jobs):02}"
        self.take(job, asked, asked["input"].get("num_outputs", 1))
        self.hooks[job] = asked.get("webhook", "")
        self.after_submit(request)
        return web.json_response(self._prediction(job, "starting"), status=201)

    async def get(self, request: web.Request) -> web.Response:
        job = request.match_info["job"]
        if not self._authorized(request) or job not in self.jobs:
            return _problem(404, "Not found", "The requested resource could not be found.")
        taken = self.jobs[job]
        taken.looks += 1
        if taken.looks == 1:
            return web.json_response(self._prediction(job, "starting"))
        self.hosted.open = taken.made[: self.early] if self.holding else None
        if self.holding and not self.early:
            return web.json_response(self._prediction(job, self.status))
        if self.spoil is not None:
            return web.json_response(self._prediction(job, "failed", error=_SAID.get(self.spoil, self.spoil)))
        return web.json_response(
            self._prediction(job, "succeeded", output=self._output(taken.made), metrics=self.metrics)
        )

    async def cancel(self, request: web.Request) -> web.Response:
        job = request.match_info["job"]
        if not self._authorized(request) or job not in self.jobs:
            return _problem(404, "Not found", "The requested resource could not be found.")
        self.stopped.append(job)
        return web.json_response(self._prediction(job, "canceled"))

    async def upload(self, request: web.Request) -> web.Response:
        if not self._authorized(request):
            return _problem(401, "Unauthenticated", "You did not pass a valid authentication token")
        part = await (await request.multipart()).next()
        if part is None or getattr(part, "name", "") != "content":
            return _problem(400, "Bad request", "Missing content")
        data = bytes(await part.read())  # type: ignore[union-attr]  # aiohttp's own name for a part without parts
        name = f"file{len(self.uploaded)}"
        address = f"{self.url}/v1/files/{name}"
        self.uploaded[address] = data
        document = {"id": name, "name": "input", "content_type": "image/png", "size": len(data), "etag": name}
        more = {"checksums": {}, "metadata": {}, "created_at": "2026-11-26T00:00:00Z", "urls": {"get": address}}
        return web.json_response(document | more, status=201)

    def _prediction(self, job: str, status: str, **more: Any) -> dict[str, Any]:
        address = f"{self.url}/v1/predictions/{job}"
        document = {
            "id": job,
            "model": MODEL,
            "version": VERSION,
            "status": status,
            "input": self.jobs[job].asked["input"],
        }
        empty: dict[str, Any] = {
            "output": None,
            "error": None,
            "logs": "",
            "metrics": {},
            "created_at": "2026-11-26T00:00:00.000Z",
        }
        if status == "processing":
            empty["logs"] = "Using seed: 7\n 25%|##5       | 1/4 [00:00<00:01]\n 50%|#####     | 2/4 [00:00<00:01]\n"
        return document | empty | {"urls": {"get": address, "cancel": f"{address}/cancel"}} | more

    def _output(self, made: list[bytes]) -> object:
        if self.shape == "data":
            return [f"data:image/png;base64,{base64.b64encode(data).decode()}" for data in made]
        addresses = [self.hosted.give(data) for data in made]
        if self.shape == "one":
            return addresses[0]
        if self.shape == "table":
            return {"seed": 7, "caption": "a fox", "images": addresses}
        return addresses

    def _content(self, address: str) -> bytes:
        if address in self.uploaded:
            return self.uploaded[address]
        return base64.b64decode(address.removeprefix("data:image/png;base64,"), validate=True)

    def _authorized(self, request: web.Request) -> bool:
        return request.headers.get("Authorization") == f"Bearer {KEY}"

    def _wrong(self, request: web.Request, body: bytes) -> str:
        """What of a request the real one would refuse, or ours must not send."""
        if request.content_type != "application/json" or "Prefer" in request.headers:
            return "not JSON, or a wait asked for"
        try:
            asked = as_json(body)
        except ValueError:
            return "not JSON"
        if asked.keys() - _BODY or not isinstance(asked.get("input"), dict):
            return f"has {sorted(asked)}"
        if ("version" in asked) == ("owner" in request.match_info):
            return "a version belongs to /v1/predictions, and only there"
        told = asked.get("webhook", "https://").startswith("https://") and not (
            set(asked.get("webhook_events_filter", ())) - _EVENTS
        )
        if not told or not re.fullmatch(r"[0-9a-f]{64}", asked.get("version", VERSION)):
            return "no such version, or a webhook that is not https: or of no event"
        return next(filter(None, (self._wrong_input(*each) for each in asked["input"].items())), "")

    def _wrong_input(self, name: str, value: Any) -> str:
        if type(value) not in _INPUTS.get(name, ()):
            return f"- input.{name}: unknown or of the wrong type"
        for address in value if isinstance(value, list) else ():
            known = address.startswith("https://") or address in self.uploaded
            if not known and (not address.startswith("data:image/png;base64,") or len(address) > _DATA_URL_MAX):
                return f"- input.{name}: Does not match format 'uri'"
        return ""


def _problem(status: int, title: str, detail: str) -> web.Response:
    return web.json_response({"title": title, "detail": detail, "status": status}, status=status)
