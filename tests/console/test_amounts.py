"""The modules that reckon and write amounts and times, asked in the browser itself."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from typing import Any

import pytest_asyncio
from playwright.async_api import Browser, Page

from tests.cases import cases
from tests.console.pages import Windows, imported
from tests.console.stack import Stack


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def page(browser: Browser, stack: Stack) -> AsyncIterator[Page]:
    """One page for all: what is asked of the modules leaves nothing behind in it."""
    windows = Windows(browser, stack.address)
    yield await windows.open("/sign-in", None)
    await windows.close()
    assert windows.unexpected == []


async def ask(page: Page, expression: str) -> Any:
    """The value of an expression in which `m` is the bundle of what all pages use."""
    return await page.evaluate(f"async () => {{ const m = {imported('base')}; return {expression}; }}")


async def test_credits_are_written_exactly(page: Page) -> None:
    texts = {
        0: "0", 73.5: "73.5", 62040: "62,040", 1234567.125: "1,234,567.125", -147: "−147", -0.001: "−0.001",
        0.07: "0.07", 1_000_000_000.999: "1,000,000,000.999",
        4.35: "4.35",  # 4.35 × 1000 is 4350.000000000001 to a browser
        1.005: "1.005",
    }  # fmt: skip
    assert await ask(page, f"{[*texts]}.map((credits) => m.formatCredits(credits))") == [*texts.values()]


async def test_sums_and_differences_are_exact(page: Page) -> None:
    assert await ask(page, "m.sum([0.1, 0.2])") == 0.3
    assert await ask(page, "m.sum(Array(1000).fill(0.001))") == 1
    assert await ask(page, "m.difference(100, 99.9)") == 0.1
    assert await ask(page, "m.difference(0.3, 0.1)") == 0.2


async def test_amounts_have_their_words_and_signs(page: Page) -> None:
    assert await ask(page, "[1, 2, 0, 0.5].map((credits) => m.withUnit(credits))") == [
        *("1 credit", "2 credits", "0 credits", "0.5 credits"),
    ]
    assert await ask(page, "[100, -147, 0].map(m.formatChange)") == ["+100", "−147", "0"]
    assert await ask(page, "[m.counted(1, 'output'), m.counted(1200, 'output')]") == [
        *("1 output", "1,200 outputs"),
    ]
    assert await ask(page, "[m.formatMoney(5), m.formatExact(5.27555), m.formatRounded(33.04)]") == [
        *("$5.00", "5.27555", "33"),
    ]


async def test_lengths_are_written_in_their_two_largest_units(page: Page) -> None:
    second, minute, hour, day = 1000, 60_000, 3_600_000, 86_400_000
    texts = {
        0: "0 s", 12 * second: "12 s", minute: "1 min", 3 * hour + 51 * minute: "3 h 51 min", hour: "1 h", day: "1 day",
        2 * day + 4 * hour + minute: "2 days 4 h", -5: "0 s",
    }  # fmt: skip
    assert await ask(page, f"{[*texts]}.map((length) => m.formatLength(length))") == [*texts.values()]


async def test_what_is_still_to_come_and_what_is_past_is_said(page: Page) -> None:
    now = "Date.parse('2026-11-22T20:00:00Z')"
    until = f"m.formatUntil('2026-11-23T00:00:00Z', {now})"
    assert await ask(page, until) == "in 4 h"
    assert await ask(page, f"m.formatUntil('2026-11-22T19:00:00Z', {now})") == "now"
    assert await ask(page, f"m.formatAgo('2026-11-22T19:58:00Z', {now})") == "2 min ago"
    assert await ask(page, f"m.formatAgo('2026-11-22T19:59:30Z', {now})") == "just now"


async def test_text_never_becomes_markup(page: Page) -> None:
    made = "m.element('p', {class: 'x', hidden: false, title: null}, '<img src=x>', [1, ['b']], null).outerHTML"
    assert await ask(page, made) == '<p class="x">&lt;img src=x&gt;1b</p>'


@cases(
    ("credits_", "words"),
    [
        ({"status": "succeeded", "held": 0, "committed": 147, "refunded": 0, "k": 2}, "charged 147"),
        (
            {"status": "succeeded", "held": 0, "committed": 73.5, "refunded": 73.5, "k": 1},
            "charged 73.5 for 1 of 2 outputs; 73.5 returned",
        ),
        (
            {"status": "failed", "held": 0, "committed": 0, "refunded": 147, "k": 0},
            "failed: 147 returned, nothing charged",
        ),
        (
            {"status": "cancelled", "held": 0, "committed": 73.5, "refunded": 73.5, "k": 1},
            "cancelled: charged 73.5 for 1 of 2 outputs; 73.5 returned",
        ),
        ({"status": "running", "held": 147, "committed": 0, "refunded": 0, "k": 0}, "147 held"),
    ],
)
async def test_a_cost_is_said_in_words(page: Page, credits_: dict[str, Any], words: str) -> None:
    generation = {
        "status": credits_["status"],
        "credits": credits_,
        "outputs_requested": 2,
        "outputs": [0] * credits_["k"],
    }
    assert (
        await page.evaluate(f"async (g) => {{ const m = {imported('base')}; return m.costOf(g); }}", generation)
        == words
    )


async def test_an_open_one_says_what_keeps_it(page: Page) -> None:
    running = "{status: 'running', progress: 0, attempt: 1"
    until = "delayed: {gives_up_at: '2026-11-30T02:50:00Z'}"
    away = await ask(page, f"m.stageOf({running}, {until}}})")
    assert re.fullmatch(
        r"The provider is not responding\. It is tried again; credits come back by Nov \d+, \d\d:\d\d at the latest\.",
        away,
    )
    assert await ask(page, f"m.stageOf({running}}})") == "Running: starting"
    assert await ask(page, "m.stageOf({status: 'queued', paused: {message: 'Paused.'}})") == "Paused."
