"""One `farebox up` for all SDKs; each test has accounts of its own."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.console.stack import Stack, running_stack
from tests.facades.openai_clients import close_clients
from tests.facades.tls import TlsProxy

Installed = Callable[..., Path]
NodePackages = Callable[[str], Path]


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """The default rate card, real workers, the sandbox."""
    with running_stack(tmp_path_factory.mktemp("facades")) as running:
        yield running


@pytest.fixture(autouse=True)
def closed() -> Iterator[None]:
    """Leave no connection of the test's clients to the garbage collector, which finds it in another test."""
    yield
    close_clients()


@pytest.fixture(scope="session")
def https(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TlsProxy]:
    """The stack, over HTTPS."""
    proxy = TlsProxy(tmp_path_factory.mktemp("tls"), stack.port)
    proxy.start()
    yield proxy
    proxy.stop()


@pytest.fixture(scope="session")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """Installs packages into a folder of their own, for versions beside the one of this environment.

    Without what they need: that is here, and `requirements` names what is not.
    """
    folders: dict[tuple[str, ...], Path] = {}

    def install(*requirements: str) -> Path:
        if requirements not in folders:
            folders[requirements] = tmp_path_factory.mktemp("packages")
            pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]
            subprocess.run([*pip, "--target", str(folders[requirements]), *requirements], check=True)
        return folders[requirements]

    return install


@pytest.fixture(scope="session")
def node_packages(tmp_path_factory: pytest.TempPathFactory) -> NodePackages:
    """Installs npm packages; a folder in which Node finds them. Skipped where there is no npm, but not on CI."""
    if shutil.which("npm") is None or shutil.which("node") is None:
        missing = "NOT RUN: the clients in JavaScript. There is no npm here (Debian, Ubuntu: apt install npm)"
        if os.environ.get("CI") == "true":
            pytest.fail(missing)
        pytest.skip(missing)
    folders: dict[str, Path] = {}

    def install(requirement: str) -> Path:
        if requirement not in folders:
            folders[requirement] = tmp_path_factory.mktemp("node")
            npm = ["npm", "install", "--silent", "--no-audit", "--no-fund", requirement]
            subprocess.run(npm, check=True, cwd=folders[requirement])
        return folders[requirement]

    return install
