"""Files sent ahead: what is taken, what it is answered with, and what an address is good for."""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import io
import time
from collections.abc import AsyncIterator
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO

import pytest

from gateway.api import limits, services
from gateway.errors import OutputMissing
from gateway.ledger import outcomes as o
from gateway.media import Media, Readers, fair, look
from tests.api.visitor import SKETCH, Reply, Visitor, open_gateway
from tests.made_media import film, picture, png_that_says
from tests.until import until

FILES = Path(__file__).parents[1] / "media_files"
PNG = picture("PNG")
MP4 = film()
DAY = 24 * 3600


async def upload(
    gateway: Visitor, key: str | None, data: bytes = PNG, content_type: str = "image/png", once: str | None = None
) -> Reply:
    headers = {"Content-Type": content_type} | ({"Idempotency-Key": once} if once else {})
    return await gateway.call("POST", "/v1/uploads", key, headers=headers, raw=data)


async def uploaded(gateway: Visitor, key: str, data: bytes = PNG, content_type: str = "image/png") -> str:
    """The address of a new upload."""
    reply = await upload(gateway, key, data, content_type)
    assert reply.status == 201, reply.raw
    return str(reply.body["url"])


def an_input(address: str, kind: str = "image") -> list[dict[str, str]]:
    return [{"kind": kind, "url": address}]


def files(gateway: Visitor, place: str) -> list[Path]:
    folder = gateway.app[services.SETTINGS].data / "outputs" / place
    return [path for path in folder.rglob("*") if path.is_file()]


async def stored_input(gateway: Visitor, generation: str, number: int = 0) -> bytes:
    found = await gateway.ledger.generation(generation=generation)
    assert isinstance(found, o.Generation)
    return await gateway.app[services.OUTPUTS].get(found.request.inputs[number].url)


# --- what is taken ----------------------------------------------------------------------------------------------------


async def test_an_image_is_described_by_its_bytes(gateway: Visitor) -> None:
    key = await gateway.account()
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


@pytest.mark.parametrize(
    ("data", "content_type"),
    [
        (picture("JPEG"), "image/jpeg"),
        (picture("WEBP"), "image/webp; charset=binary"),
        (picture("GIF", frames=3), "image/gif"),
        (MP4, "video/mp4"),
        (film("webm", "libvpx-vp9"), "Video/WebM"),
        (film("mov"), "video/quicktime"),
    ],
)
async def test_every_format_on_the_list_is_taken(gateway: Visitor, data: bytes, content_type: str) -> None:
    reply = await upload(gateway, await gateway.account(), data, content_type)
    assert reply.status == 201, reply.raw
    assert (reply.body["bytes"], reply.body["kind"]) == (len(data), content_type.lower().partition("/")[0])
    assert ("duration_seconds" in reply.body) is (reply.body["kind"] == "video")


@pytest.mark.parametrize(
    ("data", "content_type", "path", "why"),
    [
        (b"", "image/png", "body", "is none of image/png"),
        (b"only words", "image/png", "body", "is none of image/png"),
        (b"only words", "application/octet-stream", "body", "is none of image/png"),
        (PNG[:-100], "image/png", "body", "does not decode"),
        (png_that_says(60_000, 60_000), "image/png", "body", "pixels"),
        (film(index_first=True)[:-50], "video/mp4", "body", "is cut short"),
        (MP4[: len(MP4) // 2], "video/mp4", "body", "cut short"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "image/png", "body", "is SVG, none of image/png"),
        ((FILES / "image.tiff").read_bytes(), "image/tiff", "body", "is TIFF, none of image/png"),
        ((FILES / "photo.heic").read_bytes()[:-40], "image/heic", "body", "does not decode"),
        (b'{"url": "x"}', "application/json", "Content-Type", "one of"),
    ],
)
async def test_what_is_no_image_or_video_or_another_than_it_says_is_refused_and_not_kept(
    gateway: Visitor, data: bytes, content_type: str, path: str, why: str
) -> None:  # fmt: skip
    reply = await upload(gateway, await gateway.account(), data, content_type)
    assert (reply.status, reply.code, reply.fields) == (422, "invalid_request", [path])
    assert why in reply.message
    assert files(gateway, "uploads") == []


@pytest.mark.parametrize("name", ["photo.heic", "image.avif"])
@pytest.mark.parametrize("said", ["image/heic", "image/heif", "image/avif", "application/octet-stream"])
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
    assert look(kept.read_bytes()) == Media("image/jpeg", 64, 48)


@pytest.mark.parametrize(("data", "kind"), [(PNG, "image"), (MP4, "video")])
@pytest.mark.parametrize(
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


async def test_only_an_account_uploads(gateway: Visitor) -> None:
    assert (await upload(gateway, None)).status == 401
    assert (await upload(gateway, gateway.admin)).status == 403
    assert (await upload(gateway, await gateway.operator_key("ops"))).status == 403


async def test_a_revoked_key_uploads_nothing_at_once(gateway: Visitor) -> None:
    await gateway.account()
    made = (await gateway.call("POST", "/v1/admin/accounts/acme/keys", gateway.admin, {})).body
    assert (await upload(gateway, made["key"])).status == 201
    await gateway.call("DELETE", f"/v1/admin/accounts/acme/keys/{made['id']}", gateway.admin)
    assert (await upload(gateway, made["key"])).status == 401


# --- limits -----------------------------------------------------------------------------------------------------------


async def test_the_largest_upload_is_taken_and_one_byte_more_is_not(
    gateway: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Said at the start by its length, or in the middle if that was not said."""
    key = await gateway.account()
    monkeypatch.setattr(limits, "UPLOAD_MAX_BYTES", len(PNG))
    assert (await upload(gateway, key)).status == 201
    for raw in (PNG + b"x", _in_chunks(PNG + b"x")):
        headers = {"Content-Type": "image/png", "Authorization": f"Bearer {key}"}
        async with gateway.session.post(f"{gateway.address}/v1/uploads", data=raw, headers=headers) as response:
            assert response.status == 413
            assert (await response.json())["error"]["code"] == "body_too_large"
    assert len(files(gateway, "uploads")) == 1


async def test_an_account_whose_files_take_long_to_look_into_keeps_no_other_waiting(
    gateway: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two looks at once were all accounts': eight files of one that took 20 s each were 80 s for everybody else."""
    key, other = await gateway.account(), await gateway.account("other")
    slow, go_on, now = picture("PNG", width=65), asyncio.Event(), 0

    async def look_slowly(_: Readers, file: BinaryIO) -> Media:
        nonlocal now
        if (media := look(file)).width == 65:
            now += 1
            await go_on.wait()
        return media

    monkeypatch.setattr(Readers, "look", look_slowly)
    async with asyncio.TaskGroup() as group:
        mine = [group.create_task(upload(gateway, key, slow)) for _ in range(limits.UPLOADS_MAX)]
        await until(lambda: not (not now or gateway.app[services.INTAKE].coming_in < limits.UPLOADS_MAX))
        async with asyncio.timeout(30):
            assert (await upload(gateway, other)).status == 201
        assert now == 1
        go_on.set()
    assert [task.result().status for task in mine] == [201] * limits.UPLOADS_MAX


async def test_files_of_two_accounts_that_take_long_keep_no_third_waiting(
    gateway: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A GIF of 1 MB is decoded for 20 seconds and more: two accounts had both readers, and all others none."""
    monkeypatch.setattr(fair, "QUICK_SECONDS", 0.01)
    slow, go_on = picture("PNG", width=65), asyncio.Event()

    async def look_slowly(_: Readers, file: BinaryIO) -> Media:
        if (media := look(file)).width == 65:
            await go_on.wait()
        return media

    monkeypatch.setattr(Readers, "look", look_slowly)
    keys = [await gateway.account(name) for name in ("one", "two", "three")]
    async with asyncio.TaskGroup() as group:
        long = [group.create_task(upload(gateway, key, slow)) for key in keys[:2] for _ in range(limits.UPLOADS_MAX)]
        await until(lambda: gateway.app[services.INTAKE].coming_in >= len(long))
        for _ in range(5):
            assert (await upload(gateway, keys[2])).status == 201
        assert not any(task.done() for task in long)
        go_on.set()
    assert {task.result().status for task in long} == {201}


async def test_the_time_that_an_accounts_files_take_is_limited_also_when_they_are_refused(
    gateway: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [1_000.0]
    monkeypatch.setattr(fair, "now", lambda: now[0])

    async def take_long(_: Readers, file: BinaryIO) -> Media:
        now[0] += 15
        return look(file)

    monkeypatch.setattr(Readers, "look", take_long)
    key, other = await gateway.account(), await gateway.account("other")
    damaged = PNG[: len(PNG) // 2]
    assert (await upload(gateway, key, damaged)).status == 422
    assert (await upload(gateway, key, damaged)).status == 422, "15 of 20 seconds were used"
    limited = await upload(gateway, key)
    assert (limited.status, limited.code) == (429, "rate_limited")
    assert limited.headers["Retry-After"] == "15", "5 of the 20 are given back by then"
    assert limited.error["seconds_a_minute"] == 20
    assert (await upload(gateway, other)).status == 201
    now[0] += 15
    assert (await upload(gateway, key)).status == 201
    metrics = (await gateway.call("GET", "/metrics")).raw.decode()
    for outcome, count in (("read", 2), ("refused", 2), ("limited", 1)):
        assert f'farebox_upload_looks_total{{outcome="{outcome}"}} {count}.0' in metrics


async def _in_chunks(data: bytes) -> AsyncIterator[bytes]:
    for at in range(0, len(data), 100):
        yield data[at : at + 100]


async def test_a_bomb_of_packed_bytes_ends_at_the_limit(gateway: Visitor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "UPLOAD_MAX_BYTES", 1_000_000)
    headers = {"Content-Type": "image/png", "Content-Encoding": "gzip"}
    key = await gateway.account()
    packed = await gateway.call("POST", "/v1/uploads", key, headers=headers, raw=gzip.compress(bytes(100_000_000)))
    assert (packed.status, packed.code) == (413, "body_too_large")
    fine = await gateway.call("POST", "/v1/uploads", key, headers=headers, raw=gzip.compress(PNG))
    assert (fine.status, fine.body["bytes"]) == (201, len(PNG))


async def test_a_large_upload_is_never_in_memory_as_a_whole(
    gateway: Visitor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is written at once is a block and what came in with its last piece, however large the file is."""
    written: list[int] = []

    class Noting(io.FileIO):
        def write(self, block: Any) -> int:
            written.append(len(block))
            return super().write(block)

    monkeypatch.setattr("tempfile.TemporaryFile", lambda **_: Noting(tmp_path / "noting", "w+"))
    data = PNG + bytes(12_000_000)
    reply = await upload(gateway, await gateway.account(), data)
    assert (reply.status, reply.body["bytes"]) == (201, len(data))
    assert sum(written) == len(data)
    assert max(written) < 2 * 1024 * 1024
    assert [path.read_bytes() for path in files(gateway, "uploads")] == [data]


async def test_an_account_may_have_so_many_coming_in_at_once_and_another_has_its_own(
    gateway: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "UPLOADS_MAX", 1)
    key, other = await gateway.account(), await gateway.account("other")
    go_on = asyncio.Event()

    async def held() -> AsyncIterator[bytes]:
        yield PNG[:10]
        await go_on.wait()
        yield PNG[10:]

    async def slow() -> int:
        headers = {"Content-Type": "image/png", "Authorization": f"Bearer {key}"}
        async with gateway.session.post(f"{gateway.address}/v1/uploads", data=held(), headers=headers) as response:
            return response.status

    first = asyncio.create_task(slow())
    await until(lambda: gateway.app[services.INTAKE].coming_in)
    refused = await upload(gateway, key)
    assert (refused.status, refused.code) == (429, "rate_limited")
    assert refused.headers["Retry-After"] == "5"
    assert (await upload(gateway, other)).status == 201
    go_on.set()
    assert await first == 201
    assert (await upload(gateway, key)).status == 201


async def test_what_an_account_may_upload_in_a_day_is_counted_by_what_is_kept(redis_url: str, tmp_path: Path) -> None:
    large = PNG + bytes(45_000_000)  # of 107,374,182 bytes
    async with open_gateway(redis_url, tmp_path, upload_gib_per_day=0.1) as gateway:
        key, other = await gateway.account(), await gateway.account("other")
        assert (await upload(gateway, key, large, once="a")).status == 201
        assert (await upload(gateway, key, large, once="a")).status == 200, "a replay costs nothing"
        assert (await upload(gateway, key, bytes(45_000_000))).status == 422, "nor does what is refused"
        assert (await upload(gateway, key, large, once="b")).status == 201
        limited = await upload(gateway, key, large, once="c")
        assert (limited.status, limited.code, limited.error["gib_per_day"]) == (429, "rate_limited", 0.1)
        assert 3600 < int(limited.headers["Retry-After"]) < DAY
        assert (await upload(gateway, key)).status == 201, "a small one still fits"
        assert (await upload(gateway, other, large)).status == 201
        assert len(files(gateway, "uploads")) == 4


async def test_a_disk_that_is_full_while_a_body_comes_in_is_answered_503(
    gateway: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Full(io.BytesIO):
        def write(self, _: Any) -> int:
            raise OSError(28, "No space left on device")

    key = await gateway.account()
    monkeypatch.setattr("tempfile.TemporaryFile", lambda **_: Full())
    reply = await upload(gateway, key, once="k")
    assert (reply.status, reply.code) == (503, "store_unavailable")
    assert "Retry-After" in reply.headers
    monkeypatch.undo()
    assert (await upload(gateway, key, once="k")).status == 201


async def test_a_file_whose_end_did_not_fit_on_the_disk_is_not_kept(
    gateway: Visitor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk with a little room left takes a part of a block, and no error tells of it, only the count.

    Was that the last block, the file was kept without its end, under the size and the digest of the whole: an image
    decodes all the same if what is missing comes behind its pixels, and a provider got what nobody had sent.
    """

    class AlmostFull(io.FileIO):
        def write(self, block: Any) -> int:
            return super().write(block[:-7])

    monkeypatch.setattr("tempfile.TemporaryFile", lambda **_: AlmostFull(tmp_path / "almost full", "w+"))
    reply = await upload(gateway, await gateway.account(), PNG + bytes(7))
    assert (reply.status, reply.code) == (503, "store_unavailable")
    assert files(gateway, "uploads") == []


async def test_a_store_that_is_full_is_answered_503_and_takes_it_later(gateway: Visitor, tmp_path: Path) -> None:
    key = await gateway.account()
    store = tmp_path / "data" / "outputs"
    store.rmdir()
    store.touch()
    reply = await upload(gateway, key, once="k")
    assert (reply.status, reply.code) == (503, "store_unavailable")
    store.unlink()
    assert (await upload(gateway, key, once="k")).status == 201


# --- idempotency ------------------------------------------------------------------------------------------------------


async def test_the_same_upload_with_the_same_key_is_the_same_upload(gateway: Visitor) -> None:
    key = await gateway.account()
    first, second = await upload(gateway, key, once="k"), await upload(gateway, key, once="k")
    assert (first.status, second.status, second.headers["Idempotent-Replay"]) == (201, 200, "true")
    assert second.body == first.body
    assert len(files(gateway, "uploads")) == 1


@pytest.mark.parametrize(("data", "content_type"), [(picture("PNG", width=65), "image/png"), (PNG, "image/gif")])
async def test_another_body_or_type_with_the_same_key_is_refused(
    gateway: Visitor, data: bytes, content_type: str
) -> None:
    key = await gateway.account()
    await upload(gateway, key, once="k")
    refused = await upload(gateway, key, data, content_type, once="k")
    assert (refused.status, refused.code) == (422, "idempotency_key_reused")


async def test_two_in_flight_with_one_key_make_one(gateway: Visitor) -> None:
    key = await gateway.account()
    replies = await asyncio.gather(*(upload(gateway, key, once="k") for _ in range(4)))
    assert sorted(reply.status for reply in replies) == [200, 200, 200, 201]
    assert len({reply.body["url"] for reply in replies}) == 1
    assert len(files(gateway, "uploads")) == 1


async def test_a_refused_upload_is_not_remembered(gateway: Visitor) -> None:
    key = await gateway.account()
    assert (await upload(gateway, key, b"words", once="k")).status == 422
    assert (await upload(gateway, key, once="k")).status == 201


# --- as an input ------------------------------------------------------------------------------------------------------


async def test_an_upload_is_an_input_whose_bytes_are_the_generations_own_from_then_on(gateway: Visitor) -> None:
    key = await gateway.account()
    address = await uploaded(gateway, key)
    inputs = an_input(address)
    assert (await gateway.call("POST", "/v1/quotes", key, SKETCH | {"inputs": inputs})).status == 200
    first, second = await gateway.made(key, inputs=inputs), await gateway.made(key, inputs=inputs)
    shown = (await gateway.call("GET", f"/v1/generations/{first}", key)).body
    assert shown["inputs"] == [{"kind": "image", "url": None}]
    for path in files(gateway, "uploads"):
        path.unlink()
    assert await stored_input(gateway, first) == await stored_input(gateway, second) == PNG
    await gateway.app[services.OUTPUTS].delete_generations([first])
    with pytest.raises(OutputMissing):
        await stored_input(gateway, first)
    assert await stored_input(gateway, second) == PNG


async def test_uploads_urls_and_data_stand_beside_each_other_in_order(gateway: Visitor) -> None:
    key = await gateway.account()
    other = picture("PNG", width=65)
    addresses = [await uploaded(gateway, key, data) for data in (PNG, other)]
    inputs = [*an_input(addresses[1]), *an_input("https://example.com/a.png"), *an_input(addresses[0])]
    generation = await gateway.made(key, inputs=inputs)
    assert await stored_input(gateway, generation, 0) == other
    assert await stored_input(gateway, generation, 2) == PNG


async def test_an_upload_is_worth_nothing_to_another_account_or_when_it_is_forged(gateway: Visitor) -> None:
    key, other = await gateway.account(), await gateway.account("other")
    address = await uploaded(gateway, key)
    changed = address.replace(".png/", ".gif/")
    for who, url in ((other, address), (key, changed), (key, "upload:")):
        for path in ("/v1/generations", "/v1/quotes"):
            inputs = [*an_input("https://example.com/a.png"), *an_input(url)]
            refused = await gateway.call("POST", path, who, SKETCH | {"inputs": inputs})
            assert (refused.status, refused.code, refused.fields) == (422, "invalid_request", ["inputs.1.url"])
            assert "is not an upload of this account" in refused.message


async def test_an_upload_of_another_kind_is_refused(gateway: Visitor) -> None:
    key = await gateway.account()
    inputs = an_input(await uploaded(gateway, key, MP4, "video/mp4"))
    for path in ("/v1/generations", "/v1/quotes"):
        refused = await gateway.call("POST", path, key, SKETCH | {"inputs": inputs})
        assert (refused.status, refused.fields) == (422, ["inputs.0.url"])
        assert "is video/mp4, but the input's kind is 'image'" in refused.message


async def test_an_order_takes_so_many_bytes_of_uploads_and_no_more(
    gateway: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker has them all in memory: one large file named sixteen times would be nearly a gigabyte."""
    monkeypatch.setattr(limits, "INPUTS_MAX_BYTES", 2 * len(PNG))
    key = await gateway.account()
    (one,) = an_input(await uploaded(gateway, key))
    assert (await gateway.create(key, inputs=[one, one])).status == 202
    refused = await gateway.create(key, inputs=[one, *an_input("https://example.com/a.png"), one, one])
    assert (refused.status, refused.code, refused.fields) == (422, "invalid_request", ["inputs.3.url"])
    assert " MiB in total" in refused.message


async def test_an_expired_upload_is_refused_and_what_was_ordered_with_it_is_answered_as_before(
    gateway: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = await gateway.account()
    address = await uploaded(gateway, key)
    made = await gateway.create(key, inputs=an_input(address), once="k")
    assert made.status == 202
    monkeypatch.setattr(gateway.app[services.UPLOAD_ADDRESSES], "_clock", lambda: time.time() + DAY + 3600)
    again = await gateway.create(key, inputs=an_input(address), once="k")
    assert (again.status, again.headers["Idempotent-Replay"], again.body["id"]) == (200, "true", made.body["id"])
    refused = await gateway.create(key, inputs=an_input(address), once="another")
    assert (refused.status, refused.fields) == (422, ["inputs.0.url"])
    assert "has expired; upload the file again with POST /v1/uploads" in refused.message
    assert (await gateway.call("POST", "/v1/quotes", key, SKETCH | {"inputs": an_input(address)})).status == 422


async def test_an_upload_whose_file_is_gone_is_refused_leaves_nothing_and_is_still_answered_as_before(
    gateway: Visitor,
) -> None:
    key = await gateway.account()
    addresses = [await uploaded(gateway, key), await uploaded(gateway, key, picture("PNG", width=65))]
    inputs = [*an_input(addresses[0]), *an_input(addresses[1])]
    made = await gateway.create(key, inputs=inputs, once="k")
    assert made.status == 202
    (gone,) = [path for path in files(gateway, "uploads") if path.name in addresses[1]]
    gone.unlink()
    again = await gateway.create(key, inputs=inputs, once="k")
    assert (again.status, again.body["id"]) == (200, made.body["id"])
    refused = await gateway.create(key, inputs=inputs)
    assert (refused.status, refused.fields) == (422, ["inputs.1.url"])
    assert len(files(gateway, "inputs")) == 2, "those of the one that was accepted"


async def test_a_replay_leaves_the_inputs_of_the_first_alone_and_none_of_its_own(gateway: Visitor) -> None:
    key = await gateway.account()
    inputs = an_input(await uploaded(gateway, key))
    made = await gateway.create(key, inputs=inputs, once="k")
    assert (await gateway.create(key, inputs=inputs, once="k")).status == 200
    await gateway.app[services.BACKGROUND].finish()
    assert await stored_input(gateway, made.body["id"]) == PNG
    assert len(files(gateway, "inputs")) == 1


@pytest.mark.parametrize("once", [None, "k"])
async def test_a_refused_order_leaves_no_inputs_behind(gateway: Visitor, once: str | None) -> None:
    """With an idempotency key they used to stay for ever: nobody knew whether another request needed them."""
    key = await gateway.account()
    inputs = an_input(await uploaded(gateway, key))
    spent = {"bucket": "free", "credits": -100, "reason": "a test"}
    assert (await gateway.call("POST", "/v1/admin/accounts/acme/adjustments", gateway.admin, spent)).status == 201
    refused = await gateway.create(key, inputs=inputs, once=once)
    assert refused.status == 402
    await gateway.app[services.BACKGROUND].finish()
    assert files(gateway, "inputs") == []
    assert len(files(gateway, "uploads")) == 1
