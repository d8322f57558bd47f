"""A machine of its own for each server: a network namespace on a bridge, whose cable can be pulled.

Everything is in a network namespace of the run's own, so that no address of this machine is used and nothing is left.
Where namespaces are not allowed, all servers are on 127.0.0.1 and cannot be cut off; the report says so.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass

from tests.free_ports import free_port

_INSIDE = "CHAOS_NETWORK"
GATEWAYS = "10.213.0.1"


def enter_network() -> None:
    """Go on in namespaces of our own (network and mounts), where we may make more; if that cannot be, stay."""
    unshare = shutil.which("unshare")
    if _INSIDE in os.environ or unshare is None or shutil.which("ip") is None:
        return
    options = ["-m", "-n"] if os.geteuid() == 0 else ["-r", "-m", "-n"]
    script = "mount -t tmpfs none /run && mkdir /run/netns && ip link set lo up && ip netns add try && ip netns del try"
    tried = subprocess.run([unshare, *options, "sh", "-c", script], capture_output=True, check=False)
    if tried.returncode == 0:
        again = f'mount -t tmpfs none /run && mkdir /run/netns && exec "{sys.executable}" -m chaos "$@"'
        os.execve(  # noqa: S606 - ourselves again
            unshare, [unshare, *options, "sh", "-c", again, "chaos", *sys.argv[1:]], {**os.environ, _INSIDE: "1"}
        )


@dataclass(frozen=True, slots=True)
class Machine:
    """Where a server runs. `namespace` is empty where there are none."""

    name: str
    address: str
    namespace: str

    def port(self, usual: int) -> int:
        """The port for a service: the usual one, or a free one where the machine is shared."""
        return usual if self.namespace else free_port()

    def command(self, *words: str) -> list[str]:
        """A command that runs there."""
        return ["ip", "netns", "exec", self.namespace, *words] if self.namespace else list(words)


class Network:
    """The machines, and their cables."""

    def __init__(self) -> None:
        self.may_cut = _INSIDE in os.environ
        self._machines: list[Machine] = []
        if self.may_cut:
            _ip("link", "set", "lo", "up")
            _ip("link", "add", "bridge0", "type", "bridge")
            _ip("address", "add", f"{GATEWAYS}/16", "dev", "bridge0")
            _ip("link", "set", "bridge0", "up")

    def machine(self, name: str) -> Machine:
        """The machine of this name, whole, for whatever runs on it from now."""
        if not self.may_cut:
            return Machine(name, "127.0.0.1", "")
        if there := next((one for one in self._machines if one.name == name), None):
            self.mend(there)
            return there
        made = Machine(name, f"10.213.1.{len(self._machines) + 1}", name)
        self._machines.append(made)
        _ip("netns", "add", name)
        _ip("link", "add", f"v-{name}", "type", "veth", "peer", "name", "eth0", "netns", name)
        _ip("link", "set", f"v-{name}", "master", "bridge0", "up")
        _ip("-n", name, "address", "add", f"{made.address}/16", "dev", "eth0")
        for device in ("lo", "eth0"):
            _ip("-n", name, "link", "set", device, "up")
        return made

    def cut(self, machine: Machine) -> None:
        """Pull its cable: nobody reaches it, and it reaches nobody."""
        _ip("link", "set", f"v-{machine.name}", "down")

    def part(self, machine: Machine) -> None:
        """Part it from the other servers; gateways and workers still reach it."""
        for other in self._machines:
            if other is not machine:
                _ip("-n", machine.name, "route", "add", "blackhole", f"{other.address}/32")

    def mend(self, machine: Machine) -> None:
        """As it was."""
        _ip("link", "set", f"v-{machine.name}", "up")
        for other in self._machines:
            _ip("-n", machine.name, "route", "del", "blackhole", f"{other.address}/32", may_fail=True)


def _ip(*words: str, may_fail: bool = False) -> None:
    done = subprocess.run(["ip", *words], capture_output=True, text=True, check=False)  # noqa: S607 - our own
    if done.returncode and not may_fail:
        raise RuntimeError(f"ip {' '.join(words)}: {done.stderr.strip()}")
