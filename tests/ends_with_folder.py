"""What the tests of a folder share ends with the last of them, not with the run.

A `farebox up` that is idle takes 8 % of a core, and Chromium some more: half a minute of CPU each, were they kept.
"""

from __future__ import annotations

from typing import Any

import pytest

SHARED_BY_ALL = {"", "tests"}


class EndsWithFolder:
    """Finishes each session fixture of a folder's `conftest.py` when the next test is of another folder.

    Should a later test need it again, as in a shuffled run, pytest makes it anew.
    """

    def __init__(self) -> None:
        self._open: dict[pytest.FixtureDef[Any], pytest.FixtureRequest] = {}

    def pytest_fixture_setup(self, fixturedef: pytest.FixtureDef[Any], request: pytest.FixtureRequest) -> None:
        """Note what begins."""
        if fixturedef.scope == "session" and fixturedef.baseid not in SHARED_BY_ALL:
            self._open[fixturedef] = request

    @pytest.hookimpl(trylast=True)
    def pytest_runtest_teardown(self, nextitem: pytest.Item | None) -> None:
        """End what the next test has no part in. After the last test pytest ends all."""
        if nextitem is None:
            return
        for fixture in reversed(list(self._open)):
            if not nextitem.nodeid.startswith(f"{fixture.baseid}/"):
                fixture.finish(self._open.pop(fixture))
