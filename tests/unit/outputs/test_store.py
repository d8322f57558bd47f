from __future__ import annotations

import asyncio
import random
import stat
import tempfile
from collections.abc import AsyncGenerator, AsyncIterator
from pathlib import Path

import pytest

from gateway.domain import generation_id
from gateway.errors import OutputMissing, SettingsError, StoreUnavailable
from gateway.media import Media
from gateway.outputs import OutputStore, StoredObject, hour, input_key, output_key, upload_expires_at, upload_size
from gateway.outputs.names import upload_key
from tests.s3_server import BUCKET, s3_server

PNG = Media("image/png", 640, 480)
GENERATION = generation_id(0x2A, seed="one")
OTHER = generation_id(0x2A, seed="other")
KEY = output_key(GENERATION, attempt=1, index=0, content_type="image/png")
INPUT = input_key(GENERATION, "0a1b2c3d", 0, "image/png")
UPLOAD = upload_key(1_795_813_200, "a" * 24, 5_000, PNG)
DATA = bytes(range(256)) * 4096  # a mebibyte: several chunks


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "a folder" / "outputs"


@pytest.fixture(params=["file", "memory", "s3"])
async def store(
    request: pytest.FixtureRequest, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[OutputStore]:
    """The local directory, a store that keeps attributes as the clouds do, and a bucket."""
    if request.param != "s3":
        yield OutputStore.open(directory.as_uri() if request.param == "file" else "memory:///")
        return
    async with s3_server() as server:
        for name, value in server.environment().items():
            monkeypatch.setenv(name, value)
        yield OutputStore.open(f"s3://{BUCKET}/a/prefix", server.environment())


async def collected(chunks: AsyncGenerator[bytes]) -> bytes:
    return b"".join([chunk async for chunk in chunks])


async def test_what_was_put_comes_back(store: OutputStore) -> None:
    await store.put(KEY, DATA)
    assert await store.head(KEY) == StoredObject(size=len(DATA), content_type="image/png")
    assert await store.get(KEY) == DATA
    assert await collected(await store.stream(KEY)) == DATA


@pytest.mark.parametrize(("start", "end"), [(0, 1), (5, 10), (1000, None), (len(DATA) - 1, None), (0, len(DATA))])
async def test_a_range_is_exactly_those_bytes(store: OutputStore, start: int, end: int | None) -> None:
    await store.put(KEY, DATA)
    assert await collected(await store.stream(KEY, start, end)) == DATA[start:end]


@pytest.mark.parametrize(("start", "end"), [(5, 5), (6, 5), (-1, 5)])
async def test_an_empty_range_is_refused(store: OutputStore, start: int, end: int) -> None:
    await store.put(KEY, DATA)
    with pytest.raises(ValueError, match="not a valid range"):
        await store.stream(KEY, start, end)


async def test_an_object_is_streamed_in_pieces(directory: Path) -> None:
    store = OutputStore.open(directory.as_uri())
    await store.put(KEY, DATA)
    assert len([chunk async for chunk in await store.stream(KEY)]) > 1


@pytest.mark.parametrize("size", [0, 1, 5 * 1024 * 1024, 5 * 1024 * 1024 + 1, 12_000_000])
async def test_a_file_of_any_size_is_stored_whole_whatever_its_position(store: OutputStore, size: int) -> None:
    data = random.Random(size).randbytes(size)
    with tempfile.TemporaryFile() as file:
        file.write(data)
        await store.put_file(UPLOAD, file, size)
    assert await store.get(UPLOAD) == data
    assert await store.head(UPLOAD) == StoredObject(size=size, content_type="image/png")


async def test_a_copy_lives_on_when_the_first_is_deleted(store: OutputStore) -> None:
    await store.put(UPLOAD, DATA)
    await store.copy(UPLOAD, INPUT)
    await store.delete([UPLOAD, KEY])
    assert await store.get(INPUT) == DATA
    with pytest.raises(OutputMissing, match="uploads/"):
        await store.copy(UPLOAD, INPUT)


async def test_uploads_are_deleted_hour_by_hour_and_no_more_than_asked(store: OutputStore) -> None:
    hours = [1_795_640_400 + 3600 * number for number in range(4)]
    keys = [upload_key(at, letter * 24, 1, PNG) for at in hours for letter in "abc"]
    for key in (*keys, KEY, INPUT):
        await store.put(key, b"x")
    assert await store.delete_uploads(before=hour(hours[0]), at_most=1000) == 0
    assert await store.delete_uploads(before=hour(hours[2] + 3599), at_most=3) == 3
    assert [await _is_there(store, key) for key in keys] == [False] * 3 + [True] * 9
    assert await store.delete_uploads(before=hour(hours[2]), at_most=1000) == 3
    assert [await _is_there(store, key) for key in keys] == [False] * 6 + [True] * 6
    assert await store.delete_uploads(before=hour(hours[3] + 3600), at_most=1000) == 6
    assert await _is_there(store, KEY)
    assert await _is_there(store, INPUT)


async def _is_there(store: OutputStore, key: str) -> bool:
    try:
        await store.head(key)
    except OutputMissing:
        return False
    return True


async def test_a_missing_object_is_said_to_be_missing_before_the_first_byte(store: OutputStore) -> None:
    for ask in (store.head, store.get, store.stream):
        with pytest.raises(OutputMissing):
            await ask(KEY)


async def test_deleting_a_generation_deletes_only_its_own_outputs_and_inputs(store: OutputStore) -> None:
    mine = [KEY, output_key(GENERATION, 2, 0, "video/mp4"), input_key(GENERATION, "0a1b2c3d", 0, "image/jpeg")]
    others = output_key(OTHER, 1, 0, "image/png")
    for key in (*mine, others):
        await store.put(key, b"x")
    assert await store.delete_generations([GENERATION]) == [GENERATION]
    for key in mine:
        with pytest.raises(OutputMissing):
            await store.head(key)
    assert await store.get(others) == b"x"
    assert await store.delete_generations([GENERATION]) == [GENERATION], "twice is once"


async def test_deleting_from_a_store_that_is_away_says_so(directory: Path) -> None:
    """A request whose input could not be kept was answered 500, for what it had kept could not be deleted either."""
    store = OutputStore.open(directory.as_uri())
    await store.put(INPUT, DATA)
    _take_away(directory)
    with pytest.raises(StoreUnavailable):
        await store.delete([INPUT])


def _take_away(directory: Path) -> None:
    directory.rename(directory.with_name("elsewhere"))
    directory.write_text("no folder any more")


def test_deleting_leaves_no_empty_folders(directory: Path) -> None:
    store = OutputStore.open(directory.as_uri())
    asyncio.run(store.put(KEY, b"x"))
    assert list(directory.rglob(f"*{GENERATION}*"))
    asyncio.run(store.delete_generations([GENERATION]))
    assert not list(directory.rglob(f"*{GENERATION}*"))


def test_the_folder_is_private(directory: Path) -> None:
    asyncio.run(OutputStore.open(directory.as_uri()).put(KEY, b"x"))
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    assert (directory / KEY).read_bytes() == b"x"


@pytest.mark.parametrize(
    "key",
    [
        "",
        "../secret.png",
        f"../{KEY}",
        f"{KEY}/../../../../etc/passwd",
        f"outputs/2a/{GENERATION}/../1-0.png",
        f"outputs/2a/{GENERATION}/%2e%2e.png",
        f"outputs/2a/{GENERATION}/1-0.html",
        f"outputs/2a/{GENERATION}/1-0.png\n",
        f"outputs/2a/{GENERATION}/\u0661-0.png",
        f"outputs//{GENERATION}/1-0.png",
        f"/{KEY}",
        UPLOAD.replace("a" * 24, "a" * 23),
        UPLOAD.replace("-5000", ""),
        UPLOAD.replace("uploads/", "uploads/0"),
        UPLOAD.replace(".png", ".html"),
        "admin-key",
    ],
)
async def test_no_key_leads_out_of_the_store(store: OutputStore, key: str) -> None:
    with pytest.raises(ValueError, match="is not an object key"):
        await store.put(key, b"x")
    for ask in (store.head, store.get, store.stream):
        with pytest.raises(ValueError, match="is not an object key"):
            await ask(key)


def test_keys_say_partition_generation_attempt_and_index() -> None:
    assert output_key(GENERATION, 3, 1, "video/mp4") == f"outputs/2a/{GENERATION}/3-1.mp4"
    assert input_key(GENERATION, "0a1b2c3d", 2, "image/webp") == f"inputs/2a/{GENERATION}/0a1b2c3d-2.webp"


def test_an_uploads_key_says_when_it_expires_and_how_large_it_is() -> None:
    assert f"uploads/2026112721/{'a' * 24}-5000-640x480.png" == UPLOAD
    assert upload_size(UPLOAD) == 5_000
    assert upload_expires_at(UPLOAD) == 1_795_813_200
    with pytest.raises(ValueError, match="is not an object key"):
        upload_expires_at("uploads/2026112721/../../admin-key")


def test_a_key_is_only_made_for_a_generation_and_a_type_on_the_list() -> None:
    with pytest.raises(ValueError, match="cannot be stored"):
        output_key(GENERATION, 1, 0, "text/html")
    with pytest.raises(ValueError, match="cannot be stored"):
        output_key(GENERATION, 1, 0, "image/svg+xml")  # a browser runs what is in it
    with pytest.raises(ValueError, match="is not a generation id"):
        output_key("../../etc", 1, 0, "image/png")


async def test_deleting_something_that_is_no_generation_is_refused(store: OutputStore) -> None:
    with pytest.raises(ValueError, match="is not a generation id"):
        await store.delete_generations([""])


@pytest.mark.parametrize("url", ["", "outputs", "http://example.com/x", "file://elsewhere/x", "ftp://x/y"])
def test_a_store_that_cannot_be_is_refused_with_what_may_be(url: str) -> None:
    with pytest.raises(SettingsError, match=r"FAREBOX_OUTPUTS_URL: must start with file:///, s3://, gs:// or az://"):
        OutputStore.open(url)


def test_a_folder_that_cannot_be_made_is_a_settings_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SettingsError, match="cannot open the file:// store"):
        OutputStore.open((tmp_path / "file" / "outputs").as_uri())


AWS = {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"}


@pytest.mark.parametrize(
    ("environment", "is_public"),
    [(AWS, True), (AWS | {"AWS_ENDPOINT_URL": "http://minio:9000"}, False), ({}, False)],
)
def test_clients_reach_a_bucket_at_its_clouds_own_address(environment: dict[str, str], *, is_public: bool) -> None:
    assert OutputStore.open("s3://b", environment).is_public is is_public


async def test_only_a_bucket_signs_links(tmp_path: Path) -> None:
    assert await OutputStore.open(tmp_path.as_uri()).link(KEY, 60) is None
    assert await OutputStore.open("memory:///").link(KEY, 60) is None
