"""Strangers' files are looked into by processes that can only harm themselves."""

from __future__ import annotations

import asyncio
import resource
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import BinaryIO

import pytest

from gateway.errors import MediaUnreadable
from gateway.media import Readers, inspect, isolation
from tests.forkers import forker_whose_reader
from tests.made_media import film, mp4_that_says, picture
from tests.until import until

LONG = "time.sleep(600)"


@pytest.fixture
def file() -> Iterator[BinaryIO]:
    with tempfile.TemporaryFile(buffering=0) as made:
        yield made


@pytest.fixture
async def readers() -> AsyncIterator[Readers]:
    readers = Readers()
    yield readers
    await readers.close()


def _holding(file: BinaryIO, data: bytes) -> BinaryIO:
    file.write(data)
    return file


def _does(monkeypatch: pytest.MonkeyPatch, does: str) -> None:
    monkeypatch.setattr(isolation, "_FORKER", forker_whose_reader(does))


@pytest.mark.parametrize("data", [picture("GIF", frames=3), film(), film("webm", "libvpx-vp9")])
async def test_it_finds_what_an_inspection_in_this_process_finds(readers: Readers, file: BinaryIO, data: bytes) -> None:
    assert await readers.inspect(_holding(file, data)) == inspect(data)


async def test_it_says_what_is_wrong_in_the_same_words(readers: Readers, file: BinaryIO) -> None:
    with pytest.raises(MediaUnreadable, match=r"^is not one of image/png, image/jpeg"):
        await readers.inspect(_holding(file, b"only words"))


async def test_many_concurrent_files_each_get_their_own_result(readers: Readers) -> None:
    async def seen(width: int) -> int | None:
        with tempfile.TemporaryFile(buffering=0) as own:
            return (await readers.inspect(_holding(own, picture(width=width)))).width

    widths = list(range(16, 56))
    assert await asyncio.gather(*map(seen, widths)) == widths


async def test_a_file_of_two_kilobytes_that_speaks_of_a_hundred_million_samples_takes_no_memory_for_them(
    readers: Readers, file: BinaryIO
) -> None:
    """FFmpeg makes an index of all samples that the tables speak of, before anybody could ask it to stop.

    Such a file, which anybody with a key could send and which was refused in the end, took 3 GB of the gateway's own
    memory with four tracks, and would have taken 12 with sixteen: the gateway was killed, and with it all requests.
    """
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(MediaUnreadable, match=r"too much memory|damaged|no frame|too long"):
        await readers.inspect(_holding(file, mp4_that_says(samples=20_000_000, tracks=16)))
    await readers.close()
    unit = 1 if sys.platform == "darwin" else 1024
    assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * unit < 200 * 1024 * 1024
    assert resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * unit <= isolation.MEMORY_MAX_BYTES


@pytest.mark.parametrize("does", ["os.abort()", "os.kill(os.getpid(), signal.SIGKILL)"])
async def test_a_reader_that_crashes_or_is_killed_refuses_the_file_and_no_other(
    readers: Readers, file: BinaryIO, monkeypatch: pytest.MonkeyPatch, does: str
) -> None:
    _does(monkeypatch, f"return inspect(file) if len(file.read()) > 100 else {does}")
    _holding(file, b"short")
    with tempfile.TemporaryFile(buffering=0) as sound:
        _holding(sound, picture())
        for _ in range(3):
            with pytest.raises(MediaUnreadable, match="cannot be read"):
                await readers.inspect(file)
            assert (await readers.inspect(sound)).content_type == "image/png"


def _processes(words: str) -> list[str]:
    """The processes of this run whose command line has these words: the forker, and its readers, which share it."""
    shown = subprocess.run(["/bin/ps", "-e", "-ww", "-o", "args="], capture_output=True, check=True, text=True).stdout
    return [line for line in shown.splitlines() if words in line]


async def _only_the_forker_is_left(words: str) -> None:
    await until(lambda: len(_processes(words)) == 1)


async def test_a_reader_that_never_ends_is_killed(
    readers: Readers, file: BinaryIO, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Between packets somebody asks for the time; in FFmpeg's own loops nobody does."""
    _does(monkeypatch, f"return inspect(file) if len(file.read()) > 100 else {LONG}; {str(tmp_path)!r}")
    with tempfile.TemporaryFile(buffering=0) as sound:
        await readers.inspect(
            _holding(sound, picture())
        )  # so that the forker is there, and the next reader begins at once
    monkeypatch.setattr(isolation, "INSPECT_SECONDS", 0.5)
    with pytest.raises(MediaUnreadable, match="takes too long to decode"):
        await readers.inspect(file)
    await _only_the_forker_is_left(str(tmp_path))


async def test_an_inspection_whose_caller_is_gone_is_ended(
    readers: Readers, file: BinaryIO, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    begun = tmp_path / "begun"
    _does(monkeypatch, f"open({str(begun)!r}, 'w').close(); {LONG}")
    reading = asyncio.create_task(readers.inspect(file))
    await until(begun.exists)
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
    await _only_the_forker_is_left(str(tmp_path))


async def test_closing_leaves_no_process(file: BinaryIO, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    _does(monkeypatch, f"{LONG}; {str(tmp_path)!r}")
    readers = Readers()
    reading = asyncio.create_task(readers.inspect(file))
    await until(lambda: len(_processes(str(tmp_path))) >= 2)
    await readers.close()
    with pytest.raises(InterruptedError):
        await reading
    await until(lambda: not _processes(str(tmp_path)))


async def test_a_worker_that_is_killed_leaves_no_process_behind(tmp_path: Path) -> None:
    """It cannot close anything then; the forker hears that nobody has files any more, and ends with its readers."""
    code = f"""
import asyncio, sys
from gateway.media import Readers, isolation
isolation._FORKER = {forker_whose_reader(f"{LONG}; {str(tmp_path)!r}")!r}
asyncio.run(Readers().inspect(open(sys.executable, "rb")))
"""
    worker = await asyncio.create_subprocess_exec(sys.executable, "-c", code)
    await until(lambda: len(_processes(str(tmp_path))) >= 3)
    worker.kill()
    await worker.wait()
    await until(lambda: not _processes(str(tmp_path)))


async def test_a_killed_forker_is_not_the_files_fault_and_is_replaced(
    readers: Readers, file: BinaryIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who stops a service may signal all its processes: a sound file was refused as damaged then."""
    _holding(file, picture())
    _does(monkeypatch, "os.kill(os.getppid(), signal.SIGKILL); time.sleep(10); return inspect(file)")
    with pytest.raises(InterruptedError):
        await readers.inspect(file)
    monkeypatch.undo()
    while True:
        try:
            assert (await readers.inspect(file)).content_type == "image/png"
        except OSError:  # until this process has heard of the end of the first
            await asyncio.sleep(0.02)
        else:
            return


async def test_a_reader_whose_forker_was_ended_ends_by_itself_even_if_it_only_waits(
    readers: Readers, file: BinaryIO, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """It had a limit of CPU only, so one that waited for ever was left behind. Its alarm comes early here."""
    sooner = "signal.alarm(1 if signal.alarm(0) else 0)"
    _does(monkeypatch, f"{sooner}; os.kill(os.getppid(), signal.SIGKILL); time.sleep(30); {str(tmp_path)!r}")
    monkeypatch.setattr(isolation, "INSPECT_SECONDS", 25)
    with pytest.raises(InterruptedError):
        await readers.inspect(file)
    await until(lambda: not _processes(str(tmp_path)))


async def test_a_reader_whose_requester_is_gone_logs_nothing(
    readers: Readers, file: BinaryIO, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Clients that hung up in the middle of an upload filled the gateway's log with tracebacks."""
    _does(monkeypatch, "ours, theirs = os.pipe(); os.close(ours); os.dup2(theirs, 1); return inspect(file)")
    with pytest.raises(RuntimeError, match="failed with"):
        await readers.inspect(_holding(file, picture()))
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("signal", ["SIGTERM", "SIGINT"])
async def test_stopping_the_service_does_not_end_an_inspection(
    readers: Readers, file: BinaryIO, monkeypatch: pytest.MonkeyPatch, signal: str
) -> None:
    send = f"os.kill(os.getpid(), signal.{signal}); os.kill(os.getppid(), signal.{signal})"
    _does(monkeypatch, f"{send}; return inspect(file)")
    assert (await readers.inspect(_holding(file, picture()))).content_type == "image/png"


async def test_a_fault_of_ours_is_not_said_to_be_the_file_s(
    readers: Readers, file: BinaryIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    _does(monkeypatch, "raise ValueError('a fault of ours')")
    with pytest.raises(RuntimeError, match="failed with"):
        await readers.inspect(file)


async def test_a_reader_knows_no_secret_and_has_nothing_but_its_file(
    readers: Readers, file: BinaryIO, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Code in C that reads hostile bytes should find nothing worth to be stolen, and no other file to lie about."""
    told = tmp_path / "told"
    monkeypatch.setenv("FAREBOX_ADMIN_KEY", "fbx_admin_0123456789")
    monkeypatch.setenv("REPLICATE_API_TOKEN", "r8_0123456789")
    says = "repr(dict(os.environ)) + ' has ' + repr(sorted(map(int, os.listdir('/dev/fd'))))"
    _does(monkeypatch, f"text = {says}; open({str(told)!r}, 'w').write(text); return inspect(file)")
    assert (await readers.inspect(_holding(file, picture()))).content_type == "image/png"
    environment, _, descriptors = told.read_text().rpartition(" has ")
    assert "0123456789" not in environment
    assert descriptors == "[0, 1, 2, 3]", "its file, its answer, standard error, and the folder that was listed"
