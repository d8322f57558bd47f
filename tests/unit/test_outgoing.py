"""Whoever makes an HTTP call makes it through the one module that knows where calls may lead."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import gateway
import workers

_ROOTS = [Path(package.__path__[0]) for package in (gateway, workers)]
_OPENERS = frozenset(
    {
        "ClientSession",
        "TCPConnector",
        "HTTPConnection",
        "HTTPSConnection",
        "urlopen",
        "create_connection",
        "open_connection",
    }
)
_CLIENTS = frozenset({"httpx", "requests", "urllib3", "http.client", "urllib.request", "aiohttp.client"})
_ALLOWED = {
    "gateway/outside/outgoing.py": {"ClientSession", "TCPConnector"},
    "gateway/outside/addresses.py": {"TCPConnector"},
    "gateway/backup/take.py": {"urllib.request"},  # url2pathname, which calls nothing
    "gateway/outputs/store.py": {"urllib.request"},  # the same
}


def opened(path: Path) -> Iterator[str]:
    """What a module calls or imports that could make an HTTP call of its own."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call):
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            if name in _OPENERS:
                yield name
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in _CLIENTS)
        elif isinstance(node, ast.ImportFrom) and node.module in _CLIENTS:
            yield str(node.module)


def test_client_sessions_are_opened_in_one_module() -> None:
    found: dict[str, set[str]] = {}
    for root in _ROOTS:
        for path in root.rglob("*.py"):
            if names := set(opened(path)):
                found[path.relative_to(root.parent).as_posix()] = names
    assert found == _ALLOWED
