"""Fixtures that every kind of test shares: real Redis servers, started once and emptied before each test."""

from __future__ import annotations

import contextlib
import gc
import importlib
import logging
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hypothesis
import pytest
import structlog

from tests.ends_with_folder import EndsWithFolder
from tests.files_in_memory import in_memory
from tests.lengths import LONG
from tests.on_the_cluster import OnTheCluster, note_scripts
from tests.redis_servers import RedisCluster, RedisServer
from tests.shared_forker import forker_is_shared
from tests.together import Together

# Nothing asserts how long anything takes: on a busy machine a made-up example may well take longer than 200 ms.
hypothesis.settings.register_profile("farebox", deadline=None)
hypothesis.settings.load_profile("farebox")

# `configure_logs` has each logger keep what it is configured with: a later test that captures lines would see none.
_configure_logs = structlog.configure


def _configure_without_keeping(*arguments: Any, **settings: Any) -> None:
    _configure_logs(*arguments, **settings | {"cache_logger_on_first_use": False})


structlog.configure = _configure_without_keeping


def _log_plainly() -> None:
    """As structlog does by itself, without drawing tracebacks: 30 ms of CPU each, of thousands that nobody reads."""
    structlog.reset_defaults()
    *before, _ = structlog.get_config()["processors"]
    drawn = structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)
    structlog.configure(processors=[*before, drawn])


_log_plainly()

# A shell without job control starts what is in the background deaf to Ctrl-C, and so would be all that tests start.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_configure(config: pytest.Config) -> None:
    """Have it checked that every script runs on the cluster, and end what a folder's tests share with them."""
    config.pluginmanager.register(OnTheCluster())
    config.pluginmanager.register(EndsWithFolder())
    if hasattr(config, "workerinput"):
        _compile_a_share(int(config.workerinput["workerid"][2:]), config.workerinput["workercount"])


def _compile_a_share(number: int, of: int) -> None:
    """Import every nth file of tests before all are collected.

    In a new clone pytest compiles each in a way of its own, which takes longer than importing it: every process would
    compile all of them, at the same time.
    """
    root = Path(__file__).parents[1]
    for path in sorted((root / "tests").rglob("test_*.py"))[number::of]:
        with contextlib.suppress(Exception, pytest.skip.Exception):  # collecting it says what is wrong
            importlib.import_module(".".join(path.relative_to(root).with_suffix("").parts))


def pytest_xdist_auto_num_workers() -> int:
    """Two processes for each core: tests also wait, for Redis, disks and processes. Each costs ten seconds to begin.

    More than 16 gain nothing: the console's tests, which are one process's and begin first, take two minutes.
    """
    return min(2 * (os.cpu_count() or 1), 16)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Together:
    """Each test to whoever is free, but some together."""
    return Together(config, log)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Begin with the longest: at the end one process would be left alone with them. And leave out what says no more."""
    items.sort(key=lambda item: not {"whole", "fuzz"} & set(item.path.parts))
    seen: set[str] = set()
    left_out = {item for item in items if _is_for_a_long_run(item) or _is_on_the_cluster_again(item, seen)}
    if left_out:
        config.hook.pytest_deselected(items=list(left_out))
        items[:] = [item for item in items if item not in left_out]


def pytest_collection_finish() -> None:
    """Spare the garbage collector what lasts until the end: modules, tests and schemas are most of the heap."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 10, 10)


def _is_for_a_long_run(item: pytest.Item) -> bool:
    return not LONG and item.get_closest_marker("long") is not None


def _is_on_the_cluster_again(item: pytest.Item, seen: set[str]) -> bool:
    """Whether another test of the same file is on the cluster before this one; in a long run, another case of the test.

    Every test runs on one server. What a cluster adds is where the keys are, and each file, whose tests are about one
    script, shows that by its first test and those marked `cluster`; `tests/on_the_cluster.py` fails a whole run that
    leaves a script out.
    """
    if not isinstance(item, pytest.Function) or not hasattr(item, "callspec"):
        return False
    if item.callspec.params.get("ledger_url") != "cluster":
        return False
    name = item.nodeid.partition("[")[0]
    if not LONG and item.get_closest_marker("cluster") is None:
        name = item.nodeid.partition("::")[0]
    if name in seen:
        return True
    seen.add(name)
    return False


@pytest.fixture(autouse=True)
def _logs_as_before() -> Iterator[None]:
    """A test may configure the logs of its process; the next does not inherit them."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    _log_plainly()


@pytest.fixture(scope="session", autouse=True)
def _one_forker() -> Iterator[None]:
    with forker_is_shared():
        yield


@pytest.fixture(scope="session")
def single_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """One durable server for the whole run; ask for `redis_url` to get it empty."""
    with in_memory(tmp_path_factory.mktemp("redis")) as folder:
        server = RedisServer(folder)
        try:
            server.start()
            yield server
        finally:
            server.stop()


@pytest.fixture(scope="session")
def cluster_servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisCluster]:
    """A cluster of three masters for the whole run; ask for `cluster_url` to get it empty."""
    with in_memory(tmp_path_factory.mktemp("cluster")) as folder:
        cluster = RedisCluster.make(folder)
        try:
            yield cluster
        finally:
            cluster.stop()


@pytest.fixture
def redis_url(single_server: RedisServer) -> str:
    """An empty durable Redis, shared by the run."""
    single_server.flush()
    return single_server.url


@pytest.fixture
def cluster_url(cluster_servers: RedisCluster, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """An empty three-node Redis Cluster, shared by the run; which scripts a test runs on it is noted."""
    note_scripts(request.config, monkeypatch)
    cluster_servers.flush()
    return cluster_servers.url


@pytest.fixture(params=["single", "cluster"])
def ledger_url(request: pytest.FixtureRequest) -> str:
    """An empty ledger: the test runs once on one server and once on the cluster."""
    url: str = request.getfixturevalue("redis_url" if request.param == "single" else "cluster_url")
    return url


@pytest.fixture
def own_redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """A durable server of this test's own, to be killed and started again as it likes."""
    server = RedisServer(tmp_path_factory.mktemp("own-redis"))
    try:
        server.start()
        yield server
    finally:
        server.stop()


@pytest.fixture
def replica(own_redis: RedisServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """A durable replica of `own_redis`, which it follows from its start; a test may kill it or let it hang.

    Its files are in memory: what is not confirmed within a second is refused, and a disk may be busy.
    """
    with own_redis.client() as client:
        client.config_set("repl-diskless-sync-delay", 0)
    with in_memory(tmp_path_factory.mktemp("replica")) as folder:
        server = RedisServer(folder, ("--replicaof", "127.0.0.1", str(own_redis.port)))
        try:
            server.start()
            yield server
        finally:
            if server.process is not None and server.process.poll() is None:
                os.kill(server.pid, signal.SIGCONT)
            server.stop()
