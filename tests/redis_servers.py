"""Real Redis servers for the tests: one durable server, or a cluster of masters, each on free ports of this machine."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import redis

from gateway.local.embedded import durable_arguments, find_redis
from gateway.local.lifeline import Lifeline
from tests.free_ports import free_port

CLUSTER_SLOTS = 16384
_START_SECONDS = 170  # until pytest itself gives up on a test; nothing asserts it

# Every server of this test run ends with it, also when it is killed.
_lifeline = Lifeline()


@dataclass
class RedisServer:
    """A durable Redis that a test may kill and start again: same port, same directory."""

    directory: Path
    options: tuple[str, ...] = ()
    port: int = field(default_factory=free_port)
    sentinel_config: Path | None = None
    program: Path = field(default_factory=lambda: find_redis().path)
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    def start(self) -> None:
        """Start the server and return when it answers."""
        self.directory.mkdir(parents=True, exist_ok=True)
        log = self.directory / "redis.log"
        arguments = [
            *(sys.executable, "-m", "gateway.local.lifeline", str(_lifeline.reading_fd), str(self.program)),
            *((str(self.sentinel_config), "--sentinel") if self.sentinel_config else ()),
            *("--port", str(self.port), "--bind", "127.0.0.1"),
            *("--dir", str(self.directory), "--logfile", str(log)),
            *(() if self.sentinel_config else ("--enable-debug-command", "yes", *durable_arguments())),
            *self.options,
        ]
        root = Path(__file__).parents[1]
        self.process = subprocess.Popen(
            arguments,
            pass_fds=[_lifeline.reading_fd],
            cwd=root,
            stdout=subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C is for whoever uses it; it is stopped when they are done
        )
        deadline = time.monotonic() + _START_SECONDS
        while not self.answers():
            if self.process.poll() is not None or time.monotonic() > deadline:
                said = log.read_text() if log.exists() else ""
                raise RuntimeError(f"Redis did not start on port {self.port}:\n{said}")
            time.sleep(0.01)

    def kill(self) -> None:
        """End the server as a power cut would (SIGKILL)."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def stop(self) -> None:
        """End the server if it still runs."""
        if self.process is not None and self.process.poll() is None:
            self.kill()

    def answers(self) -> bool:
        """Whether the server answers and has read its files."""
        try:
            with self.client() as client:
                return bool(client.ping())
        except (redis.ConnectionError, redis.TimeoutError, redis.BusyLoadingError):
            return False

    def client(self) -> redis.Redis:
        """A plain client to look at the server with, or to disturb it."""
        return redis.Redis(port=self.port, socket_timeout=10)

    def flush(self) -> None:
        """Take everything out of it."""
        with self.client() as client:
            client.flushall()


@dataclass
class RedisCluster:
    """Masters that share the slots, and their replicas after them."""

    nodes: list[RedisServer]
    masters: int = 3

    @classmethod
    def make(
        cls,
        directory: Path,
        masters: int = 3,
        replicas: int = 0,
        timeout_ms: int = 15_000,
        announced: Callable[[RedisServer], int] | None = None,
    ) -> RedisCluster:
        """Start the nodes, give each master its share of the slots, let them meet, and wait until all agree.

        `replicas`: so many for each master. `timeout_ms`: after which a node that is silent is replaced.
        `announced`: the port that each tells clients and other nodes instead of its own.
        """
        cluster = cls([], masters)
        try:
            for index in range(masters * (1 + replicas)):
                node = cls._node(directory / f"node-{index}", timeout_ms)
                if announced is not None:
                    node.options += ("--cluster-announce-port", str(announced(node)))
                cluster.nodes.append(node)
                node.start()
            cluster._join()
        except BaseException:
            cluster.stop()
            raise
        return cluster

    @staticmethod
    def _node(directory: Path, timeout_ms: int) -> RedisServer:
        options = (
            *("--cluster-enabled", "yes"),
            *("--cluster-port", str(free_port())),
            *("--cluster-node-timeout", str(timeout_ms)),
        )
        return RedisServer(directory, options)

    def add_replica(self, directory: Path, master: RedisServer, timeout_ms: int) -> RedisServer:
        """One more replica of a master; return when it has its first copy, and all nodes know what it is."""
        node = self._node(directory, timeout_ms)
        self.nodes.append(node)
        node.start()
        with master.client() as client:
            self._meet(client, node)
        deadline = time.monotonic() + _START_SECONDS
        while not all(self._agrees(each) for each in self.nodes):
            if time.monotonic() > deadline:
                raise RuntimeError("a node did not join the cluster")
            time.sleep(0.05)
        self._replicate(master, node, deadline)
        while not all(self._is_replica_to(each, node) for each in self.nodes):
            if time.monotonic() > deadline:
                raise RuntimeError("the nodes do not know the new replica")
            time.sleep(0.05)
        return node

    @property
    def url(self) -> str:
        return "redis+cluster://" + ",".join(f"127.0.0.1:{node.port}" for node in self.nodes)

    def stop(self) -> None:
        for node in self.nodes:
            if node.process is not None and node.process.poll() is None:
                os.kill(node.pid, signal.SIGCONT)
            node.stop()

    def flush(self) -> None:
        for node in self.nodes:
            node.flush()

    def owner(self, slot: int) -> RedisServer:
        """The master that had a slot at first."""
        return self.nodes[next(index for index in range(self.masters) if slot <= self._share(index)[1])]

    def replica_of(self, node: RedisServer) -> RedisServer:
        """The first replica that a master had at first."""
        return self.nodes[self.masters + self.nodes.index(node)]

    def move_slot(self, slot: int, source: RedisServer, target: RedisServer) -> Iterator[None]:
        """Move a slot with all its keys; step by step: told to both, each key moved, told to all."""
        with source.client() as here, target.client() as there:
            from_id, to_id = here.execute_command("CLUSTER MYID"), there.execute_command("CLUSTER MYID")
            there.execute_command("CLUSTER SETSLOT", slot, "IMPORTING", from_id)
            here.execute_command("CLUSTER SETSLOT", slot, "MIGRATING", to_id)
            yield
            while names := here.execute_command("CLUSTER GETKEYSINSLOT", slot, 1):
                here.execute_command("MIGRATE", "127.0.0.1", target.port, "", 0, 5000, "KEYS", *names)
                yield
            for client in (there, here):
                client.execute_command("CLUSTER SETSLOT", slot, "NODE", to_id)

    def _share(self, index: int) -> tuple[int, int]:
        return CLUSTER_SLOTS * index // self.masters, CLUSTER_SLOTS * (index + 1) // self.masters - 1

    def _join(self) -> None:
        for index, node in enumerate(self.nodes[: self.masters]):
            first, last = self._share(index)
            with node.client() as client:
                client.execute_command("CLUSTER ADDSLOTSRANGE", first, last)
                client.execute_command("CLUSTER SET-CONFIG-EPOCH", index + 1)
        with self.nodes[0].client() as client:
            for node in self.nodes[1:]:
                self._meet(client, node)
        deadline = time.monotonic() + _START_SECONDS
        while not all(self._agrees(node) for node in self.nodes):
            if time.monotonic() > deadline:
                raise RuntimeError("the cluster did not form")
            time.sleep(0.05)
        for index, node in enumerate(self.nodes[self.masters :]):
            self._replicate(self.nodes[index % self.masters], node, deadline)

    @staticmethod
    def _meet(client: Any, node: RedisServer) -> None:
        bus = node.options[node.options.index("--cluster-port") + 1]
        client.execute_command("CLUSTER MEET", "127.0.0.1", node.port, bus)

    @staticmethod
    def _replicate(master: RedisServer, replica: RedisServer, deadline: float) -> None:
        client: Any
        its_master: Any
        with master.client() as its_master, replica.client() as client:
            client.execute_command("CLUSTER REPLICATE", its_master.execute_command("CLUSTER MYID"))
            while client.info("replication").get("master_link_status") != "up":
                if time.monotonic() > deadline:
                    raise RuntimeError("a replica did not join the cluster")
                time.sleep(0.05)

    @staticmethod
    def _is_replica_to(node: RedisServer, replica: RedisServer) -> bool:
        asking: Any
        with node.client() as asking:
            return "slave" in asking.execute_command("CLUSTER NODES")[f"127.0.0.1:{replica.port}"]["flags"]

    def _agrees(self, node: RedisServer) -> bool:
        with node.client() as client:
            info = client.execute_command("CLUSTER INFO")
        return info["cluster_state"] == "ok" and int(info["cluster_known_nodes"]) == len(self.nodes)
