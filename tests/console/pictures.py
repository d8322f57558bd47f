"""Makes the README's pictures of the console anew: `python -m tests.console.pictures [minutes]`, from the root.

An account has three weeks of use behind it (by its test clock), and five others have given the workers something to do
for so many minutes, since Operations draws what was sampled meanwhile: 25 unless said otherwise.
"""

from __future__ import annotations

import asyncio
import io
import os
import random
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from PIL import Image
from playwright.async_api import Browser, Page, ViewportSize, async_playwright

from tests.console.stack import Account, Stack

DOCS = Path(__file__).parents[2] / "docs"
DAYS = 22
_SEED = 7
_WORKER_JOBS = "10"  # few, so that a rush leaves a queue to look at
_WIDE = (ViewportSize(width=1360, height=1130), (780, 648))
_TALL = (ViewportSize(width=1360, height=1240), (960, 875))

# Tool, model, settings, outputs, and how often it is asked for.
WISHES = [
    ("image", "nano-banana-2", {"resolution": "1K"}, 1, 3),
    ("image", "nano-banana-2", {"resolution": "2K"}, 1, 1),
    ("image", "imagineart-2.0", {}, 1, 3),
    ("image", "seedream-v4.5", {}, 1, 4),
    ("image", "flux-dev", {}, 1, 6),
    ("image", "z-image-turbo", {}, 2, 6),
    ("video", "wan-2.2", {}, 1, 1),
]
PROMPTS = [
    "A lighthouse on a cliff at dusk, long exposure",
    "An orchard in spring, aerial view",
    "A tram in the rain, neon reflections",
    "Paper boats on a river of light",
    "A fox in the snow, soft morning light",
    "A greenhouse at night, seen from outside",
]


def use(stack: Stack, account: Account, dice: random.Random) -> None:
    """Three weeks of an account: more on working days, and a failure now and then."""
    for day in range(DAYS):
        made = []
        for _ in range(dice.randint(2, 4) if day % 7 in {2, 3} else dice.randint(4, 8)):
            tool, model, settings, outputs, _ = dice.choices(WISHES, [wish[-1] for wish in WISHES])[0]
            wishes: dict[str, Any] = {"tool": tool, "model": model, "settings": settings, "outputs": outputs}
            if dice.random() < 0.05:
                wishes["sandbox"] = {"fail": "moderated"}
            made.append(stack.generate(account, prompt=dice.choice(PROMPTS), **wishes)["id"])
        settled(stack, account, made)
        if day < DAYS - 1:
            stack.call("POST", f"/v1/admin/accounts/{account.name}/clock", stack.admin, {"advance_seconds": 86_400})


def settled(stack: Stack, account: Account, generations: list[str]) -> None:
    """Return when these have ended."""
    for generation in generations:
        while stack.call("GET", f"/v1/generations/{generation}", account.key)["finished_at"] is None:
            time.sleep(0.1)


def make_busy(stack: Stack, accounts: list[Account], minutes: float, dice: random.Random) -> None:
    """Some work all the time, and every minute or so a rush."""
    until = time.monotonic() + 60 * minutes
    rush_at = time.monotonic() + 30
    while time.monotonic() < until:
        rush = time.monotonic() >= rush_at
        order(stack, accounts, dice.randint(14, 34) if rush else dice.randint(0, 2), (2, 9), dice)
        if rush:
            rush_at = time.monotonic() + dice.uniform(50, 130)
        time.sleep(dice.uniform(1, 3))


def order(stack: Stack, accounts: list[Account], count: int, seconds: tuple[float, float], dice: random.Random) -> None:
    """Ask for some generations that take so long."""
    for _ in range(count):
        tool, model = ("video", "wan-2.2") if dice.random() < 0.12 else ("image", "flux-dev")
        sandbox = {"delay_seconds": round(dice.uniform(*seconds), 1)}
        stack.generate(dice.choice(accounts), tool=tool, model=model, prompt=dice.choice(PROMPTS), sandbox=sandbox)


def last_ones(stack: Stack, account: Account) -> None:
    """What Generate shows below: one that failed and three that succeeded."""
    wishes: list[dict[str, Any]] = [
        {"prompt": PROMPTS[3], "sandbox": {"fail": "moderated"}},
        {"prompt": PROMPTS[2]},
        {"prompt": PROMPTS[1], "model": "nano-banana-2", "outputs": 2},
        {"prompt": PROMPTS[0], "model": "imagineart-2.0"},
    ]
    for one in wishes:
        settled(stack, account, [stack.generate(account, **one)["id"]])
        time.sleep(1)


async def signed_in(browser: Browser, stack: Stack, key: str, *, dark: bool = False, tall: bool = False) -> Page:
    """A page of somebody's browser."""
    context = await browser.new_context(
        base_url=stack.address,
        viewport=(_TALL if tall else _WIDE)[0],
        color_scheme="dark" if dark else "light",
        reduced_motion="reduce",
        timezone_id="UTC",
    )
    answer = await context.request.post("/session", data={"key": key}, headers={"Origin": stack.address})
    assert answer.status == 201, await answer.text()
    return await context.new_page()


async def take(page: Page, name: str, size: tuple[int, int]) -> None:
    """A picture of what is in the window, smaller."""
    await page.wait_for_timeout(3000)  # everything is there, drawn, and faded in
    await page.evaluate("() => document.querySelectorAll('*').forEach((one) => one.scrollTo(0, 0))")
    picture = Image.open(io.BytesIO(await page.screenshot())).convert("RGB").resize(size, Image.Resampling.LANCZOS)
    picture.save(DOCS / f"console-{name}.png", optimize=True)


async def picture(stack: Stack, account: Account) -> None:
    """All three pages."""
    arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
    chromium = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))))
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=chromium, args=arguments)
        page = await signed_in(browser, stack, stack.admin, dark=True)
        await page.goto("/operations")
        await take(page, "operations", _WIDE[1])
        page = await signed_in(browser, stack, account.key)
        await page.goto("/usage")
        await take(page, "usage", _WIDE[1])
        page = await signed_in(browser, stack, account.key, tall=True)
        await page.goto("/")
        await page.get_by_role("textbox", name="Prompt").fill(f"{PROMPTS[0]}, calm sea")
        await page.locator("input[name=model][value=nano-banana-2]").check(force=True)
        await page.get_by_role("radio", name="2K").check(force=True)
        await page.get_by_role("radiogroup", name="Outputs").get_by_role("radio", name="2").check(force=True)
        await take(page, "generate", _TALL[1])
        await browser.close()


def named(stack: Stack, name: str, plan: str | None) -> Account:
    """An account with this name."""
    stack.call("PUT", f"/v1/admin/accounts/{name}", stack.admin, {})
    if plan is not None:
        subscription = {"plan": plan, "interval": "monthly"}
        stack.call("PUT", f"/v1/admin/accounts/{name}/subscription", stack.admin, subscription)
    return Account(name, stack.call("POST", f"/v1/admin/accounts/{name}/keys", stack.admin, {})["key"])


def main(minutes: float) -> None:
    """Start, use, wait, picture."""
    dice = random.Random(_SEED)
    with tempfile.TemporaryDirectory() as folder:
        stack = Stack(Path(folder), more={"FAREBOX_WORKER_JOBS": _WORKER_JOBS})
        try:
            stack.start()
            acme = named(stack, "acme", "standard")
            use(stack, acme, dice)
            others = [named(stack, name, "creator") for name in ("harbor", "kite", "larkspur", "north", "quarry")]
            make_busy(stack, others, minutes, dice)
            last_ones(stack, acme)
            order(stack, others, 18, (20, 40), dice)  # in work while Operations is looked at
            asyncio.run(picture(stack, acme))
        finally:
            stack.stop()


if __name__ == "__main__":
    main(float(sys.argv[1]) if len(sys.argv) > 1 else 25)
