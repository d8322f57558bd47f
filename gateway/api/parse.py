"""Reading a request: its body, its query, its headers. What is wrong is said field by field."""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
from typing import Any, TypeVar
from urllib.parse import parse_qsl

from aiohttp import web
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails, from_json

from gateway.api import limits
from gateway.api.errors import ApiError, BodyTooSlow, InvalidJson, InvalidRequest
from gateway.errors import FieldProblem
from gateway.schemas.base import as_number, exact_decimal

FORM_TYPE = "application/x-www-form-urlencoded"
FORM_FIELDS_MAX = 100
IDEMPOTENCY_HEADER = "Idempotency-Key"
_VISIBLE_ASCII = re.compile(r"[!-~]{1,255}")
_POINT_OR_EXPONENT = re.compile(rb"[0-9][.eE]")  # in every number that JSON readers take for a float

# Made once: `json.dumps` makes one for each call.
_CANONICAL = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)

# What to say in place of a regular expression.
_FORMS: dict[int | str, str] = {
    "email": "must be an email address, such as ada@example.com",
    "before": "must be the `next` of a page of this list",
    "from": "must be a day, such as 2026-11-22",
    "to": "must be a day, such as 2026-11-22",
}

M = TypeVar("M", bound=BaseModel)


async def raw_body(request: web.Request) -> bytes:
    """The request's body, unless it takes its client too long to send it."""
    if request.content.is_eof():  # as small ones come, together with their head: there is nothing to wait for
        return await request.read()
    try:
        async with asyncio.timeout(limits.BODY_SECONDS):
            return await request.read()
    except TimeoutError:
        raise BodyTooSlow(f"The body did not come within {limits.BODY_SECONDS:g} seconds. Nothing was done.") from None


async def read_body(request: web.Request, model: type[M]) -> M:
    """The request's body as `model`; InvalidJson or InvalidRequest (with `fields`) if it is not one.

    No body at all is an empty object to a call that requires nothing: many clients send none.
    """
    raw = await raw_body(request)
    if not raw.strip() and not requires_anything(model):
        raw = b"{}"
    try:
        return model.model_validate_json(raw)
    except ValidationError as error:
        raise _refusal(error, "The body") from None


async def read_form(request: web.Request, model: type[M]) -> M:
    """The form that a page of ours sends as `model`; InvalidRequest if it is not one."""
    if request.content_type != FORM_TYPE:
        problem = FieldProblem("Content-Type", f"must be {FORM_TYPE}")
        raise InvalidRequest(f"The form must be sent as {FORM_TYPE}.", fields=[problem])
    try:
        sent = parse_qsl((await raw_body(request)).decode(), keep_blank_values=True, max_num_fields=FORM_FIELDS_MAX)
        return model.model_validate(dict(sent))
    except ValidationError as error:
        raise _refusal(error, "The form") from None
    except ValueError:  # not UTF-8, or thousands of fields
        raise InvalidRequest("The form cannot be read.") from None


def requires_anything(model: type[BaseModel]) -> bool:
    """Whether a body of this shape must have a member."""
    return any(field.is_required() for field in model.model_fields.values())


def read_query(request: web.Request, model: type[M]) -> M:
    """The request's query as `model`; a parameter given twice or unknown is refused."""
    query = request.query
    doubled = sorted({name for name in query if len(query.getall(name)) > 1})
    if doubled:
        problems = [FieldProblem(name, "must be given once") for name in doubled]
        raise InvalidRequest("The query names a parameter twice.", fields=problems)
    try:
        return model.model_validate(dict(query))
    except ValidationError as error:
        raise _refusal(error, "The query") from None


def idempotency_key(request: web.Request) -> str | None:
    """The caller's `Idempotency-Key`, if any."""
    key = request.headers.get(IDEMPOTENCY_HEADER)
    if key is not None and not _VISIBLE_ASCII.fullmatch(key):
        problem = FieldProblem(IDEMPOTENCY_HEADER, "must be 1 to 255 visible ASCII characters, without spaces")
        raise InvalidRequest(f"The {IDEMPOTENCY_HEADER} header is not usable.", fields=[problem])
    return key


async def request_digest(request: web.Request) -> str:
    """What makes two requests the same (R11): method, path and the body as canonical JSON."""
    body = canonical_json(await raw_body(request))
    return hashlib.sha256(f"{request.method}\n{request.path}\n{body}".encode()).hexdigest()


def canonical_json(raw: bytes) -> str:
    """JSON with sorted members, no spaces, and one spelling for each number (1.0 is 1); InvalidJson if it is none."""
    if not raw.strip():
        return ""
    try:
        document = from_json(raw, allow_inf_nan=False)
        return _CANONICAL.encode(_plain_numbers(document) if _POINT_OR_EXPONENT.search(raw) else document)
    except ValueError as error:
        raise InvalidJson(f"The body is not JSON: {error}.") from None


def _plain_numbers(document: Any) -> Any:
    match document:
        case float() if document.is_integer():
            return as_number(exact_decimal(document))
        case dict():
            return {name: _plain_numbers(member) for name, member in document.items()}
        case list():
            return [_plain_numbers(member) for member in document]
        case _:
            return document


def _refusal(error: ValidationError, what: str) -> ApiError:
    details = error.errors(include_url=False, include_context=False, include_input=False)
    if details[0]["type"] == "json_invalid":
        return InvalidJson(f"{what} is not JSON: {details[0]['msg'].removeprefix('Invalid JSON: ')}.")
    problems = [FieldProblem(_path(detail), _said(detail)) for detail in details]
    first = problems[0]
    about = f"`{first.path}` {first.message}" if first.path else first.message
    return InvalidRequest(f"{what} is not what this call takes: {about}.", fields=problems)


def _path(detail: ErrorDetails) -> str:
    return ".".join(str(step) for step in detail["loc"])


def _said(detail: ErrorDetails) -> str:
    match detail["type"]:
        case "missing":
            return "is required"
        case "extra_forbidden":
            return "is not a member of this request"
        case "string_pattern_mismatch" if detail["loc"][-1] in _FORMS:
            return _FORMS[detail["loc"][-1]]
        case "value_error":
            return detail["msg"].removeprefix("Value error, ")
        case _:
            text = detail["msg"].removeprefix("Input ").rstrip(".")
            return text[:1].lower() + text[1:]
