"""A strict server of fal's queue: what it says of a request and of its failure, and files at another host."""

from __future__ import annotations

import base64
import hashlib
import json
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, ClassVar

from aiohttp import web
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tests.providers.file_host import HostedVendor
from tests.providers.vendor import KEY, Fault, answering, as_json

APP = "fal-ai/flux"

_INPUTS: dict[str, tuple[type, ...]] = {
    "prompt": (str,),
    "num_images": (int,),
    "image_size": (str,),
    "image_urls": (list,),
    "image_url": (str,),
}


@dataclass
class FalVendor(HostedVendor):
    """`shape` is how a result names its files; `ending` is what a job that is spoilt ends with."""

    kind: ClassVar[str] = "fal"

    shape: str = "images"
    billed: str = "3.008"
    ending: tuple[int, dict[str, Any], dict[str, str]] | None = None
    unsafe: list[bool] = field(default_factory=list)
    apps: dict[str, str] = field(default_factory=dict)
    signing_key: Ed25519PrivateKey = field(default_factory=Ed25519PrivateKey.generate)

    def card(self) -> str:
        return f"""
[providers.box]
kind = "fal"
base_url = "{self.url}/q"
key_env = "BOX_KEY"
jwks_url = "{self.url}/jwks.json"
[models.flux-dev]
name = "FLUX dev"
tool = "image"
provider = "box"
provider_model = "{APP}/dev"
outputs_max = 4
inputs = {{ image = 2 }}
[models.flux-dev.settings]
resolution = {{ values = ["1K", "2K"] }}
[models.flux-dev.provider_settings]
resolution = {{ "1K" = {{ image_size = "square" }}, "2K" = {{ image_size = "square_hd" }} }}
outputs = "num_images"
input_images = "image_urls"
[[models.flux-dev.rates]]
credits = 5
"""

    def rejections(self) -> list[Fault]:
        return [answering(422, {"detail": [_detail("missing", "field required")]}, X_Fal_Retryable="false")]

    def inputs_of(self, job: str) -> list[bytes]:
        addresses = self.jobs[job].asked["image_urls"]
        return [base64.b64decode(each.removeprefix("data:image/png;base64,"), validate=True) for each in addresses]

    def callback(self, job: str) -> tuple[str, dict[str, str], bytes]:
        """What it calls when a job has ended: the address, the headers and the body."""
        body = json.dumps({"request_id": job, "gateway_request_id": job, "status": "OK", "payload": {}}).encode()
        said = {"Request-Id": job, "User-Id": "user-1", "Timestamp": str(round(time.time()))}
        message = "\n".join([*said.values(), hashlib.sha256(body).hexdigest()]).encode()
        signed = said | {"Signature": self.signing_key.sign(message).hex()}
        return self.hooks[job], {f"X-Fal-Webhook-{name}": value for name, value in signed.items()}, body

    def routes(self) -> Iterable[web.AbstractRouteDef]:
        app = r"/q/{app:((workflows|comfy)/)?[^/]+/[^/]+}"
        yield web.get("/jwks.json", self.keys)
        yield web.get(app + "/requests/{job}/status", self.status)
        yield web.get(app + "/requests/{job}", self.result)
        yield web.put(app + "/requests/{job}/cancel", self.cancel)
        yield web.post(app + "{path:(/[^/]+)*}", self.submit)

    async def submit(self, request: web.Request) -> web.Response:
        body = await request.read()
        if not self._authorized(request):
            return web.json_response({"detail": "Authentication is required to access this application"}, status=401)
        if wrong := self._wrong(request, body):
            return web.json_response({"detail": [_detail("value_error", wrong)]}, status=422)
        if (fault := self.fault()) is not None:
            return fault
        asked = as_json(body)
        job = f"764cabcf-b745-4b3e-ae38-{len(self.jobs):012}"
        self.take(job, asked, asked.get("num_images", 1))
        self.apps[job] = request.match_info["app"]
        self.hooks[job] = request.query.get("fal_webhook", "")
        self.after_submit(request)
        address = f"{self.url}/q/{self.apps[job]}/requests/{job}"
        addresses = {"response_url": address, "status_url": f"{address}/status", "cancel_url": f"{address}/cancel"}
        return web.json_response({"status": "IN_QUEUE", "queue_position": 0, "request_id": job} | addresses)

    async def status(self, request: web.Request) -> web.Response:
        if (missing := self._missing(request)) is not None:
            return missing
        job = request.match_info["job"]
        taken = self.jobs[job]
        taken.looks += 1
        self.hosted.open = taken.made[: self.early] if self.holding else None
        if taken.looks == 1:
            return web.json_response({"status": "IN_QUEUE", "request_id": job, "queue_position": 3}, status=202)
        if self.holding and not self.early:
            lines = [" 25%|##5       | 1/4 [00:00<00:01]", " 50%|#####     | 2/4 [00:00<00:01]"]
            logs = [{"message": line, "level": "INFO", "timestamp": "2026-11-26T00:00:00Z"} for line in lines]
            return web.json_response({"status": "IN_PROGRESS", "request_id": job, "logs": logs}, status=202)
        ended: dict[str, Any] = {"status": "COMPLETED", "request_id": job, "logs": None, "metrics": {}}
        if (error := self._error(job)) is not None and "error_type" in error[1]:
            ended |= {"error": error[1]["detail"], "error_type": error[1]["error_type"]}
        return web.json_response(ended)

    async def result(self, request: web.Request) -> web.Response:
        if (missing := self._missing(request)) is not None:
            return missing
        job = request.match_info["job"]
        if self.holding and not self.early:
            return web.json_response({"detail": "Request is still in progress"}, status=400)
        if (error := self._error(job)) is not None:
            status, document, headers = error
            self._told.append(web.json_response(document, status=status, headers=headers))
            return self._told[-1]
        return web.json_response(self._result(job), headers={"x-fal-billable-units": self.billed})

    async def cancel(self, request: web.Request) -> web.Response:
        if (missing := self._missing(request)) is not None:
            return missing
        self.stopped.append(request.match_info["job"])
        return web.json_response({"status": "CANCELLATION_REQUESTED"}, status=202)

    async def keys(self, _: web.Request) -> web.Response:
        point = self.signing_key.public_key().public_bytes_raw()
        key = {"kty": "OKP", "crv": "Ed25519", "x": base64.urlsafe_b64encode(point).decode().rstrip("=")}
        return web.json_response({"keys": [key]})

    def _error(self, job: str) -> tuple[int, dict[str, Any], dict[str, str]] | None:
        if self.ending is not None:
            return self.ending
        prompt = self.jobs[job].asked["prompt"]
        if self.spoil == "moderated":
            told = _detail("content_policy_violation", "The content was flagged by a content checker.", prompt)
            return 422, {"detail": [told]}, {"X-Fal-Retryable": "false"}
        if self.spoil is not None:
            return 500, {"detail": f"no {prompt}", "error_type": "runner_server_error"}, {}
        return None

    def _result(self, job: str) -> dict[str, Any]:
        made = self.jobs[job].made
        if self.shape == "data":
            return {"image": f"data:image/png;base64,{base64.b64encode(made[0]).decode()}"}
        files = [{"url": self.hosted.give(data), "content_type": "image/png", "width": 64} for data in made]
        if self.shape == "video":
            return {
                "thumbnail": {"url": "http://127.0.0.1:1/no.png"},
                "seed": 7,
                "video": files[0] | {"duration": 5.04},
            }
        more = {"has_nsfw_concepts": self.unsafe} if self.unsafe else {}
        page = "https://fal.ai/models"
        return {"timings": {"inference": 1.5}, "docs": page, "images": files, "seed": 7, "prompt": "x"} | more

    def _authorized(self, request: web.Request) -> bool:
        return request.headers.get("Authorization") == f"Key {KEY}"

    def _missing(self, request: web.Request) -> web.Response | None:
        job = request.match_info["job"]
        if not self._authorized(request):
            return web.json_response({"detail": "Authentication is required"}, status=401)
        if job not in self.jobs or self.apps[job] != request.match_info["app"]:
            return web.json_response({"detail": "Request not found"}, status=404)
        return None

    def _wrong(self, request: web.Request, body: bytes) -> str:
        """What of a request the real one would refuse, or ours must not send."""
        if request.content_type != "application/json" or "requests" in request.path.split("/"):
            return "not JSON, or to an address of a request"
        if set(request.query) - {"fal_webhook"} or not request.query.get("fal_webhook", "https://").startswith(
            "https:"
        ):
            return "its query"
        try:
            asked = as_json(body)
        except ValueError:
            return "not JSON"
        if "prompt" not in asked:
            return "field required"
        return next((name for name, value in asked.items() if type(value) not in _INPUTS.get(name, ())), "")


def _detail(kind: str, message: str, given: object = None) -> dict[str, Any]:
    """One of a model's errors; they repeat what they were given."""
    address = f"https://docs.fal.ai/errors#{kind}"
    return {"loc": ["body", "prompt"], "msg": message, "type": kind, "url": address, "input": given}
