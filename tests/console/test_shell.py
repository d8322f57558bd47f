"""What every page has around it: the theme, the navigation, the balance, one live connection for all tabs."""

from __future__ import annotations

from playwright.async_api import expect

from gateway.api.console import Console
from tests.console.pages import Windows, check_appearance
from tests.console.stack import Stack

PAGE_MAX_BYTES = 25 * 1024


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


async def test_the_skip_link_is_the_first_thing_and_leads_to_the_content(stack: Stack, windows: Windows) -> None:
    page = await windows.open("/gallery", stack.account())
    await page.keyboard.press("Tab")
    await expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    await page.keyboard.press("Enter")
    assert await page.evaluate("() => document.activeElement.id") == "main"


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


async def test_a_lost_connection_is_said_and_what_was_missed_is_read(stack: Stack, windows: Windows) -> None:
    account = stack.account()
    browser = await windows.browse(account)
    page = await browser.new_page()
    await page.goto("/gallery")
    await expect(page.get_by_role("button", name="100 credits")).to_be_visible()
    await browser.route("**/v1/events", lambda route: route.abort())
    stack.kill_gateway()
    await expect(page.locator("#connection")).to_be_visible()
    stack.wait_until_ready()
    stack.grant(account, 1)
    await browser.unroute("**/v1/events")
    await expect(page.get_by_role("button", name="101 credits")).to_be_visible()
    await expect(page.locator("#connection")).to_be_hidden()
    windows.problems.clear()  # the browser notes by itself what it could not reach


async def test_every_page_is_small_enough_on_the_wire(stack: Stack, windows: Windows) -> None:
    account = stack.account()
    made = stack.ended(account)["id"]
    for path in Console.read(stack.address).pages:
        reader = {"/sign-in": None, "/operations": stack.admin}.get(path, account)  # others are sent elsewhere
        page = await windows.open(path.replace("{generation}", made), reader)
        await page.wait_for_load_state("load")
        loaded = await page.evaluate("() => performance.getEntriesByType('resource').map(({ name }) => name)")
        ours = {url.partition("#")[0].rpartition("/")[2] for url in loaded if "/static/" in url}
        console = Console.read(stack.address)
        size = len(console.pages[path].compressed) + sum(len(console.static[name].compressed) for name in ours)
        assert size < PAGE_MAX_BYTES, f"{path}: {size} bytes"
