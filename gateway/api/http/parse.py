"""Parses requests: body, query, headers. Errors are reported field by field.

Only this module reads bodies, forms and queries, except for `intake.py`, which receives files: it limits the work that
a request can cause beyond its size. `tests/api/test_bounds.py` checks this for every route.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from contextlib import nullcontext
from itertools import islice
from typing import Any, TypeVar
from urllib.parse import parse_qsl

from aiohttp import web
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from gateway.api import limits
from gateway.api.access.auth import CALLER
from gateway.api.errors import ApiError, BodyTooLarge, BodyTooSlow, InvalidJson, InvalidRequest
from gateway.errors import FieldProblem
from gateway.json_text import to_json
from gateway.outside.strict_json import NotJson, NumbersNotHeld, TooManyValues, not_held, read_json
from gateway.schemas.base import FREE_TEXT_PATTERN, LINE_PATTERN, as_number, exact_decimal

FORM_TYPE = "application/x-www-form-urlencoded"
_DEEP = re.compile(r"([a-z_]+)\[(.*)\]", re.DOTALL)
_POINT_OR_EXPONENT = re.compile(rb"[0-9][.eE]")  # in every number that JSON parsers read as a float

# Created once: `json.dumps` creates one per call.
_CANONICAL = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)

_RAW = web.RequestKey("RAW", bytes)
DOCUMENT = web.RequestKey("DOCUMENT", object)
"""The body, once it was read."""
UNREAD = object()
"""In its place before that: `null` is a body too."""

_TOO_MANY = (
    f"The body has more than {limits.JSON_VALUES_MAX:,} JSON values, counting lists and objects. Nothing was done."
)
_NO_MEMBER = "is not a known field of this request"
_NOT_HELD = "must be a finite number within the range of a double"

# The message in place of a regular expression: by pattern, or by the field that has it.
_FORMS: dict[int | str, str] = {
    LINE_PATTERN: "must not contain control characters, line breaks or text-direction characters",
    FREE_TEXT_PATTERN: "must not contain NUL characters",
    "email": "must be an email address, such as ada@example.com",
    "before": "must be the `next` value of a page of this list",
    "from": "must be a date, such as 2026-11-22",
    "to": "must be a date, such as 2026-11-22",
}

M = TypeVar("M", bound=BaseModel)


async def raw_body(request: web.Request, *, signed: bool = False) -> bytes:
    """The request's body, decompressed; BodyTooLarge, or BodyTooSlow if the client takes too long to send it.

    Without a key the limit is smaller, unless the call is `signed` by a provider.
    """
    kept: bytes | None = request.get(_RAW)
    if kept is not None:
        return kept
    keyless = CALLER not in request and not signed
    most = limits.KEYLESS_BODY_MAX_BYTES if keyless else limits.BODY_MAX_BYTES
    if (request.content_length or 0) > most:
        raise _too_large(most)
    # Small bodies arrive with their request head: there is nothing to wait for.
    patience = nullcontext() if request.content.is_eof() else asyncio.timeout(limits.BODY_SECONDS)
    body = bytearray()
    try:
        async with patience:
            while chunk := await request.content.readany():
                body += chunk
                if len(body) > most:
                    raise _too_large(most)
    except TimeoutError:
        raise BodyTooSlow(
            f"The body did not arrive within {limits.BODY_SECONDS:g} seconds. Nothing was done."
        ) from None
    raw = request[_RAW] = bytes(body)
    return raw


async def read_body(request: web.Request, model: type[M]) -> M:
    """The request's body as `model`; InvalidJson or InvalidRequest (with `fields`) if it is not one.

    If a call requires nothing, a missing body counts as an empty object: many clients send none.
    """
    raw = await raw_body(request)
    if not raw.strip() and not requires_anything(model):
        raw = b"{}"
    try:
        document = request[DOCUMENT] = read_json(raw, most=limits.JSON_VALUES_MAX)
        if isinstance(document, dict) and len(document) > limits.FAULTS_MAX:
            _check_names(document, model)
        return model.model_validate_json(raw)  # which would read 1e-400 as 0
    except (NumbersNotHeld, TooManyValues) as error:
        _check_names(error.document, model)
        raise _refusal(error, "The body") from None
    except (NotJson, ValidationError) as error:
        raise _refusal(error, "The body") from None


async def read_object(request: web.Request) -> dict[str, Any]:
    """The request's body as a JSON object with another API's members; rejected as in `read_body`."""
    document = request[DOCUMENT] = _read(await raw_body(request))
    if not isinstance(document, dict):
        raise InvalidRequest("The body is invalid: it must be a JSON object.")
    return document


def shaped(members: Mapping[str, Any], model: type[M]) -> M:
    """A translated request as `model`; InvalidRequest if it is invalid."""
    try:
        return model.model_validate_json(json.dumps(members, default=as_number))
    except ValidationError as error:
        raise _refusal(error, "The request") from None


async def read_form(request: web.Request, model: type[M]) -> M:
    """The form sent by one of our pages, as `model`; InvalidRequest if it is invalid."""
    if request.content_type != FORM_TYPE:
        problem = FieldProblem("Content-Type", f"must be {FORM_TYPE}")
        raise InvalidRequest(f"The form must be sent as {FORM_TYPE}.", fields=[problem])
    try:
        text = (await raw_body(request)).decode()
        sent = parse_qsl(text, keep_blank_values=True, max_num_fields=limits.FORM_FIELDS_MAX)
        _check_once((name for name, _ in sent), "The form")
        return model.model_validate(dict(sent))
    except ValidationError as error:
        raise _refusal(error, "The form") from None
    except ValueError:  # not UTF-8, or thousands of fields
        raise InvalidRequest("The form cannot be read.") from None


def requires_anything(model: type[BaseModel]) -> bool:
    """Whether this shape has a required member."""
    return any(field.is_required() for field in model.model_fields.values())


def query_of(request: web.Request) -> Mapping[str, str]:
    """The request's raw query; InvalidRequest if it has more parameters than any call accepts."""
    if request.rel_url.raw_query_string.count("&") >= limits.QUERY_FIELDS_MAX:
        raise InvalidRequest(f"The query has more than {limits.QUERY_FIELDS_MAX} parameters.")
    return request.query


def read_query(request: web.Request, model: type[M]) -> M:
    """The request's query as `model`; a parameter given twice or unknown is refused."""
    query = query_of(request)
    _check_once((name for name, _ in query.items()), "The query")
    try:
        return model.model_validate(_folded(query, model))
    except ValidationError as error:
        raise _refusal(error, "The query") from None


def _folded(query: Mapping[str, str], model: type[BaseModel]) -> dict[str, Any]:
    """The query, with `metadata[order]=A-17` as a member of `metadata`, if the shape has one."""
    folded: dict[str, Any] = {}
    for name, value in query.items():
        deep = _DEEP.fullmatch(name)
        known = deep is not None and deep[1] in model.model_fields and deep[1] not in query
        if deep is not None and known:
            folded.setdefault(deep[1], {})[deep[2]] = value
        else:
            folded[name] = value
    return folded


def canonical_json(raw: bytes, document: object = UNREAD) -> str:
    """JSON with sorted members, no spaces, and one form per number (1.0 is 1); InvalidJson if it is not JSON.

    InvalidRequest if it has an unrepresentable number, or too many values. `document` is its parsed form, if known.
    """
    if not raw.strip():
        return ""
    value = _read(raw) if document is UNREAD else document
    if _POINT_OR_EXPONENT.search(raw):  # parsers and writers differ about floats: a digest must not
        return _CANONICAL.encode(_plain_numbers(value))
    try:
        return to_json(value, sorted_members=True).decode()
    except TypeError:  # a number above 64 bits
        return _CANONICAL.encode(value)


def _read(raw: bytes) -> Any:
    try:
        return read_json(raw, most=limits.JSON_VALUES_MAX)
    except NotJson as error:
        raise _refusal(error, "The body") from None


def _check_names(value: Any, model: type[BaseModel]) -> None:
    """InvalidRequest if a body has more unknown members than are listed; fewer are reported by its shape."""
    if not isinstance(value, dict):
        return
    known = {field.alias or name for name, field in model.model_fields.items()}
    unknown = list(islice((name for name in value if name not in known), limits.FAULTS_MAX + 1))
    if len(unknown) > limits.FAULTS_MAX:
        problems = [FieldProblem(name, _NO_MEMBER) for name in unknown[:-1]]
        raise InvalidRequest(
            f"The body is invalid: `{unknown[0]}` {_NO_MEMBER}.",
            fields=problems,
            fields_omitted=len(value) - sum(name in value for name in known) - len(problems),
        )


def _check_once(names: Iterable[str], what: str) -> None:
    doubled = sorted(name for name, times in Counter(names).items() if times > 1)
    if doubled:
        problems = [FieldProblem(name, "must be given only once") for name in doubled]
        raise InvalidRequest(f"{what} repeats a parameter.", fields=problems)


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


def _refusal(error: NotJson | ValidationError, what: str) -> ApiError:
    match error:
        case TooManyValues():
            return InvalidRequest(_TOO_MANY)
        case NumbersNotHeld(document=document):
            problems = [FieldProblem(path, _NOT_HELD) for path in islice(not_held(document), limits.FAULTS_MAX)]
            where = f"`{problems[0].path}`" if problems[0].path else "it"
            return InvalidRequest(f"{what} is invalid: {where} {_NOT_HELD}.", fields=problems)
        case NotJson():
            return InvalidJson(f"{what} {error}.")
    details = error.errors(include_url=False, include_input=False)
    if details[0]["type"] == "json_invalid":
        return InvalidJson(f"{what} is not valid JSON: {details[0]['msg'].removeprefix('Invalid JSON: ')}.")
    problems = [FieldProblem(_path(detail), _said(detail)) for detail in details[: limits.FAULTS_MAX]]
    first = problems[0]
    about = f"`{first.path}` {first.message}" if first.path else first.message
    return InvalidRequest(
        f"{what} is invalid: {about}.",
        fields=problems,
        fields_omitted=len(details) - len(problems),
    )


def _too_large(most: int) -> BodyTooLarge:
    if most < limits.BODY_MAX_BYTES:
        return BodyTooLarge(f"Without an API key, bodies are limited to {most // 1024} KiB. Nothing was done.")
    return BodyTooLarge(
        f"Bodies are limited to {most // 1024 // 1024} MiB. Upload large images and videos first (POST /v1/uploads), "
        "or pass them as https: URLs."
    )


def _path(detail: ErrorDetails) -> str:
    return ".".join(str(step) for step in detail["loc"])


def _said(detail: ErrorDetails) -> str:
    match detail["type"]:
        case "missing":
            return "is required"
        case "extra_forbidden":
            return _NO_MEMBER
        case "string_pattern_mismatch" if form := _FORMS.get(detail["ctx"]["pattern"], _FORMS.get(detail["loc"][-1])):
            return form
        case "dict_type" if "dictionary" in detail["msg"]:  # in a query; for a body pydantic's message has "object"
            return f"must be given key by key, as in {detail['loc'][-1]}[order]=A-17"
        case "value_error":
            return detail["msg"].removeprefix("Value error, ")
        case _:
            text = detail["msg"].removeprefix("Input ").rstrip(".")
            return text[:1].lower() + text[1:]
