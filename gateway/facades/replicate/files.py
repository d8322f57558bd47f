"""Files: our uploads, under an id that contains the upload's URL."""

from __future__ import annotations

import hashlib
import json
import re
from contextlib import suppress
from http import HTTPStatus
from typing import Any

from aiohttp import web

from gateway.api.access.auth import ACCOUNT_CALLER
from gateway.api.errors import NotFound
from gateway.api.handlers.uploads import keep_upload
from gateway.api.http.intake import FormFile
from gateway.api.http.respond import answer_json
from gateway.api.middleware.idempotency import once, seed
from gateway.api.services import INTAKE, OUTPUTS, UPLOAD_ADDRESSES
from gateway.errors import OutputMissing
from gateway.facades.parameters import refused
from gateway.facades.replicate.names import url_of
from gateway.outputs import UPLOAD_SCHEME, LinkState, upload_expires_at, upload_size
from gateway.outputs.names import content_type_of
from gateway.outputs.uploads import LIFETIME_SECONDS
from gateway.outside.strict_json import read_json
from gateway.schemas.base import utc

FILES_PATH = "/files"

_ID = re.compile(r"[A-Za-z0-9_.~-]{1,200}", re.ASCII)
_SLASH = "~"  # replaces `/` in an id, which is part of a path; URLs of uploads contain no `~`
_HOUR_SECONDS = 3600
_CONTENT = "content"
_METADATA = "metadata"
_METADATA_BYTES_MAX = 10_000


async def create(request: web.Request) -> web.StreamResponse:
    """`POST /replicate/v1/files`: a form with the file as `content`."""
    caller = request[ACCOUNT_CALLER]
    async with request.app[INTAKE].form(request, caller.account) as form:
        files = {file.name: file for file in form.files}
        unknown = (files.keys() | dict(form.fields).keys()) - {_CONTENT, _METADATA, "filename", "type"}
        if unknown:
            raise refused(min(unknown), "is not a part of this form")
        if _CONTENT not in files:
            raise refused(_CONTENT, "is required: send the file as the part `content`")
        _check_metadata(dict(form.fields).get(_METADATA), files.get(_METADATA))
        asked = f"{request.method}\n{request.path}\n{form.digest()}"
        digest = hashlib.sha256(asked.encode()).hexdigest()
        return await once(request, caller, lambda: _kept(request, files[_CONTENT]), digest=digest)


async def _kept(request: web.Request, content: FormFile) -> web.Response:
    kept = await keep_upload(request, content.content_type, content.body, seed(request))
    shape = _shape(request, kept.url) | {"etag": kept.sha256, "checksums": {"sha256": kept.sha256}}
    return answer_json(body=json.dumps(shape).encode(), status=HTTPStatus.CREATED)


async def get(request: web.Request) -> web.Response:
    """`GET /replicate/v1/files/{file}`."""
    address = await _own(request)
    return answer_json(body=json.dumps(_shape(request, address)).encode())


async def delete(request: web.Request) -> web.Response:
    """`DELETE /replicate/v1/files/{file}`: generations that have it as an input keep a copy."""
    await request.app[OUTPUTS].delete([_object_key(request, await _own(request))])
    return web.Response(status=HTTPStatus.NO_CONTENT)


def address_of(file: str) -> str | None:
    """The upload's URL in a file's id; None if it is invalid."""
    return f"{UPLOAD_SCHEME}{file.replace(_SLASH, '/')}" if _ID.fullmatch(file) else None


def _check_metadata(field: str | None, file: FormFile | None) -> None:
    """Metadata is not stored, so only empty metadata is accepted; JavaScript sends an empty object as a file."""
    raw = None if field is None else field.encode()
    if file is not None:
        file.body.file.seek(0)
        raw = file.body.file.read(_METADATA_BYTES_MAX)
    if raw is None:
        return
    with suppress(ValueError):
        if read_json(raw) == {}:
            return
    raise refused(_METADATA, "is not supported: nothing is kept of a file but its bytes")


async def _own(request: web.Request) -> str:
    """The URL of the file in the path; NotFound if it belongs to another account, or no longer exists."""
    address, missing = address_of(request.match_info["file"]), NotFound("There is no such file, or no longer.")
    if address is None:
        raise missing
    state, object_key = request.app[UPLOAD_ADDRESSES].open(request[ACCOUNT_CALLER].account, address)
    if state is not LinkState.VALID:
        raise missing
    try:
        await request.app[OUTPUTS].head(object_key)
    except OutputMissing:
        raise missing from None
    return address


def _object_key(request: web.Request, address: str) -> str:
    return request.app[UPLOAD_ADDRESSES].open(request[ACCOUNT_CALLER].account, address)[1]


def _shape(request: web.Request, address: str) -> dict[str, Any]:
    object_key, file = _object_key(request, address), address.removeprefix(UPLOAD_SCHEME).replace("/", _SLASH)
    expires_at = upload_expires_at(object_key)
    return {
        "id": file,
        "name": object_key.rpartition("/")[2],
        "content_type": content_type_of(object_key),
        "size": upload_size(object_key),
        "etag": file.rpartition(_SLASH)[2],
        "checksums": {},
        "metadata": {},
        # All uploads of one hour expire together, so only the start of that hour is known.
        "created_at": utc((expires_at - LIFETIME_SECONDS - _HOUR_SECONDS) * 1000),
        "expires_at": utc(expires_at * 1000),
        "urls": {"get": url_of(request, f"{FILES_PATH}/{file}")},
    }
