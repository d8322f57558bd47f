"""Connections to Redis: parses addresses from the settings, and creates clients with one policy for all.

| address | server |
|---|---|
| `redis://[user:password@]host:port[/db]` | one server |
| `redis+sentinel://[user:password@]host:port,host:port/name[/db]` | the current master according to the Sentinels |
| `redis+cluster://[user:password@]host:port,host:port` | a cluster (the ledger only: arq's transactions span keys) |
| `unix:///path/to/redis.sock` | the embedded server; the path is not URL-encoded |

`rediss` instead of `redis` uses TLS, and verifies certificate and host name; `?ca=/path/to/ca.pem` sets a private CA.
"""

from __future__ import annotations

import contextlib
import copy
import re
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, replace
from typing import Any, Literal
from urllib.parse import SplitResult, parse_qs, unquote

from redis import exceptions
from redis.asyncio import BlockingConnectionPool, ConnectionPool, Redis, SSLConnection
from redis.asyncio.cluster import ClusterNode, RedisCluster
from redis.asyncio.connection import AbstractConnection, UnixDomainSocketConnection
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import Sentinel, SentinelConnectionPool
from redis.backoff import ExponentialBackoff

from gateway.errors import SettingsError
from gateway.redis_link.open_connections import abandon, close_idle, leads_to_master
from gateway.server_lists import split_url

CONNECT_SECONDS = 2.0
ANSWER_SECONDS = 5.0
_SENTINEL_SECONDS = 0.5  # a Sentinel has nothing to do but to answer: one that takes longer is passed over
_POOL_WAIT_SECONDS = 2  # for one of these connections
_RETRIES = 2
_CONNECTIONS_MAX = 100  # Redis has one thread: with more, calls would wait there instead of here
_REDIS_PORT = 6379
_SENTINEL_PORT = 26379
_PORT_MAX = 65535
_RUN_ID = re.compile(rb"run_id:([0-9a-f]{40})")

Kind = Literal["single", "unix", "sentinel", "cluster"]
_FORMS: dict[str, Kind] = {"": "single", "sentinel": "sentinel", "cluster": "cluster"}


@dataclass(frozen=True, slots=True)
class Address:
    """The address of a Redis."""

    kind: Kind
    hosts: tuple[tuple[str, int], ...] = ()
    path: str = ""
    service: str = ""
    tls: bool = False
    username: str | None = None
    password: str | None = None
    database: int = 0
    authority: str | None = None

    def __repr__(self) -> str:
        """Show the address, never the password."""
        where = self.path or ",".join(f"{host}:{port}" for host, port in self.hosts)
        return f"Address({self.kind} {where}{f' {self.service}' if self.service else ''})"


def parse_address(url: str, setting: str = "FAREBOX_LEDGER_URL") -> Address:
    """Parse `url`. SettingsError names `setting` and the problem, but not the URL, which may contain a password."""
    if url.startswith("unix://"):
        path = url.removeprefix("unix://")
        if not path.startswith("/"):
            raise _wrong(setting, "a socket's address must be unix:// with an absolute path: unix:///run/redis.sock")
        return Address("unix", path=path)
    parts = split_url(url)
    if parts.netloc.count("[") != parts.netloc.count("]"):
        raise _wrong(setting, "an IPv6 address must be in brackets: redis://[::1]:6379")
    transport, _, form = parts.scheme.partition("+")
    if transport not in {"redis", "rediss"} or form not in _FORMS:
        raise _wrong(setting, "must start with redis://, redis+sentinel:// or redis+cluster:// (rediss with TLS)")
    return _parse_remote(parts, _FORMS[form], setting)


def connect_ledger(url: str, setting: str = "FAREBOX_LEDGER_URL") -> Redis | LedgerCluster:
    """A client for the ledger's Redis; it connects at first use."""
    address = parse_address(url, setting)
    if address.kind == "cluster":
        return LedgerCluster(address)  # type: ignore[abstract]  # an attribute that redis-py's cluster does not have
    return _client(_pool(address, ANSWER_SECONDS))


class LedgerCluster(RedisCluster):
    """redis-py's client of a cluster, which connects at first use, and the way to each of its nodes."""

    def __init__(self, address: Address) -> None:
        self._address = address
        self.seeds = address.hosts
        """Where to ask for the nodes."""
        self.tls = address.tls
        super().__init__(
            startup_nodes=[ClusterNode(host, port) for host, port in address.hosts],
            **({"ssl": True, **_tls(address)} if address.tls else {}),
            **{name: value for name, value in _common(address, ANSWER_SECONDS).items() if name != "redis_connect_func"},
        )

    async def close_for_good(self) -> None:
        """Close every connection: `aclose` leaves those open that calls opened after one of them had lost its node."""
        await self.aclose()
        for nodes in ("nodes_cache", "startup_nodes"):
            await self.nodes_manager.aclose(nodes)

    def node(self, host: str, port: int) -> Redis:
        """A client of one node, with the same policy, credentials and certificates."""
        # A lost connection is not retried there: the node may have been replaced, and `Cluster` asks by whom.
        alone = replace(self._address, kind="single", hosts=((host, port),))
        return _client(_pool(alone, ANSWER_SECONDS, retries=0))


def queue_pool(
    url: str, answer_seconds: float | None = ANSWER_SECONDS, setting: str = "FAREBOX_QUEUE_URL"
) -> ConnectionPool:
    """Connections to the queue's Redis, for `ArqRedis(pool, …)` or `Redis.from_pool(pool)`.

    Blocking commands must end before `answer_seconds`. Pub/sub, which listens forever, passes None and relies on TCP
    keep-alive to detect a dead connection.
    """
    address = parse_address(url, setting)
    if address.kind == "cluster":
        raise _wrong(setting, "the queue cannot run on a cluster: arq's transactions span keys")
    return _pool(address, answer_seconds)


def connect_queue(url: str, answer_seconds: float | None = ANSWER_SECONDS, setting: str = "FAREBOX_QUEUE_URL") -> Redis:
    """A plain client for the queue's Redis: pub/sub, wake-up lists, readiness."""
    return _client(queue_pool(url, answer_seconds, setting))


def is_closed_transport(error: BaseException) -> bool:
    """Whether uvloop refused to write to a connection that was just reset.

    It raises a RuntimeError, which redis-py does not translate. asyncio's own loop accepts the write, and the next read
    fails.
    """
    return isinstance(error, RuntimeError) and "the handler is closed" in str(error)


def newer_master(redis: Redis) -> Callable[[], Coroutine[None, None, None]] | None:
    """What finds out whether a server that does not answer has been replaced; None if it has no Sentinels."""
    pool = redis.connection_pool
    return pool.follow_master if isinstance(pool, SentinelPool) else None


class Sentinels(Sentinel):
    """The Sentinels that the URL names, each once, the one that answered last in front.

    redis-py has it change places in a list that all calls share: of two calls at once, the second one overwrote what
    the first had put there. One Sentinel was lost for good, and another was heard twice, as if two agreed.
    """

    async def discover_master(self, service_name: str) -> tuple[str, int]:
        """Where the master is, as the first says that answers."""
        own = copy.copy(self)
        own.sentinels = list(self.sentinels)
        place: tuple[str, int] = await super(Sentinels, own).discover_master(service_name)
        self.sentinels = own.sentinels
        return place


class SentinelPool(SentinelConnectionPool):
    """Connections to the master; closing it also closes those to the Sentinels."""

    async def get_connection(self, *_: Any, **__: Any) -> AbstractConnection:
        """A connection that is ready. redis-py lets all wait for one that hangs while it connects."""
        connection: AbstractConnection = self.get_available_connection()  # type: ignore[no-untyped-call]
        try:
            await self.ensure_connection(connection)
        except BaseException:
            await self.release(connection)
            raise
        return connection

    async def ensure_connection(self, connection: AbstractConnection) -> None:
        """Connect again if it leads to a former master: one that was in use when the master changed is still open."""
        if connection.is_connected and not leads_to_master(self, connection):
            await connection.disconnect()
        await super().ensure_connection(connection)

    async def follow_master(self) -> None:
        """Close all connections if there is another master by now: their calls are then sent to that one."""
        before = self.master_address
        with contextlib.suppress(exceptions.RedisError, OSError):
            await self.get_master_address()  # type: ignore[no-untyped-call]
            if before not in {None, self.master_address}:
                await abandon(self)

    async def sentinels_known(self) -> int:
        """How many Sentinels there are, as the first that answers says; 0 if none does."""
        for sentinel in self.sentinel_manager.sentinels:
            with contextlib.suppress(exceptions.RedisError, OSError):
                state = await sentinel.sentinel_master(self.service_name)
                return int(state["num-other-sentinels"]) + 1
        return 0

    async def disconnect(self, inuse_connections: bool = True) -> None:  # noqa: FBT001, FBT002 - as redis-py has it
        """Close all; after a failover, which passes False, only those to the old master."""
        if not inuse_connections:
            await close_idle(self)
            return
        await super().disconnect()
        for sentinel in self.sentinel_manager.sentinels:
            await sentinel.aclose()


def _client(pool: ConnectionPool) -> Redis:
    client: Redis = Redis.from_pool(pool)  # closes the pool when it is closed
    return client


def _pool(address: Address, answer_seconds: float | None, retries: int = _RETRIES) -> ConnectionPool:
    common = _common(address, answer_seconds, retries) | {"db": address.database}
    if address.kind == "sentinel":
        # Connections to the Sentinels have the same policy, credentials and certificates.
        own = {"ssl": True, **_tls(address)} if address.tls else {}
        asking = _common(address, _SENTINEL_SECONDS, 0) | own | {"socket_connect_timeout": _SENTINEL_SECONDS}
        del asking["redis_connect_func"]  # which one answers does not matter
        sentinel = Sentinels(address.hosts, sentinel_kwargs=asking)  # type: ignore[no-untyped-call]
        return SentinelPool(address.service, sentinel, **own, **common)  # type: ignore[no-untyped-call]
    if address.kind == "unix":
        common = {key: value for key, value in common.items() if key != "socket_keepalive"}
        place: dict[str, Any] = {"connection_class": UnixDomainSocketConnection, "path": address.path}
    else:
        host, port = address.hosts[0]
        place = {"host": host, "port": port}
        if address.tls:
            place |= {"connection_class": SSLConnection, **_tls(address)}
    return BlockingConnectionPool(max_connections=_CONNECTIONS_MAX, timeout=_POOL_WAIT_SECONDS, **place, **common)


def _common(address: Address, answer_seconds: float | None, retries: int = _RETRIES) -> dict[str, Any]:
    """Options of every connection.

    A lost connection is retried twice within half a second: a script run twice with one id returns its first result
    (R11). A timeout is not retried: Redis is stuck, and a retry would only add load.

    There is no `health_check_interval`: the pool checks a connection before use, and redis-py 5.3 hangs in its health
    check if a server requires a password and none is set.
    """
    return {
        "username": address.username,
        "password": address.password,
        "socket_connect_timeout": CONNECT_SECONDS,
        "socket_timeout": answer_seconds,
        "socket_keepalive": True,
        "protocol": 2,  # replies are arrays of strings, so RESP3 would add nothing and some proxies lack it
        "decode_responses": False,
        "retry": Retry(ExponentialBackoff(base=0.1, cap=0.4), retries, supported_errors=(exceptions.ConnectionError,)),
        "retry_on_error": [exceptions.ConnectionError],
        "redis_connect_func": _connected,
    }


async def _connected(connection: Any) -> None:
    """Greet as redis-py does, and note which process answers: an address may lead to another server by and by."""
    await connection.on_connect()
    connection.run_id = None  # where INFO is not allowed, one cannot be told from another
    await connection.send_command("INFO", "server")
    with contextlib.suppress(exceptions.ResponseError):
        found = _RUN_ID.search(await connection.read_response())
        connection.run_id = None if found is None else found[1].decode()


def _tls(address: Address) -> dict[str, Any]:
    return {"ssl_cert_reqs": "required", "ssl_check_hostname": True, "ssl_ca_certs": address.authority}


def _parse_remote(parts: SplitResult, kind: Kind, setting: str) -> Address:
    credentials, _, places = parts.netloc.rpartition("@")
    username, _, password = credentials.partition(":")
    default_port = _SENTINEL_PORT if kind == "sentinel" else _REDIS_PORT
    hosts = tuple(_host(place, default_port, setting) for place in places.split(","))
    if kind == "single" and len(hosts) > 1:
        raise _wrong(setting, "several hosts need redis+sentinel:// or redis+cluster://")
    options = parse_qs(parts.query, keep_blank_values=True)
    tls = parts.scheme.startswith("rediss")
    if options.keys() - {"ca"}:
        raise _wrong(
            setting, f"has an unknown option {', '.join(sorted(options.keys() - {'ca'}))}; only ca is supported"
        )
    if options and not tls:
        raise _wrong(setting, "the option ca requires rediss://")
    segments = [unquote(segment) for segment in parts.path.split("/") if segment]
    service = segments.pop(0) if kind == "sentinel" and segments else ""
    if kind == "sentinel" and not service:
        raise _wrong(setting, "needs the name of the master after the hosts: redis+sentinel://host:26379/mymaster")
    if kind == "sentinel" and len(set(hosts)) < len(hosts):
        raise _wrong(setting, "names a Sentinel twice: a majority of them decides, and each counts once")
    if len(segments) > 1 or (kind == "cluster" and segments):
        raise _wrong(setting, f"has too much after the hosts: {'/'.join(segments)}")
    return Address(
        kind,
        hosts,
        service=service,
        tls=tls,
        username=unquote(username) or None,
        password=unquote(password) or None,
        database=_database(segments, setting),
        authority=options["ca"][0] if options else None,
    )


def _host(place: str, default_port: int, setting: str) -> tuple[str, int]:
    match = re.fullmatch(r"(?:\[(?P<six>[0-9a-fA-F:.%]+)\]|(?P<name>[^\[\]:\s]+))(?::(?P<port>\d{1,5}))?", place)
    if match is None:
        raise _wrong(setting, f"{place!r} is not host:port")
    port = int(match["port"] or default_port)
    if not 0 < port <= _PORT_MAX:
        raise _wrong(setting, f"{port} is not a port")
    return match["six"] or match["name"], port


def _database(segments: list[str], setting: str) -> int:
    if not segments:
        return 0
    if not segments[0].isdecimal():
        raise _wrong(setting, f"the database must be a number, not {segments[0]!r}")
    return int(segments[0])


def _wrong(setting: str, message: str) -> SettingsError:
    return SettingsError(f"{setting}: {message}")
