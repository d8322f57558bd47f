"""A PostgreSQL of the benchmark's own: as Debian sets it up, durable, on a unix socket, gone afterwards.

`initdb` and `postgres` refuse to run as root. So root runs them as `postgres` or, without such a user, as `nobody`.

`python -m benchmarks.peers.postgres PROGRAM ARGUMENTS…` runs the server that way and ends it with itself: a user that
is not root may be unable to read this package.
"""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import asyncpg

from benchmarks.peers.serving import BALANCE_MILLICREDITS
from benchmarks.servers import child, wait_until

MISSING = "PostgreSQL is not installed (Debian: apt install postgresql): what needs it was not run"
POOL = {"user": "postgres", "database": "postgres", "min_size": 16, "max_size": 16}
"""For `asyncpg.create_pool`. Sixteen connections: with 8 or 32 the peers were slower on two cores."""
_DEBIAN = Path("/usr/lib/postgresql")
_SOCKET = ".s.PGSQL.5432"


@dataclass(frozen=True, slots=True)
class Postgres:
    """A server that answers."""

    sockets: str
    pid: int


def programs() -> Path | None:
    """The folder of the newest `initdb` and `postgres` on this machine; None without one."""
    on_path = shutil.which("initdb")
    found = [Path(on_path).resolve().parent] if on_path else []
    found += sorted(_DEBIAN.glob("*/bin"), key=lambda folder: int(folder.parent.name), reverse=True)
    return next((folder for folder in found if (folder / "initdb").exists() and (folder / "postgres").exists()), None)


@contextmanager
def postgres_at(programs: Path) -> Iterator[Postgres]:
    """Start a server in a folder that goes with it."""
    with tempfile.TemporaryDirectory(prefix="farebox-bench-", ignore_cleanup_errors=True) as name:
        folder, data, user = Path(name), Path(name, "data"), user_for_postgres()
        if user is not None:
            shutil.chown(folder, user)
        made = ["--auth=trust", "--username=postgres", "--encoding=UTF8", "--no-sync"]
        subprocess.run(
            [programs / "initdb", f"--pgdata={data}", *made], check=True, stdout=subprocess.DEVNULL, user=user, cwd=name
        )
        command = [sys.executable, "-m", "benchmarks.peers.postgres", str(programs / "postgres")]
        with child([*command, "-D", str(data), "-k", name, "-c", "listen_addresses="]) as process:
            wait_until((folder / _SOCKET).exists, process)
            yield Postgres(name, process.pid)


async def prepare(server: Postgres, accounts: int) -> None:
    """Make the tables and the accounts."""
    connection = await connected(server)
    await connection.execute(Path(__file__).with_name("schema.sql").read_text())
    await connection.execute(
        "INSERT INTO accounts SELECT number, $1, 0 FROM generate_series(0, $2 - 1) number",
        BALANCE_MILLICREDITS,
        accounts,
    )
    await connection.execute("VACUUM ANALYZE accounts")
    await connection.close()


async def connected(server: Postgres) -> asyncpg.Connection:
    """A connection, once the server accepts any."""
    while True:
        with suppress(asyncpg.CannotConnectNowError):
            return await asyncpg.connect(host=server.sockets, user="postgres", database="postgres")


def main() -> int:
    """Run the server until it ends or we are told to: then at once, whoever is connected."""
    process = subprocess.Popen(sys.argv[1:], user=user_for_postgres())
    signal.signal(signal.SIGTERM, lambda *_: process.send_signal(signal.SIGINT))
    return process.wait()


def user_for_postgres() -> str | None:
    """Whom root runs it as; None: this user may run it."""
    if os.geteuid() != 0:
        return None
    return next(name for name in ("postgres", "nobody") if name in {user.pw_name for user in pwd.getpwall()})


if __name__ == "__main__":
    sys.exit(main())
