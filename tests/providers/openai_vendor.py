"""A strict Images API: what OpenAI's refuses, this refuses, in its words.

`test_openai_images.py` has OpenAI's own SDK call it, so that it answers as the real one does.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from aiohttp import BodyPartReader, web

from tests.providers.vendor import KEY, Fault, Vendor, answering, as_json

MODELS = frozenset({"gpt-image-2", "flux.1-dev"})
_SIZE = re.compile(r"auto|\d{2,4}x\d{2,4}")
_TYPES = {"image/png", "image/jpeg", "image/webp"}


def one_of(*values: str) -> Callable[[Any], bool]:
    return lambda value: value in values


def whole(low: int, high: int) -> Callable[[Any], bool]:
    return lambda value: type(value) is int and low <= value <= high


FIELDS: Mapping[str, Callable[[Any], bool]] = {
    "model": lambda value: isinstance(value, str),
    "prompt": lambda value: isinstance(value, str) and 0 < len(value) <= 32_000,
    "n": whole(1, 10),
    "size": lambda value: isinstance(value, str) and _SIZE.fullmatch(value) is not None,
    "quality": one_of("auto", "low", "medium", "high"),
    "background": one_of("auto", "opaque", "transparent"),
    "output_format": one_of("png", "jpeg", "webp"),
    "output_compression": whole(0, 100),
    "moderation": one_of("auto", "low"),
    "user": lambda value: isinstance(value, str),
}
EDIT_FIELDS = {name: check for name, check in FIELDS.items() if name != "moderation"} | {
    "input_fidelity": one_of("high", "low")
}
_NUMBERS = frozenset({"n", "output_compression"})


class Refused(Exception):
    """A request that the real one refuses: status, code, text, and the parameter that is at fault."""

    def __init__(self, status: int, code: str | None, message: str, param: str | None = None) -> None:
        super().__init__(message)
        self.status, self.code, self.param = status, code, param


def error(status: int, code: str | None, message: str, kind: str = "invalid_request_error") -> Fault:
    return answering(status, {"error": {"message": message, "type": kind, "param": None, "code": code}})


@dataclass
class OpenAiVendor(Vendor):
    """Answers with base64, as OpenAI does; with `by_url` with addresses, as LocalAI does."""

    kind: ClassVar[str] = "openai"

    by_url: bool = False
    keys: list[str] = field(default_factory=list)

    def card(self) -> str:
        return f"""
[providers.box]
kind = "openai"
base_url = "{self.url}/v1"
key_env = "BOX_KEY"
[models.flux-dev]
name = "FLUX dev"
tool = "image"
provider = "box"
provider_model = "flux.1-dev"
outputs_max = 12
inputs = {{ image = 4 }}
[models.flux-dev.settings]
resolution = {{ values = ["1K", "2K"] }}
[models.flux-dev.provider_settings]
always = {{ output_compression = 90 }}
resolution = {{ "1K" = {{ size = "1024x1024" }}, "2K" = {{ size = "2048x2048" }} }}
[[models.flux-dev.rates]]
credits = 5
"""

    def rejections(self) -> list[Fault]:
        return [error(400, "invalid_value", "Invalid value: '7x7'.")]

    def inputs_of(self, job: str) -> list[bytes]:
        inputs: list[bytes] = self.jobs[job].asked["inputs"]
        return inputs

    def routes(self) -> Iterable[web.AbstractRouteDef]:
        yield web.post("/v1/images/generations", self.generate)
        yield web.post("/v1/images/edits", self.edit)
        yield web.get("/generated/{job}/{number}", self.file)

    async def generate(self, request: web.Request) -> web.Response:
        return await self._answer(request, self._read_json, FIELDS)

    async def edit(self, request: web.Request) -> web.Response:
        return await self._answer(request, self._read_form, EDIT_FIELDS)

    async def file(self, request: web.Request) -> web.Response:
        return web.Response(body=self.jobs[request.match_info["job"]].made[int(request.match_info["number"])])

    async def _answer(
        self, request: web.Request, read: Callable[[web.Request], Any], fields: Mapping[str, Callable[[Any], bool]]
    ) -> web.Response:
        if request.headers.get("Authorization") != f"Bearer {KEY}":
            return error(401, "invalid_api_key", f"Incorrect API key: {request.headers.get('Authorization')}")()
        try:
            asked = await read(request)
            check(asked, fields)
        except Refused as refused:
            return error(refused.status, refused.code, str(refused))()
        self.keys.append(request.headers.get("Idempotency-Key", ""))
        if (fault := self.fault()) is not None:
            return fault
        job = str(len(self.jobs) + 1)
        self.take(job, asked, asked.get("n", 1))
        self.after_submit(request)
        entries = [self._entry(job, number, data) for number, data in enumerate(self.ready(job))]
        usage = {"input_tokens": 5, "output_tokens": 9, "total_tokens": 14}
        return web.json_response({"created": 1_790_000_000, "data": entries, "usage": usage})

    def _entry(self, job: str, number: int, data: bytes) -> dict[str, str]:
        if self.by_url:
            return {"url": f"{self.url}/generated/{job}/{number}"}
        return {"b64_json": base64.b64encode(data).decode()}

    async def _read_json(self, request: web.Request) -> dict[str, Any]:
        if request.content_type != "application/json":
            raise Refused(400, "unsupported_content_type", f"Unsupported content type: '{request.content_type}'.")
        try:
            return as_json(await request.read())
        except ValueError:
            raise Refused(400, None, "We could not parse the JSON body of your request.") from None

    async def _read_form(self, request: web.Request) -> dict[str, Any]:
        if request.content_type != "multipart/form-data":
            raise Refused(400, "unsupported_content_type", "This API method only accepts 'multipart/form-data'.")
        asked: dict[str, Any] = {"inputs": []}
        names = []
        async for part in await request.multipart():
            assert isinstance(part, BodyPartReader)
            if part.name in {"image", "image[]"}:
                kind = part.headers.get("Content-Type", "application/octet-stream")
                if kind not in _TYPES or part.filename is None:
                    raise Refused(400, "unsupported_file_mimetype", f"Invalid file: unsupported mimetype ('{kind}').")
                names.append(part.name)
                asked["inputs"].append(bytes(await part.read(decode=True)))
            elif part.name is not None:
                text = await part.text()
                asked[part.name] = int(text) if part.name in _NUMBERS and text.isdecimal() else text
        if not names:
            raise Refused(400, "missing_required_parameter", "Missing required parameter: 'image'.", "image")
        if len(names) > 1 and set(names) != {"image[]"}:
            raise Refused(400, "duplicate_parameter", "Duplicate parameter: 'image'. Use the array syntax 'image[]'.")
        return asked


def check(asked: Mapping[str, Any], fields: Mapping[str, Callable[[Any], bool]]) -> None:
    """Refuse as the real one does what it does not know or take."""
    for name, value in asked.items():
        if name == "inputs":
            continue
        if name not in fields:
            raise Refused(400, "unknown_parameter", f"Unknown parameter: '{name}'.", name)
        if not fields[name](value):
            raise Refused(400, "invalid_value", f"Invalid value for '{name}'.", name)
    if "prompt" not in asked:
        raise Refused(400, "missing_required_parameter", "Missing required parameter: 'prompt'.", "prompt")
    if asked.get("model") not in MODELS:
        raise Refused(404, "model_not_found", f"The model '{asked.get('model')}' does not exist.", "model")
