"""Strangers' files are looked into by a process that can only harm itself."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import pytest

from gateway.errors import MediaUnreadable
from gateway.media import apart, look, look_apart
from tests.made_media import film, mp4_that_says, picture


@pytest.fixture
def file() -> Iterator[BinaryIO]:
    with tempfile.TemporaryFile(buffering=0) as made:
        yield made


def _holding(file: BinaryIO, data: bytes) -> BinaryIO:
    file.write(data)
    return file


@pytest.mark.parametrize("data", [picture("GIF", frames=3), film(), film("webm", "libvpx-vp9")])
async def test_it_sees_what_a_look_in_this_process_sees(file: BinaryIO, data: bytes) -> None:
    assert await look_apart(_holding(file, data)) == look(data)


async def test_it_says_what_is_wrong_in_the_same_words(file: BinaryIO) -> None:
    with pytest.raises(MediaUnreadable, match=r"^is none of image/png, image/jpeg"):
        await look_apart(_holding(file, b"only words"))


async def test_a_file_of_two_kilobytes_that_speaks_of_a_hundred_million_samples_takes_no_memory_for_them(
    file: BinaryIO,
) -> None:
    """FFmpeg makes an index of all samples that the tables speak of, before anybody could ask it to stop.

    Such a file, which anybody with a key could send and which was refused in the end, took 3 GB of the gateway's own
    memory with four tracks, and would have taken 12 with sixteen: the gateway was killed, and with it all requests.
    """
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(MediaUnreadable, match=r"too much memory|damaged"):
        await look_apart(_holding(file, mp4_that_says(samples=20_000_000, tracks=16)))
    unit = 1 if sys.platform == "darwin" else 1024
    assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * unit < 200 * 1024 * 1024
    assert resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * unit <= apart.MEMORY_MAX_BYTES


async def test_a_reader_that_crashes_refuses_the_file(file: BinaryIO, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(apart, "_LOOK", (sys.executable, "-c", "import os; os.abort()"))
    with pytest.raises(MediaUnreadable, match="cannot be read"):
        await look_apart(file)


def _children() -> list[bytes]:
    """The command lines of this process's children; other tests may have some, too."""
    pids = Path(f"/proc/self/task/{os.getpid()}/children")
    if not pids.exists():  # not Linux
        return subprocess.run(["/bin/ps", "-o", "command"], capture_output=True, check=True).stdout.splitlines()
    return [Path(f"/proc/{pid}/cmdline").read_bytes() for pid in pids.read_text().split()]


@pytest.mark.parametrize("signal", ["SIGTERM", "SIGINT"])
async def test_a_reader_that_was_told_to_end_says_nothing_of_the_file(
    file: BinaryIO, monkeypatch: pytest.MonkeyPatch, signal: str
) -> None:
    """Ctrl-C, and systemd's stop, signal all processes of a service: a sound file was refused as damaged then."""
    monkeypatch.setattr(
        apart, "_LOOK", (sys.executable, "-c", f"import os, signal as s; os.kill(os.getpid(), s.{signal})")
    )
    with pytest.raises(InterruptedError):
        await look_apart(file)


async def test_a_reader_that_takes_for_ever_is_ended(file: BinaryIO, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between packets somebody asks for the time; in FFmpeg's own loops nobody does."""
    monkeypatch.setattr(apart, "_LOOK", (sys.executable, "-c", "import time; time.sleep(600)"))
    monkeypatch.setattr(apart, "LOOK_SECONDS", 0.05)
    with pytest.raises(MediaUnreadable, match="takes too long to read"):
        await look_apart(file)
    assert not [each for each in _children() if b"time.sleep(600)" in each]


async def test_a_fault_of_ours_is_not_said_to_be_the_file_s(file: BinaryIO, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(apart, "_LOOK", (sys.executable, "-c", "raise SystemExit(3)"))
    with pytest.raises(RuntimeError, match="failed with 3"):
        await look_apart(file)


async def test_the_reader_is_told_no_secret(file: BinaryIO, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Code in C that reads hostile bytes should find nothing worth to be stolen in its environment."""
    told = tmp_path / "told"
    monkeypatch.setenv("FAREBOX_ADMIN_KEY", "fbx_admin_0123456789")
    monkeypatch.setenv("REPLICATE_API_TOKEN", "r8_0123456789")
    code = f"import os; open({str(told)!r}, 'w').write(repr(dict(os.environ))); print('[\"image/png\", 1, 1, null]')"
    monkeypatch.setattr(apart, "_LOOK", (sys.executable, "-c", code))
    assert (await look_apart(file)).content_type == "image/png"
    assert "0123456789" not in told.read_text()
