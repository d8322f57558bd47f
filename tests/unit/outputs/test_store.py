from __future__ import annotations

import asyncio
import stat
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from gateway.domain import generation_id
from gateway.errors import OutputMissing, SettingsError
from gateway.outputs import OutputStore, StoredObject, input_key, output_key

GENERATION = generation_id(0x2A, seed="one")
OTHER = generation_id(0x2A, seed="other")
KEY = output_key(GENERATION, attempt=1, index=0, content_type="image/png")
DATA = bytes(range(256)) * 4096  # a mebibyte: several chunks


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "a folder" / "outputs"


@pytest.fixture(params=["file", "memory"])
def store(request: pytest.FixtureRequest, directory: Path) -> OutputStore:
    """The local directory, and a store that keeps attributes as the clouds do."""
    return OutputStore.open(directory.as_uri() if request.param == "file" else "memory:///")


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
    with pytest.raises(ValueError, match="no range"):
        await store.stream(KEY, start, end)


async def test_an_object_is_streamed_in_pieces(directory: Path) -> None:
    store = OutputStore.open(directory.as_uri())
    await store.put(KEY, DATA)
    assert len([chunk async for chunk in await store.stream(KEY)]) > 1


async def test_an_input_is_kept_below_its_generations_name(store: OutputStore) -> None:
    key = await store.put_input(GENERATION, 3, b"GIF89a", "image/gif")
    assert key == f"inputs/2a/{GENERATION}/3.gif"
    assert await store.get(key) == b"GIF89a"


async def test_a_missing_object_is_said_to_be_missing_before_the_first_byte(store: OutputStore) -> None:
    for ask in (store.head, store.get, store.stream):
        with pytest.raises(OutputMissing):
            await ask(KEY)


async def test_deleting_a_generation_takes_its_outputs_and_inputs_and_nobody_elses(store: OutputStore) -> None:
    mine = [KEY, output_key(GENERATION, 2, 0, "video/mp4"), input_key(GENERATION, 0, "image/jpeg")]
    others = output_key(OTHER, 1, 0, "image/png")
    for key in (*mine, others):
        await store.put(key, b"x")
    assert await store.delete_generation(GENERATION) == 3
    for key in mine:
        with pytest.raises(OutputMissing):
            await store.head(key)
    assert await store.get(others) == b"x"
    assert await store.delete_generation(GENERATION) == 0


def test_deleting_leaves_no_empty_folders(directory: Path) -> None:
    store = OutputStore.open(directory.as_uri())
    asyncio.run(store.put(KEY, b"x"))
    assert list(directory.rglob(f"*{GENERATION}*"))
    asyncio.run(store.delete_generation(GENERATION))
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
    assert input_key(GENERATION, 2, "image/webp") == f"inputs/2a/{GENERATION}/2.webp"


def test_a_key_is_only_made_for_a_generation_and_a_type_on_the_list() -> None:
    with pytest.raises(ValueError, match="is not stored"):
        output_key(GENERATION, 1, 0, "text/html")
    with pytest.raises(ValueError, match="is not stored"):
        output_key(GENERATION, 1, 0, "image/svg+xml")  # a browser runs what is in it
    with pytest.raises(ValueError, match="is not a generation id"):
        output_key("../../etc", 1, 0, "image/png")


async def test_deleting_something_that_is_no_generation_is_refused(store: OutputStore) -> None:
    with pytest.raises(ValueError, match="is not a generation id"):
        await store.delete_generation("")


@pytest.mark.parametrize("url", ["", "outputs", "http://example.com/x", "file://elsewhere/x", "ftp://x/y"])
def test_a_store_that_cannot_be_is_refused_with_what_may_be(url: str) -> None:
    with pytest.raises(SettingsError, match=r"FAREBOX_OUTPUTS_URL: must start with file:///, s3://, gs:// or az://"):
        OutputStore.open(url)


def test_a_folder_that_cannot_be_made_is_a_settings_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SettingsError, match="cannot open the file:// store"):
        OutputStore.open((tmp_path / "file" / "outputs").as_uri())
