"""One stack and one Chromium for all tests, in one process and one event loop; each test has accounts of its own.

Without Chromium nothing here is run, and the summary says so; where CI=true it fails instead.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Browser, async_playwright, expect

from tests.console.pages import KeptPage, Windows
from tests.console.stack import Stack, running_stack
from tests.missing import not_run

_WAIT_MS = 60_000  # how long a page may take before a test gives up on it; nothing asserts it
_NAMES = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """All in one event loop, to which a browser belongs; `tests/together.py` has them in one process."""
    here = str(Path(__file__).parent)
    for item in items:
        if str(item.path).startswith(here):
            item.add_marker(pytest.mark.asyncio(loop_scope="session"), append=False)


@pytest.fixture(scope="session")
def chromium() -> str:
    """The path of Chromium."""
    found = next(filter(None, map(shutil.which, _NAMES)), None)
    return found or not_run(
        "NOT RUN: the console's pages. There is no Chromium here (Debian, Ubuntu: apt install chromium-headless-shell)"
    )


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """`farebox up`, once for all tests."""
    with running_stack(tmp_path_factory.mktemp("console")) as running:
        yield running


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser(chromium: str) -> AsyncIterator[Browser]:
    """One Chromium. As root, as in containers, it has no sandbox of its own."""
    expect.set_options(timeout=_WAIT_MS)
    arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
    async with async_playwright() as playwright:
        running = await playwright.chromium.launch(executable_path=chromium, args=arguments)
        yield running
        await running.close()


@pytest.fixture(scope="session")
def kept() -> KeptPage:
    """A page that one test leaves to the next as if it were new."""
    return KeptPage()


@pytest_asyncio.fixture(loop_scope="session")
async def windows(browser: Browser, stack: Stack, kept: KeptPage) -> AsyncIterator[Windows]:
    """Opens pages; afterwards no page may have had an error, or have asked anybody else for anything."""
    opened = Windows(browser, stack.address, kept)
    yield opened
    await opened.close()
    assert opened.unexpected == []
