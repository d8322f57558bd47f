"""One `farebox up` for all tests that it survives, in one process: a start is six processes' imports."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.whole.everything import Up, started

SETTINGS = {"FAREBOX_WEBHOOK_NETWORKS": "127.0.0.0/8"}


@pytest.fixture(scope="session")
def shared_up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    """Started as the README says; the demo has run. A test may kill what is started again, and has its own account."""
    with started(tmp_path_factory.mktemp("up"), "--demo", says="still running at", **SETTINGS) as running:
        yield running
