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

import re
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import SplitResult, parse_qs, unquote

from redis import exceptions
from redis.asyncio import BlockingConnectionPool, ConnectionPool, Redis, SSLConnection
from redis.asyncio.cluster import ClusterNode, RedisCluster
from redis.asyncio.connection import UnixDomainSocketConnection
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import Sentinel, SentinelConnectionPool
from redis.backoff import ExponentialBackoff

from gateway.errors import SettingsError

CONNECT_SECONDS = 2.0
ANSWER_SECONDS = 5.0
_POOL_WAIT_SECONDS = 2  # for one of these connections
_CONNECTIONS_MAX = 100  # Redis has one thread: with more, calls would wait there instead of here
_REDIS_PORT = 6379
_SENTINEL_PORT = 26379
_PORT_MAX = 65535

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
    # Not urlsplit: some versions of Python 3.11 reject a list of hosts with an IPv6 address in it.
    split = re.fullmatch(r"([a-z+]*)://([^/?#]*)([^?#]*)(?:\?([^#]*))?", url)
    scheme, netloc, path, query = split.groups("") if split else ("", "", "", "")
    if netloc.count("[") != netloc.count("]"):
        raise _wrong(setting, "an IPv6 address must be in brackets: redis://[::1]:6379")
    parts = SplitResult(scheme, netloc, path, query, "")
    transport, _, form = parts.scheme.partition("+")
    if transport not in {"redis", "rediss"} or form not in _FORMS:
        raise _wrong(setting, "must start with redis://, redis+sentinel:// or redis+cluster:// (rediss with TLS)")
    return _parse_remote(parts, _FORMS[form], setting)


def connect_ledger(url: str, setting: str = "FAREBOX_LEDGER_URL") -> Redis | RedisCluster:
    """A client for the ledger's Redis; it connects at first use."""
    address = parse_address(url, setting)
    if address.kind != "cluster":
        return _client(_pool(address, ANSWER_SECONDS))
    cluster: RedisCluster = RedisCluster(
        startup_nodes=[ClusterNode(host, port) for host, port in address.hosts],
        **({"ssl": True, **_tls(address)} if address.tls else {}),
        **_common(address, ANSWER_SECONDS),
    )
    return cluster


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


class _SentinelPool(SentinelConnectionPool):
    """Connections to the master; closing it also closes those to the Sentinels."""

    async def disconnect(self, inuse_connections: bool = True) -> None:  # noqa: FBT001, FBT002 - as redis-py has it
        """Close all; after a failover, which passes False, only those to the old master."""
        await super().disconnect(inuse_connections)
        if inuse_connections:
            for sentinel in self.sentinel_manager.sentinels:
                await sentinel.aclose()


def _client(pool: ConnectionPool) -> Redis:
    client: Redis = Redis.from_pool(pool)  # closes the pool when it is closed
    return client


def _pool(address: Address, answer_seconds: float | None) -> ConnectionPool:
    common = _common(address, answer_seconds) | {"db": address.database}
    if address.kind == "sentinel":
        # Connections to the Sentinels have the same policy, credentials and certificates.
        own = {"ssl": True, **_tls(address)} if address.tls else {}
        asking = {key: value for key, value in common.items() if key != "db"} | own
        sentinel = Sentinel(address.hosts, sentinel_kwargs=asking)  # type: ignore[no-untyped-call]
        return _SentinelPool(address.service, sentinel, **own, **common)  # type: ignore[no-untyped-call]
    if address.kind == "unix":
        common = {key: value for key, value in common.items() if key != "socket_keepalive"}
        place: dict[str, Any] = {"connection_class": UnixDomainSocketConnection, "path": address.path}
    else:
        host, port = address.hosts[0]
        place = {"host": host, "port": port}
        if address.tls:
            place |= {"connection_class": SSLConnection, **_tls(address)}
    return BlockingConnectionPool(max_connections=_CONNECTIONS_MAX, timeout=_POOL_WAIT_SECONDS, **place, **common)


def _common(address: Address, answer_seconds: float | None) -> dict[str, Any]:
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
        "retry": Retry(ExponentialBackoff(base=0.1, cap=0.4), 2, supported_errors=(exceptions.ConnectionError,)),
        "retry_on_error": [exceptions.ConnectionError],
    }


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
