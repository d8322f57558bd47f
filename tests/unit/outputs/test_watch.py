"""The object store is asked at start and always, seldom while it answers; whoever waits for it hears when it does."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from gateway.errors import StoreUnavailable
from gateway.outputs import OutputStore, StoreWatch
from gateway.outputs.watch import WRITE_EVERY
from tests.s3_server import BUCKET, S3Server, s3_server


@pytest.fixture
async def server(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[S3Server]:
    monkeypatch.setattr("gateway.outputs.watch.PAUSES_SECONDS", (0.01,))
    async with s3_server() as server:
        for name, value in server.environment().items():
            monkeypatch.setenv(name, value)
        yield server


def bucket(server: S3Server, name: str = BUCKET) -> StoreWatch:
    return StoreWatch(OutputStore.open(f"s3://{name}/farebox", server.environment()))


async def test_a_bucket_is_written_to_at_first_and_then_only_read(server: S3Server) -> None:
    watch = bucket(server)
    for _ in range(WRITE_EVERY):
        await watch.check()
    assert (server.asked["PUT"], server.asked["GET"]) == (1, WRITE_EVERY - 1)
    await watch.check()
    assert server.asked["PUT"] == 2
    assert list(server.objects[BUCKET]) == ["farebox/farebox-probe"]
    assert watch.problem is None


async def test_a_probe_that_somebody_deleted_is_written_again(server: S3Server) -> None:
    watch = bucket(server)
    await watch.check()
    server.objects[BUCKET].clear()
    await watch.check()
    assert (watch.problem, list(server.objects[BUCKET])) == (None, ["farebox/farebox-probe"])


async def test_what_is_wrong_is_logged_once_and_again_when_it_is_another_thing(server: S3Server) -> None:
    watch = bucket(server, "nobody-made-it")
    with capture_logs() as lines:
        for _ in range(3):
            await watch.check()
        server.access_key = "AKIAANOTHERONE000000"
        await watch.check()
        server.access_key = S3Server.access_key
        server.objects["nobody-made-it"] = {}
        await watch.check()
    assert [(line["event"], line.get("reason")) for line in lines] == [
        ("STORE_UNAVAILABLE", "404 NoSuchBucket"),
        ("STORE_UNAVAILABLE", "403 InvalidAccessKeyId"),
        ("store_recovered", None),
    ]
    assert lines[0]["store"] == f"the bucket s3://nobody-made-it/farebox at {server.address}"
    assert "FAREBOX_OUTPUTS_URL" in lines[0]["change"]
    assert "AWS_ACCESS_KEY_ID" in lines[1]["change"]


async def test_the_problem_names_no_server_and_no_bucket(server: S3Server) -> None:
    watch = bucket(server, "nobody-made-it")
    await watch.check()
    assert watch.problem is not None
    assert "the bucket does not exist" in watch.problem
    for secret in ("nobody-made-it", "127.0.0.1", str(server.port)):
        assert secret not in watch.problem


async def test_who_waits_goes_on_when_it_answers_again(server: S3Server) -> None:
    watch = bucket(server)
    await server.away()
    await watch.check()
    checking = asyncio.create_task(watch.keep_checking())
    waiting = asyncio.create_task(watch.answering())
    await asyncio.sleep(0)
    assert not waiting.done()
    await server.back()
    await waiting
    assert watch.fault is None
    checking.cancel()


async def test_a_doubt_has_it_asked_at_once(server: S3Server) -> None:
    """The next probe was a quarter of a minute away, and until then nobody knew."""
    watch = bucket(server)
    await watch.check()
    checking = asyncio.create_task(watch.keep_checking())
    server.refuses = "SlowDown"
    with pytest.raises(StoreUnavailable) as refused:
        await OutputStore.open(f"s3://{BUCKET}/farebox", server.environment()).probe(write=False)
    watch.doubt(refused.value)
    assert watch.fault is not None
    asked = server.asked.total()
    server.refuses = None
    await watch.answering()
    assert server.asked.total() > asked
    checking.cancel()


async def test_a_bucket_that_hangs_is_given_up_on(server: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.outputs.watch._PATIENCE_SECONDS", 0.05)
    server.hangs = True
    watch = bucket(server)
    await watch.check()
    assert watch.fault is not None
    assert "no response within" in watch.fault.reason
    server.hangs = False


async def test_a_folder_is_tried_and_nothing_is_left_of_it(tmp_path: Path) -> None:
    folder = tmp_path / "outputs"
    watch = StoreWatch(OutputStore.open(folder.as_uri()))
    await watch.check()
    assert (watch.problem, list(folder.iterdir())) == (None, [])
    folder.rmdir()
    folder.touch()
    await watch.check()
    assert watch.problem is not None
    assert watch.fault is not None
    assert watch.fault.reason == "Not a directory"
    folder.unlink()
    await watch.check()
    assert watch.problem is None


@pytest.mark.parametrize(
    ("error", "summary"),
    [
        (OSError(28, "No space left on device"), "its disk is full"),
        (PermissionError(13, "Permission denied"), "its folder is not writable"),
        (OSError(30, "Read-only file system"), "its folder is not writable"),
        (OSError(122, "Disk quota exceeded"), "its disk is full"),
    ],
)
async def test_a_folder_that_takes_nothing_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: OSError, summary: str
) -> None:
    def refuse(**_: object) -> None:
        raise error

    watch = StoreWatch(OutputStore.open(tmp_path.as_uri()))
    monkeypatch.setattr("tempfile.TemporaryFile", refuse)
    await watch.check()
    assert watch.fault is not None
    assert (watch.fault.summary, watch.fault.reason) == (summary, error.strerror)
