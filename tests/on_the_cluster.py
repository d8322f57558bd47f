"""Every script of the ledger ran on the cluster, too: each process of a run notes its own, the end of a whole run asks.

Of the tests of a file only the first is run on the cluster (`tests/conftest.py`); this tells when a script loses its
last one.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

import gateway.ledger
from gateway.redis_link.calls import Calls, Reply
from gateway.redis_link.scripts import Argument

_OUTPUT = "scripts on the cluster"
_NOTED = pytest.StashKey[set[str]]()


def note_scripts(config: pytest.Config, monkeypatch: pytest.MonkeyPatch) -> None:
    """Note what is run until the end of the test; it runs as ever."""
    noted, run = noted_by(config), Calls.run

    def noting(self: Calls, name: str, key: str, /, **arguments: Argument | None) -> asyncio.Future[Reply]:
        noted.add(name)
        return run(self, name, key, **arguments)

    monkeypatch.setattr(Calls, "run", noting)


def noted_by(config: pytest.Config) -> set[str]:
    """What this process has noted."""
    return config.stash.setdefault(_NOTED, set())


class OnTheCluster:
    """A plugin of pytest."""

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        """In the process that reports: take over what one that tests has noted."""
        noted_by(node.config).update(getattr(node, "workeroutput", {}).get(_OUTPUT, ()))

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Hand over what was noted, or fail a run of everything that lacks a script."""
        config = session.config
        if hasattr(config, "workeroutput"):
            config.workeroutput[_OUTPUT] = sorted(noted_by(config))
        elif missing(config) and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
        """Say which."""
        for name in missing(config):
            terminalreporter.write_line(f"FAILED: no test ran {name}.lua on the cluster", red=True)


def missing(config: pytest.Config) -> list[str]:
    """The scripts that a run of everything has not run on the cluster; none of a run of some tests."""
    chosen = config.args_source is not pytest.Config.ArgsSource.TESTPATHS or config.option.keyword
    if chosen or config.option.markexpr or config.option.collectonly or config.option.maxfail:
        return []
    scripts = {path.stem for path in (Path(gateway.ledger.__file__).parent / "lua").glob("*.lua")}
    return sorted(scripts - noted_by(config))
