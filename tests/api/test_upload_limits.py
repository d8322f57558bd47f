"""How much may be uploaded, by whom, how fast; and what a disk without room does to it."""

from __future__ import annotations

import asyncio
import gzip
import io
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, BinaryIO

import pytest

from gateway.api import limits, services
from gateway.media import Media, Readers, fair, inspect
from tests.api.uploading import DAY, PNG, files, in_chunks, upload
from tests.api.visitor import Visitor, open_gateway
from tests.made_media import picture
from tests.until import until

# --- limits -----------------------------------------------------------------------------------------------------------


async def test_the_largest_upload_is_taken_and_one_byte_more_is_not(
    gateway: Visitor, key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Said at the start by its length, or in the middle if that was not said."""
    monkeypatch.setattr(limits, "UPLOAD_MAX_BYTES", len(PNG))
    assert (await upload(gateway, key)).status == 201
    for raw in (PNG + b"x", in_chunks(PNG + b"x")):
        headers = {"Content-Type": "image/png", "Authorization": f"Bearer {key}"}
        async with gateway.session.post(f"{gateway.address}/v1/uploads", data=raw, headers=headers) as response:
            assert response.status == 413
            assert (await response.json())["error"]["code"] == "body_too_large"
    assert len(files(gateway, "uploads")) == 1


async def test_an_account_with_slow_files_does_not_delay_others(
    gateway: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two looks at once were all accounts': eight files of one that took 20 s each were 80 s for everybody else."""
    key, other = await gateway.account(), await gateway.account("other")
    slow, go_on, now = picture("PNG", width=65), asyncio.Event(), 0

    async def inspect_slowly(_: Readers, file: BinaryIO) -> Media:
        nonlocal now
        if (media := inspect(file)).width == 65:
            now += 1
            await go_on.wait()
        return media

    monkeypatch.setattr(Readers, "inspect", inspect_slowly)
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

    async def inspect_slowly(_: Readers, file: BinaryIO) -> Media:
        if (media := inspect(file)).width == 65:
            await go_on.wait()
        return media

    monkeypatch.setattr(Readers, "inspect", inspect_slowly)
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
        return inspect(file)

    monkeypatch.setattr(Readers, "inspect", take_long)
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
