"""From asking for a page of the console to its first content, in Chromium, with nothing of it in the cache."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from playwright.async_api import Browser, async_playwright

from benchmarks.accounts import make
from benchmarks.bench import Bench
from benchmarks.result import Result, at_most
from benchmarks.servers import durable_redis, gateway_at, ledger_at
from gateway.api.console import Console

TARGET_MS = 500
OTHERS = {"/docs"}  # pages that are not of the console's folder
OF_ONE_THING = {"/generations/{generation}"}  # it shows one generation, and the account has none
FOR_OPERATORS = {"/accounts", "/audit-log", "/operations", "/work"}
FOR_EVERYBODY = {"/sign-in", "/docs"}
_NAMES = ("chromium", "chromium-browser", "google-chrome", "chromium-headless-shell")

# Waits for the paint: it may come after the load.
_FIRST_CONTENT = """() => new Promise((resolve) => new PerformanceObserver((list) => {
  const [paint] = list.getEntriesByName('first-contentful-paint');
  if (paint) resolve(paint.startTime);
}).observe({type: 'paint', buffered: true}))"""


async def measure(bench: Bench) -> Sequence[Result]:
    """Open every page once a round, each in a browser profile of its own."""
    chromium = next(filter(None, map(shutil.which, _NAMES)), None)
    if chromium is None:
        print(
            "\nNOT MEASURED: pages. There is no Chromium here (Debian, Ubuntu: apt install chromium)", file=sys.stderr
        )
        return []
    paths = sorted({*Console.read("").pages, *OTHERS} - OF_ONE_THING)
    first: dict[str, list[float]] = {path: [] for path in paths}
    with durable_redis() as redis_socket:
        async with ledger_at(redis_socket) as ledger:
            account, _ = await make(ledger, redis_socket, range(2))
        with gateway_at(redis_socket) as gateway:
            operator = _admin_key(redis_socket.parent)
            async with async_playwright() as playwright:
                arguments = ["--no-sandbox"] if os.geteuid() == 0 else []  # as root it has none
                browser = await playwright.chromium.launch(executable_path=chromium, args=arguments)
                for _ in bench.rounds():
                    for path in paths:
                        key = operator if path in FOR_OPERATORS else account.key
                        reader = None if path in FOR_EVERYBODY else key
                        first[path].append(await _first_content_ms(browser, gateway.port, path, reader))
                await browser.close()
    return [
        Result(what=f"first content of {path}", figures=figures, unit="ms", target=at_most(TARGET_MS))
        for path, figures in first.items()
    ]


def _admin_key(data: Path) -> str:
    return Path(data, "admin-key").read_text().strip()


async def _first_content_ms(browser: Browser, port: int, path: str, key: str | None) -> float:
    origin = f"http://127.0.0.1:{port}"
    context = await browser.new_context(base_url=origin, viewport={"width": 1360, "height": 900})
    if key is not None:
        answer = await context.request.post("/session", data={"key": key}, headers={"Origin": origin})
        if not answer.ok:
            raise RuntimeError(f"signing in: {answer.status}")
    page = await context.new_page()
    await page.goto(path)
    if page.url != origin + path:
        raise RuntimeError(f"{path} led to {page.url}")
    milliseconds: float = await page.evaluate(_FIRST_CONTENT)
    await context.close()
    return milliseconds
