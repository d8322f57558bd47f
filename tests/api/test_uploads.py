"""Files sent ahead: what is taken, what it is answered with, and what an address is good for."""

from __future__ import annotations

import asyncio
import hashlib
import time
from datetime import datetime

import pytest

from gateway.media import Media, inspect
from tests.api.uploading import DAY, FILES, MP4, PNG, files, upload
from tests.api.visitor import Visitor
from tests.cases import cases
from tests.made_media import film, picture, png_that_says, tone

# --- what is taken ----------------------------------------------------------------------------------------------------


async def test_an_image_is_described_by_its_bytes(gateway: Visitor, key: str) -> None:
    reply = await upload(gateway, key)
    assert reply.status == 201
    body = reply.body
    expires_at = datetime.fromisoformat(body.pop("expires_at"))
    assert DAY - 60 < expires_at.timestamp() - time.time() <= DAY + 3600
    assert expires_at.timestamp() % 3600 == 0
    assert body.pop("id") == body["url"]
    assert body.pop("url").startswith("upload:")
    assert body == {
        "object": "upload",
        "kind": "image",
        "content_type": "image/png",
        "bytes": len(PNG),
        "width": 64,
        "height": 48,
        "sha256": hashlib.sha256(PNG).hexdigest(),
    }


@cases(
    ("data", "content_type"),
    [
        (picture("JPEG"), "image/jpeg"),
        (picture("WEBP"), "image/webp; charset=binary"),
        (picture("GIF", frames=3), "image/gif"),
        (MP4, "video/mp4"),
        (film("webm", "libvpx-vp9"), "Video/WebM"),
        (film("mov"), "video/quicktime"),
        (tone(), "audio/wav"),
        (tone("webm", "libopus"), "audio/webm"),
    ],
)
async def test_every_format_on_the_list_is_taken(gateway: Visitor, data: bytes, content_type: str) -> None:
    reply = await upload(gateway, await gateway.account(), data, content_type)
    assert reply.status == 201, reply.raw
    assert (reply.body["bytes"], reply.body["kind"]) == (len(data), content_type.lower().partition("/")[0])
    assert ("duration_seconds" in reply.body) is (reply.body["kind"] != "image")
    assert ("width" in reply.body, "height" in reply.body) == (reply.body["kind"] != "audio",) * 2


@cases(
    ("data", "content_type", "path", "why"),
    [
        (b"", "image/png", "body", "is not one of image/png"),
        (b"only words", "image/png", "body", "is not one of image/png"),
        (b"only words", "application/octet-stream", "body", "is not one of image/png"),
        (PNG[:-100], "image/png", "body", "cannot be decoded"),
        (png_that_says(60_000, 60_000), "image/png", "body", "pixels"),
        (film(index_first=True)[:-50], "video/mp4", "body", "is truncated"),
        (MP4[: len(MP4) // 2], "video/mp4", "body", "truncated"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "image/png", "body", "is SVG, not one of image/png"),
        ((FILES / "image.tiff").read_bytes(), "image/tiff", "body", "is TIFF, not one of image/png"),
        ((FILES / "photo.heic").read_bytes()[:-40], "image/heic", "body", "cannot be decoded"),
        (b'{"url": "x"}', "application/json", "Content-Type", "send the file's bytes, as one of"),
    ],
)
async def test_what_is_no_image_or_video_or_another_than_it_says_is_refused_and_not_kept(
    gateway: Visitor, data: bytes, content_type: str, path: str, why: str
) -> None:  # fmt: skip
    reply = await upload(gateway, await gateway.account(), data, content_type)
    assert (reply.status, reply.code, reply.fields) == (422, "invalid_request", [path])
    assert why in reply.message
    assert files(gateway, "uploads") == []


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("photo.heic", "image/heic"),
        ("photo.heic", "image/avif"),
        ("image.avif", "image/heif"),
        ("image.avif", "application/octet-stream"),
    ],
)
async def test_heic_and_avif_are_kept_as_a_jpeg_and_counted_as_what_is_kept(
    gateway: Visitor, name: str, said: str
) -> None:
    key, data = await gateway.account(), (FILES / name).read_bytes()
    reply = await upload(gateway, key, data, said)
    assert reply.status == 201
    assert (reply.body["content_type"], reply.body["width"], reply.body["height"]) == ("image/jpeg", 64, 48)
    (kept,) = files(gateway, "uploads")
    assert kept.suffix == ".jpg"
    assert (reply.body["bytes"], reply.body["sha256"]) == (
        len(kept.read_bytes()),
        hashlib.sha256(kept.read_bytes()).hexdigest(),
    )
    assert inspect(kept.read_bytes()) == Media("image/jpeg", 64, 48)


@pytest.mark.parametrize(("data", "kind"), [(PNG, "image"), (MP4, "video")])
@cases(
    "headers",
    [
        {},
        *({"Content-Type": said} for said in ("application/octet-stream", "image/jpg", "video/x-m4v", "image/svg+xml")),
        *({"Content-Type": said} for said in ("image/jpeg", "video/quicktime", "application/json", "binary")),
    ],
)
async def test_the_bytes_decide_what_a_file_is_whatever_it_is_called(
    gateway: Visitor, data: bytes, kind: str, headers: dict[str, str]
) -> None:
    """Clients that are generated know one type of a file, browsers others than ours, and scripts send none at all."""
    reply = await gateway.call("POST", "/v1/uploads", await gateway.account(), raw=data, headers=headers)
    assert (reply.status, reply.body["kind"]) == (201, kind)


# --- idempotency ------------------------------------------------------------------------------------------------------


async def test_the_same_upload_with_the_same_key_is_the_same_upload(gateway: Visitor, key: str) -> None:
    first, second = await upload(gateway, key, once="k"), await upload(gateway, key, once="k")
    assert (first.status, second.status, second.headers["Idempotent-Replay"]) == (201, 200, "true")
    assert second.body == first.body
    assert len(files(gateway, "uploads")) == 1


@pytest.mark.parametrize(("data", "content_type"), [(picture("PNG", width=65), "image/png"), (PNG, "image/gif")])
async def test_another_body_or_type_with_the_same_key_is_refused(
    gateway: Visitor, key: str, data: bytes, content_type: str
) -> None:
    await upload(gateway, key, once="k")
    refused = await upload(gateway, key, data, content_type, once="k")
    assert (refused.status, refused.code) == (422, "idempotency_key_reused")


async def test_two_in_flight_with_one_key_make_one(gateway: Visitor, key: str) -> None:
    replies = await asyncio.gather(*(upload(gateway, key, once="k") for _ in range(4)))
    assert sorted(reply.status for reply in replies) == [200, 200, 200, 201]
    assert len({reply.body["url"] for reply in replies}) == 1
    assert len(files(gateway, "uploads")) == 1


async def test_a_refused_upload_is_not_remembered(gateway: Visitor, key: str) -> None:
    assert (await upload(gateway, key, b"words", once="k")).status == 422
    assert (await upload(gateway, key, once="k")).status == 201
