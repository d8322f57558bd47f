"""Translates the parameters of an `openai` call, from JSON or a form, to our request body."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from gateway.api.access.auth import ACCOUNT_CALLER
from gateway.api.handlers.uploads import keep_upload
from gateway.api.http.intake import MULTIPART_TYPE, FormFile
from gateway.api.http.parse import DOCUMENT, canonical_json, raw_body, read_object
from gateway.api.services import INTAKE
from gateway.facades.calls import OURS, generation_of, model_of, prompt_of, settings_of
from gateway.facades.parameters import nothing_but, of_duration, refused, whole
from gateway.kinds import MediaKind
from gateway.outside.strict_json import read_json
from gateway.pricing.facade_settings import Sense, of_size
from gateway.schemas.generations import GenerationIn

READ_TIMEOUT_HEADER = "x-stainless-read-timeout"
LANGUAGE_HEADER = "x-stainless-lang"

_PART_OF_A_TABLE = re.compile(r"([A-Za-z_]+)\[([A-Za-z0-9_.-]+)\]", re.ASCII)
_LIST = "[]"
_USERS = ("user", "safety_identifier")
_READ_TIMEOUT_MAX = 3600


@dataclass(frozen=True, slots=True)
class Asked:
    """A call's parameters and files; `digest` covers all of them."""

    given: Mapping[str, Any]
    digest: str
    inputs: list[dict[str, str]] = field(default_factory=list)
    """As `inputs` of a create call, in the order of the form."""


SENSES: Mapping[str, Sense] = {
    "size": of_size,
    "quality": nothing_but("auto", "standard"),
    "background": nothing_but("auto"),
    "moderation": nothing_but("auto"),
    "output_format": nothing_but("png"),
    "output_compression": nothing_but(100, "100"),
    "input_fidelity": nothing_but("low"),
    "seconds": of_duration,
    "speed": nothing_but(1, 1.0, "1"),
}


async def read_asked(request: web.Request, files: Mapping[str, MediaKind | None]) -> Asked:
    """Read a call's parameters, from a form with files or from JSON; `files` are the accepted names of files."""
    if request.content_type != MULTIPART_TYPE:
        given = await read_object(request)
        digest = canonical_json(await raw_body(request), request[DOCUMENT])
        return Asked({name: value for name, value in given.items() if value is not None}, digest)
    async with request.app[INTAKE].form(request, request[ACCOUNT_CALLER].account) as form:
        for file in form.files:
            if file.name.removesuffix(_LIST) not in files:
                raise refused(file.name, "is not a file that this call takes")
        # In the form's order, except that a mask follows the image it belongs to.
        ordered = sorted(form.files, key=lambda file: list(files).index(file.name.removesuffix(_LIST)))
        inputs = [await _input(request, file, files[file.name.removesuffix(_LIST)]) for file in ordered]
        return Asked(_of_fields(form.fields), form.digest(), inputs)


async def _input(request: web.Request, file: FormFile, kind: MediaKind | None) -> dict[str, str]:
    kept = await keep_upload(request, file.content_type, file.body, None)
    if kind is not None and kept.kind != kind:
        raise refused(file.name, f"must be an {kind}" if kind is MediaKind.IMAGE else f"must be a {kind}")
    return {"kind": kept.kind, "url": kept.url}


def _of_fields(fields: Iterable[tuple[str, str]]) -> dict[str, Any]:
    """A form's fields; `sandbox[fail]=moderated` is a member of `sandbox`."""
    given: dict[str, Any] = {}
    for name, value in fields:
        part = _PART_OF_A_TABLE.fullmatch(name)
        place, key = (given, name) if part is None else (given.setdefault(part[1], {}), part[2])
        if not isinstance(place, dict) or key in place:
            raise refused(name, "must be given only once")
        place[key] = value if part is None and name not in OURS else _as_json(value)
    return given


def _as_json(value: str) -> Any:
    with suppress(ValueError):
        return read_json(value.encode())
    return value


def body_of(
    request: web.Request, asked: Asked, kind: MediaKind, *, default_model: str, elsewhere: Iterable[str]
) -> GenerationIn:
    """Translate the call to our request body; `elsewhere` are the parameters that the caller reads itself."""
    given = dict(asked.given)
    model_id = model_of(request, given.pop("model", default_model), kind)
    members: dict[str, Any] = {name: given.pop(name) for name in OURS if name in given}
    users = {name: given.pop(name) for name in _USERS if name in given}
    if users and isinstance(members.setdefault("metadata", {}), dict):
        members["metadata"] = users | members["metadata"]
    members |= {"prompt": prompt_of(request, model_id, given), "inputs": asked.inputs}
    members["outputs"] = whole(given, "n", 1, least=1)
    given.pop("n", None)
    for name in elsewhere:
        given.pop(name, None)
    return generation_of(
        request, model_id, members | {"settings": settings_of(request, model_id, "openai", given, SENSES)}
    )


def flag(given: Mapping[str, Any], name: str) -> bool:
    """A flag, which is text in a form."""
    value = given.get(name, False)
    if value in ("true", "false"):
        return bool(value == "true")
    if not isinstance(value, bool):
        raise refused(name, "must be true or false")
    return value


def word(given: Mapping[str, Any], name: str, allowed: tuple[str, ...]) -> str | None:
    """One of the allowed words, or None."""
    value = given.get(name)
    if value is not None and value not in allowed:
        raise refused(name, f"must be {' or '.join(json.dumps(one) for one in allowed)}")
    return value


def read_timeout(request: web.Request) -> float | None:
    """The package's read timeout, if it sends it."""
    text = request.headers.get(READ_TIMEOUT_HEADER, "")
    return min(float(text), _READ_TIMEOUT_MAX) if re.fullmatch(r"[0-9]{1,6}(\.[0-9]{1,6})?", text) else None
