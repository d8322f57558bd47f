"""One `farebox up` for all tests that it survives, in one process: a start is six processes' imports."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.whole.everything import Up, started

SETTINGS = {"FAREBOX_WEBHOOK_NETWORKS": "127.0.0.0/8"}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Have those that share it in one process."""
    for item in items:
        if Path(__file__).parent in item.path.parents and "shared_up" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.xdist_group("up"))


@pytest.fixture(scope="session")
def shared_up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    """Started as the README says; the demo has run. A test may kill what is started again, and has its own account."""
    with started(tmp_path_factory.mktemp("up"), "--demo", says="still running at", **SETTINGS) as running:
        yield running
