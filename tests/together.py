"""Which tests one process of a run has together, since what they share is dear to start.

`--dist=loadgroup` would do it by marks, but xdist 3.8 writes the group where pytest 9.2 no longer reads it.
"""

from __future__ import annotations

from xdist.scheduler import LoadScopeScheduling  # type: ignore[import-untyped]

TOGETHER = {
    "tests/api/test_generated_client.py": "client: one that is generated",
    "tests/api/test_identifiers.py": "identifiers: one account's life",
    "tests/archive/": "archive: one PostgreSQL",
    "tests/console/": "console: one stack and one Chromium",
    "tests/facades/": "facades: one stack",
    "tests/unit/outputs/test_moto.py": "moto: one S3 server",
    "tests/whole/test_several_gateways.py": "several gateways: one set",
    "tests/packaging/test_wheel.py": "wheel: one that is built",
    "tests/whole/test_up.py": "up: one `farebox up`",
    "tests/whole/test_webhooks.py": "up: one `farebox up`",
}
"""The beginning of a test's name → its group."""


class Together(LoadScopeScheduling):  # type: ignore[misc]  # xdist has no types
    """Sends a group to one process, the largest first."""

    def _split_scope(self, nodeid: str) -> str:
        return next((group for start, group in TOGETHER.items() if nodeid.startswith(start)), nodeid)
