"""What every page has around it: the theme, the navigation, the balance, one live connection for all tabs."""

from __future__ import annotations

import asyncio

from playwright.async_api import Route, expect

from gateway.api.console import Console
from tests.console.pages import Windows, check_appearance, settle
from tests.console.stack import Stack
from tests.lengths import LONG

PAGE_MAX_BYTES = 25 * 1024
SHIFT_MAX = 0.1  # of the window, https://web.dev/articles/cls
_OF_OPERATORS = {"/operations", "/work", "/accounts", "/audit-log", "/margin"}
_NOTE_SHIFTS = """
  window.shifted = 0;
  window.shifts = [];
  new PerformanceObserver((list) => {
    for (const { value, hadRecentInput, sources } of list.getEntries()) {
      if (hadRecentInput) continue;
      window.shifted += value;
      window.shifts.push(`${value}: ${sources.map(({ node }) => node?.outerHTML?.slice(0, 80)).join(" | ")}`);
    }
  }).observe({ type: "layout-shift", buffered: true });
"""


async def test_the_theme_is_remembered_and_there_before_the_first_paint(stack: Stack, windows: Windows) -> None:
    page = await windows.open("/gallery", stack.account())
    background = "() => getComputedStyle(document.body).backgroundColor"
    light = await page.evaluate(background)
    await page.get_by_role("radio", name="Dark").check(force=True)
    dark = await page.evaluate(background)
    assert dark != light
    await page.goto("/gallery", wait_until="commit")
    await page.wait_for_selector("body")
    assert await page.evaluate(background) == dark


async def test_on_a_narrow_screen_the_menu_opens_and_closes_by_keyboard(stack: Stack, windows: Windows) -> None:
    page = await windows.open("/gallery", stack.account(), width=320)
    menu, usage = page.get_by_role("button", name="Menu"), page.get_by_role("link", name="Prices")
    await expect(usage).to_be_hidden()
    await menu.focus()
    await page.keyboard.press("Enter")
    await expect(usage).to_be_visible()
    await check_appearance(page)
    await page.keyboard.press("Escape")
    await expect(usage).to_be_hidden()
    await expect(menu).to_be_focused()


async def test_filters_can_be_used_once_they_have_what_the_url_says(stack: Stack, windows: Windows) -> None:
    """On the way back to a gallery, what was typed before its script listened was undone by what the URL said."""
    account = stack.account()
    for path, key in (
        ("/gallery?q=dusk", account),
        ("/usage?tool=image", account),
        ("/margin?by=bucket", stack.admin),
        ("/work?tool=image", stack.admin),
        ("/audit-log?action=pause", stack.admin),
    ):
        page, answering = await (await windows.browse(key)).new_page(), asyncio.Event()

        async def answer(route: Route, *, answering: asyncio.Event = answering) -> None:
            await answering.wait()
            await route.continue_()

        await page.route("**/v1/rate-card", answer)
        await page.route("**/v1/admin/keys*", answer)
        await page.goto(path)
        controls = page.locator("#filters").locator("input, select")
        await expect(controls.first).to_be_disabled()
        answering.set()
        await expect(controls.first).to_be_enabled()
        said = path.partition("=")[2]
        assert said in await page.evaluate("() => [...new FormData(document.forms.filters).values()]")
        await page.close()


async def test_the_skip_link_is_the_first_thing_and_leads_to_the_content(stack: Stack, windows: Windows) -> None:
    page = await windows.open("/gallery", stack.account())
    await page.keyboard.press("Tab")
    await expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    await page.keyboard.press("Enter")
    await expect(page.locator("#main")).to_be_focused()


async def test_ten_tabs_are_all_live_over_one_connection(stack: Stack, windows: Windows) -> None:
    account = stack.account()
    browser = await windows.browse(account)
    streams: list[str] = []
    browser.on("request", lambda request: streams.append(request.url) if request.url.endswith("/v1/events") else None)
    pages = [await browser.new_page() for _ in range(10)]
    for page in pages:
        await page.goto("/gallery")
        await expect(page.get_by_role("button", name="100 credits")).to_be_visible()
    stack.grant(account, 73.5)
    for page in pages:
        await expect(page.get_by_role("button", name="173.5 credits")).to_be_visible()
    assert len(streams) == 1
    await pages.pop(0).close()  # the one that listened: another takes over
    stack.grant(account, 1)
    for page in pages:
        await expect(page.get_by_role("button", name="174.5 credits")).to_be_visible()
    assert len(streams) == 2


async def test_without_locks_a_tab_listens_by_itself_and_only_while_it_is_seen(stack: Stack, windows: Windows) -> None:
    account = stack.account()
    browser = await windows.browse(account)
    await browser.add_init_script("Object.defineProperty(Navigator.prototype, 'locks', {value: undefined})")
    page = await browser.new_page()
    await page.goto("/gallery")
    await expect(page.get_by_role("button", name="100 credits")).to_be_visible()
    hide = """(hidden) => {
      Object.defineProperty(document, 'hidden', {value: hidden, configurable: true});
      document.dispatchEvent(new Event('visibilitychange'));
    }"""
    await page.evaluate(hide, True)  # noqa: FBT003 - the argument of the script
    stack.grant(account, 1)
    async with page.expect_request("**/v1/events"):
        await page.evaluate(hide, False)  # noqa: FBT003
    await expect(page.get_by_role("button", name="101 credits")).to_be_visible()


async def test_after_an_outage_pages_ask_again_and_clear_what_they_complained_of(
    stack: Stack, windows: Windows
) -> None:
    """Generate kept its dead quote, the gallery the wrong cards at half opacity, and both the red notice."""
    account = stack.account()
    stack.ended(account)
    browser = await windows.browse(account)
    page, generate = await browser.new_page(), await browser.new_page()
    await page.goto("/gallery")
    await generate.goto("/")
    await expect(page.get_by_role("button", name="95 credits")).to_be_visible()
    await expect(generate.get_by_role("button", name="Generate · 5 credits")).to_be_enabled()
    await browser.route("**/v1/**", lambda route: route.abort())
    stack.kill_gateway()
    await expect(page.locator("#connection")).to_be_visible()
    await page.get_by_label("State").select_option("failed")
    await expect(page.get_by_role("alert")).to_contain_text("Farebox is not responding")
    await expect(page.locator("#cards")).not_to_have_attribute("aria-busy", "true")
    await generate.get_by_role("radio", name="2K").check(force=True)
    await expect(generate.locator("#quote")).to_contain_text("Farebox is not responding")
    stack.wait_until_ready()
    await generate.goto("/usage")
    await expect(generate.get_by_role("alert")).to_contain_text("Farebox is not responding")
    stack.grant(account, 1)
    await browser.unroute("**/v1/**")
    await expect(page.get_by_role("button", name="96 credits")).to_be_visible()
    await expect(page.locator("#connection")).to_be_hidden()
    await expect(page.locator("#complaint")).to_be_hidden()
    await expect(page.locator(".card-of-work")).to_have_count(0)
    await expect(generate.locator("#spent")).to_have_text("5")
    windows.allow("Failed to load resource")


async def test_a_script_of_another_version_does_not_run_and_all_are_asked_for_again(
    stack: Stack, windows: Windows
) -> None:
    """During an upgrade another gateway may answer for one of a page's scripts."""
    browser = await windows.browse(stack.account())
    page = await browser.new_page()
    other = {"body": "export const v0 = 1;", "content_type": "text/javascript"}
    await page.route("**/base.js", lambda route: route.fulfill(**other), times=1)
    await page.goto("/gallery")
    await expect(page.get_by_role("button", name="100 credits")).to_be_visible()
    await windows.noted("does not provide an export")


async def test_every_page_is_small_on_the_wire_and_does_not_jump_while_it_loads(stack: Stack, windows: Windows) -> None:
    account = stack.account()
    made = stack.ended(account)["id"]
    pages = []
    for key in (account, stack.admin):
        browser = await windows.browse(key)
        await browser.add_init_script(_NOTE_SHIFTS)
        pages.append(await browser.new_page())
    console = Console.read(stack.address)
    for path in console.pages:
        page = pages[path in _OF_OPERATORS]
        for width in (320, 1360) if LONG else (320,):
            await page.set_viewport_size({"width": width, "height": 900})
            await page.goto(path.replace("{generation}", made))
            await page.wait_for_function("() => !('loading' in document.documentElement.dataset)")
            await settle(page)
            shifts = await page.evaluate("() => window.shifts")
            assert await page.evaluate("() => window.shifted") < SHIFT_MAX, (path, width, shifts)
        loaded = await page.evaluate("() => performance.getEntriesByType('resource').map(({ name }) => name)")
        ours = {url.partition("#")[0].rpartition("/")[2] for url in loaded if "/static/" in url}
        size = len(console.pages[path].compressed) + sum(len(console.static[name].compressed) for name in ours)
        assert size < PAGE_MAX_BYTES, f"{path}: {size} bytes"
