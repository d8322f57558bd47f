"""An S3 look-alike on a port of its own: buckets, access keys, and the ways in which a real one is away.

It knows what obstore asks for: objects with ranges, copies, lists, deletions in bulk, uploads in parts. It looks at the
access key and not at the signature. Its errors are S3's own, in XML, for their codes are what operators are told.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any
from xml.sax.saxutils import escape

from aiohttp import web

from tests.free_ports import free_port
from tests.until import until

ACCESS_KEY, SECRET_KEY = "AKIAFAREBOXTESTS0001", "a-secret-that-opens-nothing"
BUCKET = "outputs"
_CREDENTIAL = re.compile(r"Credential=([^/,]+)/")
_RANGE = re.compile(r"bytes=(\d+)-(\d*)")


class S3Server:
    """The server. `objects` by bucket and key; `asked` counts requests by method; `access_key` is the one it takes."""

    access_key = ACCESS_KEY

    def __init__(self) -> None:
        self.port = free_port()
        self.objects: dict[str, dict[str, bytes]] = {BUCKET: {}}
        self.asked: Counter[str] = Counter()
        self.refuses: str | None = None
        """An error code that every request gets, such as `SlowDown`."""
        self.hangs = False
        """Requests are taken in, and answered when it is over."""
        self._parts: dict[str, dict[int, bytes]] = {}
        self._runner: web.AppRunner | None = None

    @property
    def address(self) -> str:
        """Its endpoint."""
        return f"http://127.0.0.1:{self.port}"

    def environment(self, key: str = ACCESS_KEY) -> dict[str, str]:
        """What a process needs to reach it, in the names of AWS."""
        return {
            "AWS_ENDPOINT_URL": self.address,
            "AWS_ALLOW_HTTP": "true",
            "AWS_REGION": "us-east-1",
            "AWS_ACCESS_KEY_ID": key,
            "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
        }

    async def back(self) -> None:
        """Listen; at the same port each time."""
        app = web.Application(client_max_size=2**30)
        app.router.add_route("*", "/{bucket}", self._of_bucket)
        app.router.add_route("*", "/{bucket}/{key:.*}", self._of_object)
        self._runner = web.AppRunner(app, shutdown_timeout=0)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self.port, reuse_address=True).start()

    async def away(self) -> None:
        """Listen no more, and end all connections."""
        self.hangs = False
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    # --- requests ---------------------------------------------------------------------------------------------------

    async def _of_bucket(self, request: web.Request) -> web.Response:
        refusal = await self._refusal(request)
        if refusal is not None:
            return refusal
        objects = self.objects[request.match_info["bucket"]]
        if request.method == "POST" and "delete" in request.query:
            keys = re.findall(r"<Key>([^<]*)</Key>", await request.text())
            for key in keys:
                objects.pop(key, None)
            deleted = "".join(f"<Deleted><Key>{escape(key)}</Key></Deleted>" for key in keys)
            return _xml(f"<DeleteResult>{deleted}</DeleteResult>")
        return _xml(_listed(objects, request.query.get("prefix", ""), request.query.get("delimiter", "")))

    async def _of_object(self, request: web.Request) -> web.Response:
        if not request.match_info["key"]:
            return await self._of_bucket(request)
        refusal = await self._refusal(request)
        if refusal is not None:
            return refusal
        objects, key = self.objects[request.match_info["bucket"]], request.match_info["key"]
        match request.method:
            case "PUT" | "POST":
                return await self._write(request, objects, key)
            case "DELETE":
                objects.pop(key, None)
                return web.Response(status=204)
            case _:
                return _read(request, objects, key)

    async def _write(self, request: web.Request, objects: dict[str, bytes], key: str) -> web.Response:
        query = request.query
        if "uploads" in query:
            upload = secrets.token_hex(8)
            self._parts[upload] = {}
            return _xml(f"<InitiateMultipartUploadResult><UploadId>{upload}</UploadId></InitiateMultipartUploadResult>")
        body = await request.read()
        if "partNumber" in query:
            self._parts[query["uploadId"]][int(query["partNumber"])] = body
            return web.Response(headers={"ETag": _etag(body)})
        if "uploadId" in query:
            parts = self._parts.pop(query["uploadId"])
            objects[key] = b"".join(parts[number] for number in sorted(parts))
            return _xml(
                f"<CompleteMultipartUploadResult><ETag>{_etag(objects[key])}</ETag></CompleteMultipartUploadResult>"
            )
        source = request.headers.get("x-amz-copy-source")
        if source is not None:
            bucket, _, name = source.lstrip("/").partition("/")
            if name not in self.objects[bucket]:
                return _error("NoSuchKey", 404)
            objects[key] = self.objects[bucket][name]
            return _xml("<CopyObjectResult></CopyObjectResult>")
        objects[key] = body
        return web.Response(headers={"ETag": _etag(body)})

    async def _refusal(self, request: web.Request) -> web.Response | None:
        self.asked[request.method] += 1
        await until(lambda: not self.hangs)
        if self.refuses is not None:
            return _error(self.refuses, 503)
        presigned = f"Credential={request.query.get('X-Amz-Credential', '')}"
        said = _CREDENTIAL.search(request.headers.get("Authorization", presigned))
        if said is None:
            return _error("AccessDenied", 403)
        if said[1] != self.access_key:
            return _error("InvalidAccessKeyId", 403, f"<AWSAccessKeyId>{said[1]}</AWSAccessKeyId>")
        if request.match_info["bucket"] not in self.objects:
            return _error("NoSuchBucket", 404)
        return None


@asynccontextmanager
async def s3_server() -> AsyncIterator[S3Server]:
    """A server that listens."""
    server = S3Server()
    await server.back()
    try:
        yield server
    finally:
        await server.away()


def _read(request: web.Request, objects: Mapping[str, bytes], key: str) -> web.Response:
    if key not in objects:
        return _error("NoSuchKey", 404)
    data = objects[key]
    headers = {"ETag": _etag(data), "Last-Modified": "Sun, 29 Nov 2026 06:00:00 GMT", "Accept-Ranges": "bytes"}
    asked = _RANGE.fullmatch(request.headers.get("Range", ""))
    if asked is None:
        headers["Content-Length"] = str(len(data))  # aiohttp leaves it out of an answer to HEAD without a body
        return web.Response(body=data, headers=headers)
    start, end = int(asked[1]), min(int(asked[2] or len(data) - 1), len(data) - 1)
    headers["Content-Range"] = f"bytes {start}-{end}/{len(data)}"
    return web.Response(status=206, body=data[start : end + 1], headers=headers)


def _listed(objects: Mapping[str, bytes], prefix: str, delimiter: str) -> str:
    contents, folders = [], set()
    for key in sorted(key for key in objects if key.startswith(prefix)):
        rest = key.removeprefix(prefix)
        if delimiter and delimiter in rest:
            folders.add(prefix + rest.partition(delimiter)[0] + delimiter)
        else:
            contents.append(
                f"<Contents><Key>{escape(key)}</Key><LastModified>2026-11-29T06:00:00.000Z</LastModified>"
                f"<ETag>{_etag(objects[key])}</ETag><Size>{len(objects[key])}</Size></Contents>"
            )
    prefixes = [f"<CommonPrefixes><Prefix>{escape(one)}</Prefix></CommonPrefixes>" for one in sorted(folders)]
    return f"<ListBucketResult><IsTruncated>false</IsTruncated>{''.join(contents + prefixes)}</ListBucketResult>"


def _error(code: str, status: int, more: str = "") -> web.Response:
    return _xml(f"<Error><Code>{code}</Code><Message>{code} here</Message>{more}</Error>", status=status)


def _xml(text: str, **options: Any) -> web.Response:
    return web.Response(body=f"<?xml version='1.0'?>{text}".encode(), content_type="application/xml", **options)


def _etag(data: bytes) -> str:
    return f'"{hashlib.md5(data, usedforsecurity=False).hexdigest()}"'
