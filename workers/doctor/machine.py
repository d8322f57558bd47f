"""This machine and what is beside the ledger: disk, open files, object store, queue, and the running processes."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from http import HTTPStatus
from pathlib import Path
from urllib.parse import unquote, urlsplit

import aiohttp
from redis.exceptions import RedisError
from yarl import URL

from gateway.errors import SettingsError, StoreUnavailable
from gateway.local.embedded import find_redis
from gateway.local.open_files import raise_limit
from gateway.outputs import OutputStore
from gateway.outside.addresses import AddressGuard
from gateway.outside.outgoing import Outgoing
from gateway.queue.variables import OF_A_TOOL
from gateway.redis_link.connections import connect_queue, parse_address
from gateway.settings import Settings, cloud_environment
from workers.doctor.findings import Finding, warnings_or

_FILES_WANTED = 4096
_FREE_BYTES_MIN = 100 << 20  # a video and what Redis appends while somebody frees space
_FREE_BYTES_WANTED = 2 << 30
_PATIENCE_SECONDS = 5


def check_machine(settings: Settings) -> Iterator[Finding]:
    """Disk, data folder, open files, and the embedded Redis's program."""
    yield from _disk(settings)
    try:
        files = raise_limit()
    except SettingsError as error:
        yield Finding("open files", "error", str(error))
    else:
        fix = "raise it: LimitNOFILE=65536 in systemd, or --ulimit nofile=65536 for a container"
        few = [f"up to {files:,}, so only {files // 2:,} clients; {fix}"] if files < _FILES_WANTED else []
        yield from warnings_or("open files", few, f"up to {files:,}")
    if settings.embedded:
        try:
            program = find_redis()
        except SettingsError as error:
            yield Finding("ledger", "error", str(error))
        else:
            yield Finding("ledger", "ok", f"the embedded Redis is {program.path}")


def _disk(settings: Settings) -> Iterator[Finding]:
    data = settings.data.resolve()
    folders = {_existing(data)} | ({_existing(one)} if (one := _local_store(settings)) is not None else set())
    for folder in sorted(folders):
        try:
            tempfile.TemporaryFile(dir=folder).close()  # without a name: it leaves nothing
        except OSError as error:
            fix = f"give this user write access to {folder}, or set FAREBOX_DATA to a folder of its own"
            yield Finding("disk", "error", f"{folder} cannot be written by this user: {error.strerror}", fix)
            continue
        free = shutil.disk_usage(folder).free
        text = f"{free / (1 << 30):,.1f} GiB free in {folder}"
        if free < _FREE_BYTES_MIN:
            yield Finding("disk", "error", text, "free some space: nothing can be stored")
        elif free < _FREE_BYTES_WANTED:
            yield Finding("disk", "warning", text, "free some space, or keep outputs in a bucket (FAREBOX_OUTPUTS_URL)")
        else:
            yield Finding("disk", "ok", text)


def _existing(folder: Path) -> Path:
    """The folder, or the one it would be made in."""
    return next(one for one in (folder, *folder.parents) if one.is_dir())


def _local_store(settings: Settings) -> Path | None:
    parts = urlsplit(settings.outputs_address)
    return Path(unquote(parts.path)) if parts.scheme == "file" else None


async def check_store(settings: Settings) -> Finding:
    """Write and read a probe, as a gateway does every few minutes."""
    folder = _local_store(settings)
    if folder is not None and not folder.is_dir():
        return Finding("store", "ok", f"{folder} does not exist yet: it is made at the first start")
    try:
        store = OutputStore.open(
            settings.outputs_address,
            cloud_environment(),
            instance_credentials=settings.outputs_credentials == "instance",
        )
        await store.probe(write=True)
    except SettingsError as error:
        return Finding("store", "error", str(error))
    except StoreUnavailable as error:
        fix = f"{error.fault.change} (docs/object-store.md)"
        return Finding("store", "error", f"{store.where}: {error.fault.reason}", fix)
    return Finding("store", "ok", f"{store.where} can be written")


async def check_queues(settings: Settings) -> AsyncIterator[Finding]:
    """Each queue's Redis that is not the ledger's too: it may lose everything, but must not evict."""
    addresses = {"FAREBOX_QUEUE_URL": settings.queue_address}
    addresses |= {OF_A_TOOL + name: url for name, url in settings.queue_urls.items()}
    for variable, address in addresses.items():
        if address != settings.ledger_address:
            yield await _queue(variable, address)


async def _queue(variable: str, address: str) -> Finding:
    redis = connect_queue(address, setting=variable)
    try:
        memory = await redis.info("memory")
    except (RedisError, OSError) as error:
        where, reason = parse_address(address, variable), type(error).__name__
        fix = f"check that it runs, its address and password in {variable}, and the firewall between"
        return Finding("queue", "error", f"{where} does not respond ({reason})", fix)
    finally:
        await redis.aclose()
    policy = memory.get("maxmemory_policy", "noeviction")
    if policy != "noeviction":
        fix = "run CONFIG SET maxmemory-policy noeviction, and set it in the server's configuration too"
        return Finding("queue", "warning", f"the Redis of {variable} may evict jobs: its policy is {policy}", fix)
    return Finding("queue", "ok", f"the Redis of {variable} responds")


async def check_gateway(settings: Settings) -> AsyncIterator[Finding]:
    """What the gateway of this machine says of itself (`/readyz`), if it runs."""
    url = URL(settings.local_address) / "readyz"
    calls = Outgoing(AddressGuard(), own=url)
    try:
        async with calls.request("GET", url, timeout=aiohttp.ClientTimeout(total=_PATIENCE_SECONDS)) as response:
            told = await response.json()
            problems = [str(problem) for problem in told["problems"]]
            if response.status == HTTPStatus.OK:
                for finding in warnings_or("gateway", problems, f"is ready at {settings.local_address}"):
                    yield finding
            for problem in problems if response.status != HTTPStatus.OK else ():
                yield Finding("gateway", "error", f"accepts nothing: {problem}")
    except (aiohttp.ClientError, OSError, TimeoutError, ValueError, KeyError, TypeError):
        yield Finding("gateway", "skipped", f"no gateway answers at {settings.local_address}")
    finally:
        await calls.close()
