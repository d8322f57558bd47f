from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from gateway.errors import SettingsError
from gateway.local.embedded import find_redis, lock, remove_left_over

_ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def _clear_cache() -> Iterator[None]:
    find_redis.cache_clear()
    yield
    find_redis.cache_clear()


def _program(path: Path, says: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\necho '{says}'\n")
    path.chmod(0o755)


def test_a_server_on_the_path_comes_before_the_wheels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _program(tmp_path / "valkey-server", "Valkey server v=8.0.1 sha=00000000:0 malloc=jemalloc-5.3.0 bits=64")
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    assert find_redis().path == tmp_path / "valkey-server"
    assert find_redis().version == (8, 0, 1)


def test_an_old_server_on_the_path_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _program(tmp_path / "redis-server", "Redis server v=6.2.14 sha=00000000:0 malloc=jemalloc-5.1.0 bits=64")
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    assert find_redis().version >= (7, 2)


def test_without_a_server_the_message_says_what_was_found_and_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _program(tmp_path / "redis-server", "Redis server v=6.2.14 sha=00000000:0 malloc=jemalloc-5.1.0 bits=64")
    (tmp_path / "valkey-server").write_text("not a program")
    (tmp_path / "valkey-server").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    with pytest.raises(SettingsError) as caught:
        find_redis()
    assert "redis-server (6.2.14)" in str(caught.value)
    assert "valkey-server (does not run here)" in str(caught.value)
    assert "pip install 'farebox[embedded]'" in str(caught.value)
    assert "FAREBOX_LEDGER_URL" in str(caught.value)


def test_a_second_start_names_the_process_that_has_the_folder(tmp_path: Path) -> None:
    held = lock(tmp_path, "farebox up")
    with pytest.raises(SettingsError, match=rf"is in use by farebox up \(process {os.getpid()}\)"):
        lock(tmp_path, "farebox up")
    os.close(held)
    os.close(lock(tmp_path, "farebox up"))


@pytest.fixture
def embedded(tmp_path: Path) -> Iterator[tuple[subprocess.Popen[str], redis.Redis]]:
    """`farebox redis` in a folder of its own, and a client once it answers."""
    process = _farebox_redis(tmp_path)
    client = redis.Redis(unix_socket_path=str(tmp_path / "redis.sock"))
    try:
        assert process.stdout is not None
        for line in process.stdout:
            if "Ready to accept connections" in line:
                break
        yield process, client
    finally:
        client.close()
        process.kill()
        process.communicate()


def test_the_embedded_server_is_durable_and_reached_by_its_socket_only(
    embedded: tuple[subprocess.Popen[str], redis.Redis], tmp_path: Path
) -> None:
    _, client = embedded
    wanted = {
        "appendonly": "yes",
        "appendfsync": "always",
        "maxmemory-policy": "noeviction",
        "save": "",
        "port": "0",
        "dir": str(tmp_path / "redis"),
    }
    settings: dict[str, str] = client.execute_command("CONFIG GET", "*")  # type: ignore[no-untyped-call]
    assert {name: settings[name] for name in wanted} == wanted
    assert (tmp_path / "redis.sock").stat().st_mode & 0o777 == 0o700


def test_a_second_embedded_server_in_one_folder_is_refused_without_a_traceback(
    embedded: tuple[subprocess.Popen[str], redis.Redis], tmp_path: Path
) -> None:
    process, _ = embedded
    second = _farebox_redis(tmp_path)
    said, _ = second.communicate()
    assert second.returncode == 2
    assert f"is in use by an embedded Redis (process {process.pid})" in said
    assert "Traceback" not in said


def test_the_embedded_server_ends_cleanly_on_sigterm_and_keeps_everything(
    embedded: tuple[subprocess.Popen[str], redis.Redis], tmp_path: Path
) -> None:
    process, client = embedded
    client.set("held", 1)
    process.send_signal(signal.SIGTERM)
    assert process.wait() == 0
    again = _farebox_redis(tmp_path)
    try:
        assert again.stdout is not None
        for line in again.stdout:
            if "Ready to accept connections" in line:
                break
        assert client.get("held") == b"1"
    finally:
        again.kill()
        again.communicate()


def _farebox_redis(data: Path, **settings: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "gateway", "redis"],
        env={**os.environ, "FAREBOX_DATA": str(data), **settings},
        cwd=_ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def test_beside_a_redis_that_is_given_none_is_started(tmp_path: Path) -> None:
    process = _farebox_redis(tmp_path, FAREBOX_LEDGER_URL="redis://127.0.0.1:1")
    try:
        assert process.stdout is not None
        assert "no embedded Redis is started" in process.stdout.readline()
        assert process.poll() is None
        process.terminate()
        assert process.wait(20) == 0
        assert list(tmp_path.iterdir()) == []
    finally:
        process.kill()
        process.communicate()


LEFT_OVER = (
    "temp-4711.rdb", "temp-1795305600.4711.rdb", "temp-rewriteaof-4711.aof", "temp-rewriteaof-bg-4711.aof",
    "appendonlydir/temp-appendonly.aof.manifest",
)  # fmt: skip
KEPT = (
    "dump.rdb", "temp-notes.rdb", "temp-rewriteaof-4711.aof.bak", "appendonlydir/appendonly.aof.1.base.rdb",
    "appendonlydir/appendonly.aof.manifest", "temp-4712.rdb/inside",
)  # fmt: skip


def test_what_a_killed_server_left_of_a_rewrite_is_removed_and_nothing_else(tmp_path: Path) -> None:
    """Each is as large as all data. They stayed for ever: after a few crashes the disk was full of them."""
    for name in (*LEFT_OVER, *KEPT):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "temp-4713.rdb").symlink_to(tmp_path / "dump.rdb")
    assert {str(path.relative_to(tmp_path)) for path in remove_left_over(tmp_path)} == set(LEFT_OVER)
    assert not [name for name in LEFT_OVER if (tmp_path / name).exists()]
    assert all((tmp_path / name).exists() for name in (*KEPT, "temp-4713.rdb"))


def test_a_server_that_was_killed_in_a_rewrite_starts_without_its_left_over(tmp_path: Path) -> None:
    """The real names, as this Redis makes them."""
    first = _farebox_redis(tmp_path)
    client = redis.Redis(unix_socket_path=str(tmp_path / "redis.sock"))
    try:
        _ready(first)
        client.set("held", 1)
        client.config_set("rdb-key-save-delay", 10_000_000)  # its child writes for ten seconds
        client.execute_command("BGREWRITEAOF")  # type: ignore[no-untyped-call]
        while not list((tmp_path / "redis").glob("temp-*")):
            assert first.poll() is None
    finally:
        children = Path(f"/proc/{first.pid}/task/{first.pid}/children").read_text()
        for pid in (first.pid, *map(int, children.split())):
            os.kill(pid, signal.SIGKILL)
        first.communicate()
    assert list((tmp_path / "redis").glob("temp-*"))
    again = _farebox_redis(tmp_path, FAREBOX_REDIS_MEMORY_MIB="64")
    try:
        _ready(again)
        assert not list((tmp_path / "redis").glob("temp-*"))
        assert client.get("held") == b"1"
        assert client.config_get("maxmemory") == {"maxmemory": str(64 * 1024 * 1024)}
    finally:
        again.kill()
        again.communicate()
        client.close()


def _ready(process: subprocess.Popen[str]) -> None:
    assert process.stdout is not None
    for line in process.stdout:
        if "Ready to accept connections" in line:
            return
    raise AssertionError("it ended")
