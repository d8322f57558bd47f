"""A real PostgreSQL for the tests: as Debian sets it up, durable, on a unix socket, gone afterwards."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import asyncpg

from benchmarks.peers.postgres import MISSING, programs, user_for_postgres
from benchmarks.servers import child, wait_until
from tests.missing import not_run

_SOCKET = ".s.PGSQL.5432"


@dataclass(slots=True)
class PostgresServer:
    """A server that answers. `freeze` and `thaw` stop it in place, as a machine that hangs does."""

    folder: str
    process: subprocess.Popen[bytes]

    @property
    def url(self) -> str:
        return f"postgresql://postgres@/postgres?host={self.folder}"

    async def connect(self) -> asyncpg.Connection:
        """A connection of the test's own, once the server accepts any."""
        while True:
            with suppress(asyncpg.CannotConnectNowError):
                return await asyncpg.connect(self.url)

    async def empty(self) -> None:
        """Take the archive's tables out of it."""
        connection = await self.connect()
        await connection.execute("DROP SCHEMA IF EXISTS farebox CASCADE")
        await connection.close()


@contextmanager
def postgres_server() -> Iterator[PostgresServer]:
    """Start one, in a folder that goes with it."""
    found = programs()
    if found is None:
        not_run(MISSING)
    with tempfile.TemporaryDirectory(prefix="farebox-test-", ignore_cleanup_errors=True) as name:
        data, user = Path(name, "data"), user_for_postgres()
        if user is not None:
            shutil.chown(name, user)
        made = ["--auth=trust", "--username=postgres", "--encoding=UTF8", "--no-sync"]
        subprocess.run(
            [found / "initdb", f"--pgdata={data}", *made], check=True, stdout=subprocess.DEVNULL, user=user, cwd=name
        )
        command = [sys.executable, "-m", "benchmarks.peers.postgres", str(found / "postgres")]
        options = ["-D", str(data), "-k", name, "-c", "listen_addresses=", "-c", "max_connections=40"]
        with child([*command, *options]) as process:
            wait_until(Path(name, _SOCKET).exists, process)
            yield PostgresServer(name, process)
